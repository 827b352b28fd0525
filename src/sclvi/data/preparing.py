"""Preparing: from a picture of any size, depth and kind to the one shape that a model was trained on."""

import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sclvi.data.reading import MIN_SIDE
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
    unit: NDArray[np.float32] = np.divide(picture, np.float32(np.iinfo(picture.dtype).max), dtype=np.float32)
    return unit


def prepare(picture: NDArray[Any], size: tuple[int, int], channels: int) -> torch.Tensor:
    """Fit a picture to a model.

    picture: H x W x C, uint8, uint16 or float32. size: (height, width). Returns channels x height x width float32, 0..1
    (float pictures: as they are), contiguous, sharing no memory with the picture. Sides that shrink are averaged over
    areas, sides that grow are interpolated. Raises SclviError where the channels do not fit (see fit_channels).
    """
    resized = _resize(fit_channels(picture, channels), size)
    if resized.shape[2] < channels:
        resized = np.repeat(resized, channels, axis=2)
    return torch.from_numpy(np.ascontiguousarray(scale_to_unit(resized).transpose(2, 0, 1)))


def fit_channels(picture: NDArray[Any], channels: int) -> NDArray[Any]:
    """Drop the channels that a model does not need; H x W x C -> H x W x channels, or x 1 where grey is to be repeated.

    RGBA loses its alpha for an RGB model, RGB whose three channels are equal becomes grey for a grey one.
    Raises SclviError for any other difference.
    """
    has = picture.shape[2]
    if has == channels or (has == 1 and channels == 3):
        return picture
    if has == 4 and channels == 3:
        return picture[..., :3]
    if has == 3 and channels == 1 and (picture[..., :1] == picture[..., 1:]).all():
        return picture[..., :1]
    raise SclviError(f"has {has} channels, the model was trained on {channels}")


def as_picture(array: ArrayLike) -> NDArray[Any]:
    """Check a user's array and give it a picture's form.

    array: H x W or H x W x C; uint8, uint16, float32, float64 (-> float32), bool (-> 0 and 255). Returns H x W x C
    uint8, uint16 or float32 in the machine's byte order; may share the array's memory. Raises SclviError for another
    shape or type, a side under MIN_SIDE, NaN or infinity.
    """
    picture = np.asarray(array)
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or min(picture.shape[:2]) < MIN_SIDE or picture.shape[2] == 0:
        shape = " x ".join(map(str, np.shape(array))) or "a single number"
        raise SclviError(f"array is {shape}; height x width (x channels) is needed, both sides at least {MIN_SIDE}")
    if picture.dtype == np.bool_:
        return picture.astype(np.uint8) * np.uint8(255)
    if picture.dtype.kind + str(picture.dtype.itemsize) in ("u1", "u2"):
        return picture.astype(picture.dtype.newbyteorder("="), copy=False)
    if picture.dtype.kind + str(picture.dtype.itemsize) not in ("f4", "f8"):
        raise SclviError(f"array holds {picture.dtype}; uint8, uint16, float32, float64 or bool is needed")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused in the next line
        picture = picture.astype(np.float32, copy=False)
    if not np.isfinite(picture).all():
        raise SclviError("array holds NaN or infinite values")
    return picture


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


def _resize(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize H x W x C at its own depth to size[0] x size[1] x C."""
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
