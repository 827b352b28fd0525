"""Both scales brought to one measure and fused."""

import torch
from torch import Tensor


def fuse_scales(maps: list[Tensor], levels: list[float]) -> Tensor:
    """Geometric mean of the scales' maps, each in units of what good pictures show at that scale.

    The order of scores is that of the product of maps, as in the authors' code; the unit is "times the usual good
    score", so that 1 means the same on every scale and part.

    Args:
        maps: one B x H x W float >= 0 for each scale.
        levels: mean of each scale's map over good pictures that the memory does not hold, > 0.
    """
    logarithms = [(scores / level).clamp_min(1e-12).log() for scores, level in zip(maps, levels, strict=True)]
    return torch.stack(logarithms).mean(0).exp()


def image_scores(maps: Tensor) -> Tensor:
    """Score of each picture: the maximum of its map; B x H x W -> B."""
    return maps.amax((1, 2))
