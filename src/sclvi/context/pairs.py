"""Pairs of patches on the code map: which twelve-position class they are, and where they lie.

The dense encoder gives the codes of all patches at once, so a pair is two positions of the map. The second patch is
read from another view of the same picture, shifted by some pixels against the first: together with the steps of the map
that gives the dither of section 3.1 at single-pixel resolution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sclvi.context.positions import TWELVE_POSITIONS


@dataclass(frozen=True)
class Pairs:
    """N pairs of map positions; all fields are N integers."""

    classes: Tensor  # 0..11
    first_rows: Tensor
    first_columns: Tensor
    second_rows: Tensor
    second_columns: Tensor


def draw_pairs(count: int, map_size: tuple[int, int], patch: int, stride: int, generator: torch.Generator) -> Pairs:
    """Draw `count` pairs, all twelve classes equally likely, first patches uniform over where the pair fits.

    One grid step is 3/4 of the patch plus a dither of 0 to 1/4 patch in steps of the map's stride, drawn for each pair
    and axis (the authors' sampling, see docs/paper.md). A picture too small for the grid gets a smaller step.

    Args:
        map_size: (h, w) of the code map; h, w >= 3.
        patch, stride: px.
    """
    offsets = torch.tensor(TWELVE_POSITIONS)
    classes = torch.randint(len(offsets), (count,), generator=generator)
    first, second = [], []
    for axis, length in enumerate(map_size):
        dither = torch.randint(max(1, patch // 4 // stride), (count,), generator=generator)
        step = (3 * patch // 4 // stride + dither).clamp_max((length - 1) // 2)
        offset = offsets[classes, axis] * step  # signed, in positions of the map
        room = length - offset.abs()
        start = (torch.rand(count, generator=generator) * room).long() - offset.clamp_max(0)
        first.append(start)
        second.append(start + offset)
    return Pairs(classes, first[0], first[1], second[0], second[1])
