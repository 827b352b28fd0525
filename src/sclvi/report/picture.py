"""A picture of any depth and size as the eight-bit RGB that people look at."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.eight_bit import to_eight_bit

SMALLEST_SIDE = 512  # longer side of a drawn picture: below this, boxes and their numbers would hide the part
LARGEST_SIDE = 1600  # above this, a folder of overlays outgrows the pictures themselves


def drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a picture when drawn: small ones enlarged by a whole number, large ones shrunk."""
    height, width = size
    longer = max(height, width)
    if longer < SMALLEST_SIDE:
        factor = math.ceil(SMALLEST_SIDE / longer)
        return height * factor, width * factor
    shrink = min(1.0, LARGEST_SIDE / longer)
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def shown_channels(channels: int) -> str:
    """Which channels `to_drawn_rgb` shows of so many, in words; empty where it shows them all."""
    if channels in (1, 3):
        return ""
    return "channel 1 of 2" if channels == 2 else f"channels 1-3 of {channels}"


def to_drawn_rgb(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The picture as drawn.

    Args:
        picture: H x W x C (or H x W) uint8, uint16 (stretched over its own range: cameras rarely fill 16 bits) or
            float (as it is where it lies in 0..1 and spans a tenth of that, else each channel over its own range; not
            a number becomes 0). One or two channels are shown as grey from the first, more as RGB from the first three.

    Returns:
        h x w x 3 uint8 RGB, with (h, w) = `drawn_size((H, W))`; the same pixels where no resizing is needed.

    Raises:
        ValueError: another dtype or number of axes, or no pixels.
    """
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or 0 in picture.shape:
        raise ValueError(f"a picture is H x W x C with at least one pixel, not {picture.shape}")
    channels = picture[:, :, :3] if picture.shape[2] >= 3 else picture[:, :, :1]
    eight_bit = to_eight_bit(_resize(channels))
    return np.ascontiguousarray(np.broadcast_to(eight_bit, (*eight_bit.shape[:2], 3)))


def _resize(picture: NDArray[np.generic]) -> NDArray[np.generic]:
    size = (int(picture.shape[0]), int(picture.shape[1]))
    height, width = drawn_size(size)
    if (height, width) == size:
        return picture
    if height >= size[0] and width >= size[1]:  # whole factor: each pixel becomes a square and nothing is invented
        return picture.repeat(height // size[0], axis=0).repeat(width // size[1], axis=1)
    if picture.dtype.kind == "f":
        picture = np.nan_to_num(picture.astype(np.float32), nan=0.0)
    resized = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized).reshape(height, width, picture.shape[2])
