"""The space in which codes are compared: centred on the good codes, with a soft length normalisation."""

from torch import Tensor


def soft_normalise(codes: Tensor, centre: Tensor, length: float) -> Tensor:
    """(c - centre) / (|c - centre| + length): direction counts, as for cosines, but tiny codes stay tiny.

    Full normalisation (length 0) blows the codes of flat background up to noise; none (length -> inf) lets strong
    texture drown faint defects. See docs/experiments.md for the figures.

    Args:
        codes: ... x D float.
        centre: D float, mean of the good codes.
        length: > 0, in code units.
    """
    centred = codes - centre
    return centred / (centred.norm(dim=-1, keepdim=True) + length)
