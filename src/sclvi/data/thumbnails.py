"""Thumbnails of training pictures, small enough to travel inside the model."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.eight_bit import to_eight_bit

_SIDES = (480, 384, 320, 256, 192, 128, 96, 64)  # px, longer side; the first that fits is taken
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_OPTIMIZE, 1)


def encode_thumbnail(picture: NDArray[np.generic], most_bytes: int) -> bytes:
    """A JPEG of a picture, as large as the bytes allow; never larger than the picture.

    Args:
        picture: H x W x C uint8, uint16 or float 0..1; fewer than three channels are shown as grey from the first.

    Returns:
        The file; empty where even the longer side of 64 px does not fit.
    """
    height, width = picture.shape[:2]
    shown = np.ascontiguousarray(picture[..., 2::-1] if picture.shape[2] >= 3 else picture[..., 0])  # BGR for OpenCV
    for side in _SIDES:
        shrink = min(1.0, side / max(height, width))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small = to_eight_bit(cv2.resize(shown, size, interpolation=cv2.INTER_AREA))
        encoded = cv2.imencode(".jpg", small, _JPEG)[1].tobytes()
        if len(encoded) <= most_bytes:
            return encoded
    return b""


def decode_thumbnail(encoded: bytes) -> NDArray[np.uint8] | None:
    """h x w x 3 uint8 RGB; None where there is no picture in it."""
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB) if encoded else None
    return None if decoded is None else decoded.astype(np.uint8, copy=False)
