"""The space in which codes are compared: as the encoder gives them, or centred and softly normalised in length."""

from dataclasses import dataclass

import torch
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


@dataclass(frozen=True)
class CodeSpace:
    """One scale's space, measured on the good codes."""

    centre: Tensor  # D float, mean of the good codes
    length: float  # of `soft_normalise`, code units

    @classmethod
    def measure(cls, codes: Tensor, softness: float) -> "CodeSpace":
        """From good codes N x D, of any precision, and the length in median lengths of a good code."""
        chunks = codes.split(CHUNK)
        centre = (torch.stack([chunk.sum(0, dtype=torch.float64) for chunk in chunks]).sum(0) / len(codes)).float()
        lengths = torch.cat([(chunk.float() - centre).norm(dim=1) for chunk in chunks])
        return cls(centre, max(softness * lengths.median().item(), _LEAST_LENGTH))

    def __call__(self, codes: Tensor) -> Tensor:
        """... x D -> ... x D."""
        return soft_normalise(codes, self.centre, self.length)


CHUNK = 65536  # codes that are held in single precision at once
_LEAST_LENGTH = 1e-6  # pictures without any contrast have equal codes
