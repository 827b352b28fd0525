"""Preparing: from a picture of any size, depth and kind to the one shape that a model was trained on."""

import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sclvi.data.arrays import Picture, full_scale
from sclvi.data.levels import HIGHEST, LOWEST, Levels
from sclvi.errors import SclviError

_SMALLEST, _LARGEST = (
    64,
    4096,
)  # sides that a model can be asked to work at: one patch of the large scale, and a whole sensor
_LONGEST = 4  # long side over short side


def scale_to_unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Bring a picture to float32 by its depth, in a new array of the same shape.

    uint8 0..255 and uint16 0..65535 -> 0..1. float32 is taken as it is: what full scale is there, only its maker knows.
    """
    if picture.dtype == np.float32:
        return picture.copy()
    unit: NDArray[np.float32] = np.divide(picture, np.float32(full_scale(picture)), dtype=np.float32)
    return unit


def prepare(picture: Picture, size: tuple[int, int], channels: int, levels: Levels | None = None) -> torch.Tensor:
    """Fit a picture to a model.

    picture: H x W x C. size: (height, width). Returns channels x height x width float32, contiguous, sharing no memory
    with the picture; by `levels`, or without them 0..1 (float pictures: as they are, clipped to LOWEST..HIGHEST). Sides
    that shrink are averaged over areas, sides that grow are interpolated. Raises SclviError where the channels (see
    `fit_channels`) or the kind of numbers (see `Levels`) do not fit.
    """
    fitting = fit_channels(picture, channels)
    if levels is not None:
        levels.check(picture)
    return to_image(resize(fitting, size), levels)


def to_image(picture: Picture, levels: Levels | None) -> torch.Tensor:
    """A picture that fits, at its own size: H x W x C -> C x H x W float32, as `prepare` gives it."""
    unit = scale_to_unit(picture)
    if levels is not None:
        unit = levels.apply(unit)
    elif picture.dtype.kind == "f":
        unit = unit.clip(LOWEST, HIGHEST)
    return torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1)))


def fit_channels(picture: Picture, channels: int) -> Picture:
    """H x W x C -> H x W x channels; raises SclviError where that would take or invent something.

    RGB whose three channels are equal is a grey picture in another form, and becomes grey for a grey model.
    """
    has = picture.shape[2]
    if has == channels:
        return picture
    if has == 3 and channels == 1 and (picture[..., :1] == picture[..., 1:]).all():
        return picture[..., :1]
    raise SclviError(
        f"has {has} channel{'' if has == 1 else 's'} where {channels} {'is' if channels == 1 else 'are'} expected"
    )


def working_size(sizes: Sequence[tuple[int, int]], short_side: int) -> tuple[int, int]:
    """Choose the one shape that all training pictures are brought to.

    sizes: (height, width) of each picture, one or more. Returns (height, width): square where the median width / height
    is within 10 % of 1; otherwise of the median shape, the long side a multiple of 4 and at most 4 x short_side.
    """
    if not sizes:
        raise SclviError("no picture to take the working size from")
    aspect = float(np.median([width / height for height, width in sizes]))
    stretch = max(aspect, 1 / aspect)
    if stretch <= 1.1 + 1e-9:  # 110 x 100 lies within, whichever way rounding goes
        return short_side, short_side
    long_side = min(4 * round(short_side * stretch / 4), _LONGEST * short_side)
    return (short_side, long_side) if aspect > 1 else (long_side, short_side)


def parse_size(text: str) -> int | tuple[int, int]:
    """Read a size from the command line.

    "256" -> 256, the short side, shape kept; "640x256" (WIDTHxHEIGHT, as people say it) -> (256, 640), height first as
    everywhere in this package. Raises SclviError unless each side is between 64 and 4096.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:[xX×]\s*([0-9]{1,9})\s*)?", text)
    if match is None:
        raise SclviError(f"size {text!r}: a short side such as 256, or WIDTHxHEIGHT such as 640x256, is needed")
    sides = [int(side) for side in match.groups() if side is not None]
    for side in sides:
        if not _SMALLEST <= side <= _LARGEST:
            raise SclviError(f"size {text!r}: {side} is not between {_SMALLEST} and {_LARGEST}")
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])


def resize(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """H x W x C at its own depth to size[0] x size[1] x C.

    Sides that shrink are averaged over areas, sides that grow are interpolated.
    """
    height, width = size
    # Shrink first and grow after: asked for both at once, OpenCV's area averaging silently falls back to interpolation.
    shrunk = (min(height, picture.shape[0]), min(width, picture.shape[1]))
    for (rows, columns), how in ((shrunk, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if picture.shape[:2] != (rows, columns):
            # OpenCV takes four channels at most, and drops a single channel's axis.
            fours = [np.ascontiguousarray(picture[..., at : at + 4]) for at in range(0, picture.shape[2], 4)]
            resized = [cv2.resize(four, (columns, rows), interpolation=how) for four in fours]
            picture = np.concatenate([four.reshape(rows, columns, -1) for four in resized], axis=2)
    return picture
