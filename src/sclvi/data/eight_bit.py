"""Pictures of any depth at the eight bits that people look at."""

import numpy as np
from numpy.typing import NDArray

_LEAST_SPAN = 256  # grey levels of a 16-bit picture; stretching less would show the noise of the camera
_LEAST_SHARE = 0.1  # of 0..1 that a float picture spans if that is its scale


def to_eight_bit(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    """uint8, uint16 (stretched over its own range), float (0..1, or stretched by channel) -> uint8 of the same shape.

    Raises:
        ValueError: another dtype.
    """
    if picture.dtype == np.uint8:
        return picture.astype(np.uint8)
    if picture.dtype == np.uint16:
        values = picture.astype(np.float32)
        low, high = np.percentile(values, (0.1, 99.9))  # a hot pixel does not darken the rest
        unit = (values - low) / max(high - low, _LEAST_SPAN)
    elif picture.dtype.kind == "f":
        unit = _float_to_unit(np.nan_to_num(picture.astype(np.float32), nan=0.0))
    else:
        raise ValueError(f"a picture is uint8, uint16 or float, not {picture.dtype}")
    return np.asarray(np.rint(unit.clip(0, 1) * 255), np.uint8)


def _float_to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if values.min() >= 0 and np.ptp(values) >= _LEAST_SHARE and values.max() <= 1:
        return values
    low, high = np.percentile(values, (0.1, 99.9), axis=(0, 1))
    return np.asarray((values - low) / np.maximum(high - low, np.finfo(np.float32).tiny), np.float32)
