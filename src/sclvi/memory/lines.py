"""Filters that add up what lies along a line: hairlines and scratches in grain, which no small filter can tell from it.

The shape is the second derivative of a Gaussian across the line and a longer Gaussian along it (a steerable ridge
detector stretched, as in Jacob and Unser 2004): a line of twenty px stands out of grain that is stronger than it.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = 12
REACH = 11  # px, from the middle of a filter to its edge
_LENGTH = 5.0  # px, sigma along the line; 1 px across


@cache
def line_filters() -> Tensor:
    """DIRECTIONS x 1 x (2 REACH + 1) x (2 REACH + 1) float32; each has mean 0 and length 1."""
    rows, columns = torch.meshgrid(*(torch.arange(-REACH, REACH + 1).double(),) * 2, indexing="ij")
    angles = (torch.arange(DIRECTIONS).double() * math.pi / DIRECTIONS)[:, None, None]
    along = columns * angles.cos() + rows * angles.sin()
    across = rows * angles.cos() - columns * angles.sin()
    drawn = (1 - across.square()) * torch.exp(-across.square() / 2 - along.square() / (2 * _LENGTH**2))
    drawn = drawn - drawn.mean((1, 2), keepdim=True)
    return (drawn / drawn.flatten(1).norm(dim=1)[:, None, None]).float()[:, None]


def line_strengths(images: Tensor) -> Tensor:
    """How strong a bright or dark line passes through each pixel, in each direction.

    B x C x H x W float -> B x DIRECTIONS x H x W float >= 0, of the mean of the channels.
    """
    grey = F.pad(images.mean(1, keepdim=True), (REACH,) * 4, mode="replicate")
    return F.conv2d(grey, line_filters().to(grey)).abs()
