"""Filters that add up what lies along a line: hairlines and scratches in grain, which no small filter can tell from it.

The shape is the second derivative of a Gaussian across the line and a longer Gaussian along it (a steerable ridge
detector stretched, as in Jacob and Unser 2004): a line of fifty px stands out of grain that is stronger than it. So
long a filter answers far beyond the line's ends, too, so a short one has to agree.
"""

import math
from functools import cache, lru_cache, reduce

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = 12
REACH = 33  # px, from the middle of a filter to its edge
LONG, SHORT = 15.0, 5.0  # px, sigma along the line; 1 px across


@cache
def line_filters(length: float) -> Tensor:
    """DIRECTIONS x (2 REACH + 1) x (2 REACH + 1) float32; each has mean 0 and length 1. `length`: LONG or SHORT."""
    rows, columns = torch.meshgrid(*(torch.arange(-REACH, REACH + 1).double(),) * 2, indexing="ij")
    angles = (torch.arange(DIRECTIONS).double() * math.pi / DIRECTIONS)[:, None, None]
    along = columns * angles.cos() + rows * angles.sin()
    across = rows * angles.cos() - columns * angles.sin()
    drawn = (1 - across.square()) * torch.exp(-across.square() / 2 - along.square() / (2 * length**2))
    drawn = drawn - drawn.mean((1, 2), keepdim=True)
    return (drawn / drawn.flatten(1).norm(dim=1)[:, None, None]).float()


def line_strengths(images: Tensor, step: int = 1, window: int = 1) -> Tensor:
    """How strong a bright or dark line passes through each window of pixels, at most, in each direction.

    The geometric mean of what the long and the short filter answer; 0 where one sees a bright line, the other a dark.

    Args:
        images: B x C x H x W float; the mean of the channels is looked at.
        step: px between windows.
        window: steps that a window is high and wide; those that do not lie within the image are left out.

    Returns:
        B x DIRECTIONS x h x w float >= 0.
    """
    height, width = images.shape[2:]
    grey = F.pad(images.mean(1, keepdim=True), (REACH,) * 4, mode="replicate")
    size = (_quick_length(height + 2 * REACH), _quick_length(width + 2 * REACH))
    filters = _spectra(size, images.device)

    def strengths(one: Tensor) -> Tensor:
        columns = torch.fft.ifft(_waves(one, size) * filters)[..., :height]
        answers = torch.fft.irfft(columns.transpose(1, 2), n=size[1])[..., :width]
        return _strongest(answers[:DIRECTIONS] * answers[DIRECTIONS:], step, window).relu_().sqrt_()

    # One picture at a time: together with others the transform of a picture may round otherwise.
    return torch.stack([strengths(one) for one in grey])


def _strongest(answers: Tensor, step: int, window: int) -> Tensor:
    """The maximum of each window, first along columns, then along rows: some twenty times as fast as `max_pool2d`.

    K x H x W; step, window: as of `line_strengths`.
    """
    for _ in range(2):
        count = answers.shape[1] // step
        blocks = [answers[:, start : count * step : step] for start in range(step)]
        most = reduce(torch.maximum, blocks)
        windows = [most[:, start : start + count - window + 1] for start in range(window)]
        answers = reduce(torch.maximum, windows).transpose(1, 2)
    return answers


def _quick_length(least: int) -> int:
    """Of a transform; even, as it is that of half the length for real numbers then: twice as fast."""
    return 2 * cv2.getOptimalDFTSize(math.ceil(least / 2))


@lru_cache(maxsize=4)
def _spectra(size: tuple[int, int], device: torch.device) -> Tensor:
    """Of the long and the short filters, for a correlation with pictures of that size, which is faster so."""
    filters = torch.cat([line_filters(length) for length in (LONG, SHORT)])
    return _waves(filters.to(device), size).conj().resolve_conj()


def _waves(images: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w float, zeros added up to (H, W) `size` -> K x (W // 2 + 1) x H complex; each column lies together."""
    rows = torch.fft.rfft(images, n=size[1])
    return torch.fft.fft(rows.transpose(1, 2), n=size[0])
