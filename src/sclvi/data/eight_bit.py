"""Pictures of any depth at the eight bits that people look at."""

import numpy as np
from numpy.typing import NDArray

_LEAST_SPAN = 256  # grey levels of a 16-bit picture; stretching less would show the noise of the camera


def to_eight_bit(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    """uint8, uint16 (stretched over its own range) or float 0..1 (clipped) -> uint8 of the same shape.

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
        unit = np.nan_to_num(picture.astype(np.float32), nan=0.0)
    else:
        raise ValueError(f"a picture is uint8, uint16 or float, not {picture.dtype}")
    return np.asarray(np.rint(unit.clip(0, 1) * 255), np.uint8)
