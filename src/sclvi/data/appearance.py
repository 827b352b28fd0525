"""Appearance: a picture in a few numbers, taken before its light is normalised and its part aligned.

They tell of the camera and the lamp, not of the part: a defect, being local, hardly moves any of them.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sclvi.data.pose import Array, contrast_picture

Appearance = Mapping[str, float]

_FLOOR = 1e-6  # black and flat pictures stay finite
_FINE, _COARSE = 1.0, 2.0  # sigma of the filters that part the finest detail from the next coarser, px
_MOST = 1e12  # of the values of float pictures, whose squares stay finite


def measure_appearance(image: Tensor, contrast: Array | None = None) -> dict[str, float]:
    """A picture in numbers that are always finite.

    Args:
        image: as `prepare` gives it, C x H x W float, 0..1.
        contrast: its contrast picture, where it is at hand.

    Returns:
        level: mean of all values.
        contrast: standard deviation of the grey picture over its mean; the lamp's brightness does not change it.
        detail: log of the energy between sigma 0 and 1 px over that between 1 and 2 px; focus and noise, not contrast.
        across, down: centroid of the squared contrast with the background (`contrast_picture`), as shares of width and
            height; squared, so that noise of a large background counts for little.
        red, blue: log of that channel's mean over green's, of three channels; of another number of channels,
            channel1, channel3 and so on over the second.
    """
    image = image.clamp(-_MOST, _MOST)
    channels = image.numpy()
    grey = np.ascontiguousarray(channels.mean(0))
    level, deviation = (moment.item() for moment in cv2.meanStdDev(grey))
    seen = contrast_picture(image) if contrast is None else contrast
    across, down = _centroid(np.square(seen, dtype=np.float64))
    return {
        "level": level,
        "contrast": deviation / max(level, _FLOOR),
        "detail": _detail(grey),
        "across": across,
        "down": down,
        **_balance(channels.mean((1, 2), dtype=np.float64)),
    }


def _detail(grey: Array) -> float:
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    energies = [cv2.norm(one, next_, cv2.NORM_L2SQR) / grey.size for one, next_ in ((grey, fine), (fine, coarse))]
    return float(np.log((energies[0] + _FLOOR**2) / (energies[1] + _FLOOR**2)))


def _centroid(weights: NDArray[np.float64]) -> tuple[float, float]:
    """(x, y) as shares of the sides; the middle where there is no weight."""
    height, width = weights.shape
    total = float(weights.sum())
    if total < _FLOOR**2:
        return 0.5, 0.5
    x = float(weights.sum(0) @ (np.arange(width) + 0.5)) / total
    y = float(weights.sum(1) @ (np.arange(height) + 0.5)) / total
    return x / width, y / height


def _balance(means: NDArray[np.float64]) -> dict[str, float]:
    if len(means) == 1:
        return {}
    names = ("red", "green", "blue") if len(means) == 3 else [f"channel{number}" for number in range(1, len(means) + 1)]
    logs = np.log(np.maximum(means, _FLOOR))
    return {
        name: float(log - logs[1]) for number, (name, log) in enumerate(zip(names, logs, strict=True)) if number != 1
    }
