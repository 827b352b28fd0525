"""From patches to pixels (eq. 7)."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_map(scores: Tensor, patch: int, stride: int, size: tuple[int, int]) -> Tensor:
    """Each pixel gets the mean score of the patches that cover it, eq. 7.

    Patch (i, j) covers rows i * stride to i * stride + patch - 1, columns likewise. Pixels past the last patch (where
    the stride does not divide the picture) take the value of the nearest covered pixel.

    Args:
        scores: B x h x w float.
        patch, stride: px, stride <= patch.
        size: (H, W) of the pictures, px.

    Returns:
        B x H x W float.
    """
    # A box of width `patch` over columns `stride` apart is separable: two one-dimensional passes, not one of patch^2.
    rows = _cover(scores, patch, stride, size[0])  # B x h x w -> B x w x H
    return _cover(rows, patch, stride, size[1])  # B x w x H -> B x H x W


def patches_over(pixels: Tensor, patch: int, stride: int, grid: tuple[int, int]) -> Tensor:
    """Which patches have a say in one of these pixels, by eq. 7; the last ones speak for those past them, too.

    Args:
        pixels: B x H x W bool.
        patch, stride: px, as of `pixel_map`; a patch may end outside the pictures.
        grid: (h, w) of patches.

    Returns:
        B x h x w bool.
    """
    rows = _over(pixels, patch, stride, grid[0])  # B x H x W -> B x W x h
    return _over(rows, patch, stride, grid[1])  # B x W x h -> B x h x w


def _over(pixels: Tensor, patch: int, stride: int, count: int) -> Tensor:
    """Which intervals along the second axis; B x n x m -> B x m x count (axes swapped)."""
    length = (count - 1) * stride + patch
    lines = F.pad(pixels.mT.float(), (0, max(0, length - pixels.shape[1])))
    lines[..., length - 1] = lines[..., length - 1 :].amax(2)
    return F.max_pool1d(lines[..., :length], patch, stride) > 0


def _cover(scores: Tensor, patch: int, stride: int, length: int) -> Tensor:
    """Mean over covering intervals along the second axis; B x n x m -> B x m x length (axes swapped)."""
    return torch.einsum("bnm,nl->bml", scores, _cover_weights(scores.shape[1], patch, stride, length).to(scores))


def _cover_weights(count: int, patch: int, stride: int, length: int) -> Tensor:
    """n x length: the share that interval n has in the mean at each pixel; columns sum to 1."""
    starts = torch.arange(count)[:, None] * stride
    pixels = torch.arange(length).clamp_max((count - 1) * stride + patch - 1)[None]
    covers = ((pixels >= starts) & (pixels < starts + patch)).float()
    return covers / covers.sum(0)


def mean_of(maps: Sequence[Tensor]) -> Tensor:
    """The mean of K tensors of one shape, K >= 1; several times as fast as to stack them first."""
    return reduce(add, maps) / len(maps)


def sharpened(maps: Tensor, reach: int) -> Tensor:
    """Times the square of its share in the largest value at most `reach` rows and columns away: ridges and peaks stay.

    B x H x W float32 >= 0 on the CPU -> the same, nowhere more than before.
    """
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    largest = torch.from_numpy(np.stack([cv2.dilate(one, around) for one in maps.numpy()]))
    return maps * (maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)).square()


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with reflected border; `sigma` in px, 0: the maps as they are.

    B x H x W float32 or float64 on the CPU -> the same.
    """
    if sigma == 0:
        return maps
    radius = min(round(3 * sigma), min(maps.shape[1:]) - 1)  # no more than can be reflected
    side = (2 * radius + 1, 2 * radius + 1)
    drawn = [cv2.GaussianBlur(one, side, sigma, borderType=cv2.BORDER_REFLECT_101) for one in maps.numpy()]
    return torch.from_numpy(np.stack(drawn))
