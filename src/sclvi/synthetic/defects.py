"""Synthetic defects: spots, scratches, stains and foreign texture laid over a good picture, with the truth about where.

What is drawn where is chance, in the manner of CutPaste (Li et al. 2021), DRAEM (Zavrtanik et al. 2021) and NSA
(Schlueter et al. 2022), but in shapes and fills of our own, and in nothing that a category would have to tell.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_EXTENTS = (2.5, 40.0)  # px, radius of a defect; drawn evenly in logarithms
_MOST = 5  # defects in one picture
_SEEN = 0.06  # in deviations of the picture: what changes less is no defect to anybody
_COVERED = 0.3  # of the cover, where a defect ends
_MARGIN = 4  # px, around a cover, for what softening spreads


def with_defects(picture: Image, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """One to five defects.

    Args:
        picture: H x W x C float32, prepared by `Light`; stays as it is.
        other: another good picture of this shape, that foreign texture comes from.

    Returns:
        The picture with defects, and where it was changed so that it can be seen, H x W.
    """
    changed, mask = picture.copy(), np.zeros(picture.shape[:2], bool)
    largest = min(_EXTENTS[1], min(mask.shape) / 4)
    for _ in range(rng.integers(1, _MOST + 1)):
        extent = math.exp(rng.uniform(math.log(_EXTENTS[0]), math.log(max(largest, _EXTENTS[0] + 1))))
        _lay(changed, mask, _cover(extent, rng), other, rng)
    return changed, mask


def _lay(changed: Image, mask: Mask, cover: Image, other: Image, rng: np.random.Generator) -> None:
    """Fill what a square cover covers, somewhere; its middle lies in the picture."""
    height, width = mask.shape
    reach = len(cover) // 2
    top, left = int(rng.integers(-reach, height - reach)), int(rng.integers(-reach, width - reach))
    rows, columns = (slice(max(0, at), min(size, at + len(cover))) for at, size in ((top, height), (left, width)))
    share = cover[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    before = changed[rows, columns]
    after = before + (_fill(before, other, rng) - before) * share
    seen = np.abs(after - before).mean(-1) > _SEEN
    mask[rows, columns] |= seen & (share[..., 0] > _COVERED)
    changed[rows, columns] = after


def _cover(extent: float, rng: np.random.Generator) -> Image:
    """How far a defect covers each pixel, 0..1; a square of odd side around it."""
    reach = math.ceil(1.5 * extent) + _MARGIN
    kind = rng.integers(5)
    if kind == 0:
        cover = _ellipse(extent, reach, rng)
    elif kind in (1, 2):
        cover = _scratch(extent, reach, rng)
    elif kind == 3:
        cover = _blot(reach, rng)
    else:
        cover = _rectangle(extent, reach, rng)
    if rng.random() < 0.6:
        softness = rng.uniform(0.5, min(3.0, 0.3 + extent / 4))
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), softness), np.float32)
    return cover


def _empty(reach: int) -> Image:
    return np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)


def _ellipse(extent: float, reach: int, rng: np.random.Generator) -> Image:
    cover = _empty(reach)
    axes = (int(extent) + 1, int(extent * rng.uniform(0.25, 1)) + 1)
    cv2.ellipse(cover, (reach, reach), axes, rng.uniform(0, 180), 0, 360, 1, cv2.FILLED)
    return cover


def _scratch(extent: float, reach: int, rng: np.random.Generator) -> Image:
    """A wandering stroke."""
    steps = int(rng.integers(3, 9))
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, 0.45, steps))
    moves = 2.6 * extent / steps * np.stack([np.cos(headings), np.sin(headings)], 1)
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)])
    points += reach - points.mean(0)
    cover = _empty(reach)
    cv2.polylines(cover, [points.astype(np.int32)], False, 1, int(rng.integers(1, 4)))
    return cover


def _blot(reach: int, rng: np.random.Generator) -> Image:
    """Where soft noise is high, near the middle."""
    side = 2 * reach + 1
    away = np.linspace(-1.6, 1.6, side) ** 2
    hill = np.exp(-(away[:, None] + away[None]))
    return (_soft_noise((side, side), rng) * hill > rng.uniform(0.15, 0.5)).astype(np.float32)


def _rectangle(extent: float, reach: int, rng: np.random.Generator) -> Image:
    cover = _empty(reach)
    high, wide = (max(1, int(extent * rng.uniform(0.3, 1))) for _ in range(2))
    cover[reach - high : reach + high, reach - wide : reach + wide] = 1
    return cover


def _fill(before: Image, other: Image, rng: np.random.Generator) -> NDArray[Any]:
    """What a defect shows, h x w x C: another shade, texture from elsewhere, one colour, a smear, or a stain."""
    channels = before.shape[2]
    kind = rng.integers(5)
    if kind == 0:
        colour = np.ones(channels) if rng.random() < 0.6 else rng.random(channels)
        return before + rng.normal(0, 0.6) * colour
    if kind == 1:
        return _from_elsewhere(before, other, rng)
    if kind == 2:
        colour = rng.normal(0, 1.2, channels) if rng.random() < 0.4 else np.full(channels, rng.normal(0, 1.2))
        return np.broadcast_to(colour, before.shape)
    if kind == 3:
        return _smear(before, rng)
    stain = _soft_noise((before.shape[0], before.shape[1]), rng)[..., None] * rng.uniform(0, 0.5)
    return before * rng.uniform(0.3, 1.6) + stain


def _from_elsewhere(before: Image, other: Image, rng: np.random.Generator) -> Image:
    """Of the other picture, half the time at the brightness that was here."""
    (height, width), (high, wide) = other.shape[:2], before.shape[:2]
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    foreign = other[top : top + high, left : left + wide]
    return foreign - foreign.mean((0, 1)) + before.mean((0, 1)) if rng.random() < 0.5 else foreign


def _smear(before: Image, rng: np.random.Generator) -> Image:
    """Out of focus, or a few px away from where it belongs."""
    if rng.random() < 0.5:
        blurred: Image = np.empty_like(before)
        sigma = rng.uniform(1.5, 4)
        for channel in range(before.shape[2]):
            blurred[..., channel] = cv2.GaussianBlur(np.ascontiguousarray(before[..., channel]), (0, 0), sigma)
        return blurred
    down, right = (int(step) for step in rng.integers(2, 8, 2) * rng.choice([-1, 1], 2))
    return np.roll(before, (down, right), (0, 1))


def _soft_noise(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """H x W, about unit variance, changing over a fraction of the size."""
    cells = int(rng.integers(2, 6))
    noise = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.float32)
