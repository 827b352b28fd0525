"""What a picture is once it is read, and the caller's arrays brought to that form."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sclvi.errors import SclviError

Picture = NDArray[Any]  # H x W x C: uint8, uint16 or float32

MAX_PIXELS = 100_000_000
MAX_CHANNELS = 16
MIN_SIDE = 16
_NO_DATA = 1e30  # or more, either way, is no measurement


def full_scale(picture: Picture) -> float:
    """The number that counts as 1: the largest of the type; of float, whose full scale only its maker knows, 1."""
    return 1.0 if picture.dtype.kind == "f" else float(np.iinfo(picture.dtype).max)


def digest_of(picture: Picture) -> str:
    """By which the same picture is known again, whatever its file is called; H x W x C -> SHA-256."""
    digest = hashlib.sha256(f"{picture.shape} {picture.dtype.str}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def as_picture(array: ArrayLike) -> Picture:
    """Check a user's array and give it a picture's form.

    array: H x W or H x W x C; uint8, uint16, float32, float64 (-> float32), bool (-> 0 and 255). Returns H x W x C
    uint8, uint16 or float32 in the machine's byte order; may share the array's memory. Raises SclviError for another
    shape or type, a side under MIN_SIDE, more than MAX_CHANNELS channels, or what `as_float32` refuses.
    """
    picture = np.asarray(array)
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or min(picture.shape[:2]) < MIN_SIDE or not 1 <= picture.shape[2] <= MAX_CHANNELS:
        shape = " x ".join(map(str, np.shape(array))) or "a single number"
        raise SclviError(
            f"array is {shape}; height x width (x channels) is needed, both sides at least {MIN_SIDE}, "
            f"at most {MAX_CHANNELS} channels"
        )
    if picture.dtype == np.bool_:
        return picture.astype(np.uint8) * np.uint8(255)
    if picture.dtype.kind + str(picture.dtype.itemsize) in ("u1", "u2"):
        return picture.astype(picture.dtype.newbyteorder("="), copy=False)
    if picture.dtype.kind + str(picture.dtype.itemsize) not in ("f4", "f8"):
        raise SclviError(f"array holds {picture.dtype}; uint8, uint16, float32, float64 or bool is needed")
    return as_float32(picture, "array ")


def as_float32(picture: Picture, what: str = "") -> Picture:
    """A float picture in the one kind of float that pictures have.

    Raises SclviError, its line starting with `what`, where a value is NaN, infinite or stands for no value, as
    GeoTIFF's -3.4e38 does.
    """
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused in the next line
        picture = picture.astype(np.float32, copy=False)
    if not (picture.min() > -_NO_DATA and picture.max() < _NO_DATA):  # a NaN is neither
        raise SclviError(f"{what}holds NaN, infinite or no-data values")
    return picture
