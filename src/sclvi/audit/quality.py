"""What kind of photograph each picture is: sharpness, brightness, clipping, size. Each is judged against the others'.

Measured on the pictures as they are learned from, reduced and aligned: blur that is gone then does no harm.
"""

import math

import cv2
import numpy as np
from torch import Tensor

from sclvi.audit.robust import Values

_DARKEST, _BRIGHTEST = 1 / 255, 254 / 255  # at and beyond these a sensor of eight bits tells nothing
_FAINTEST = 1e-6  # stands in for a variance of 0


def sharpness(image: Tensor) -> float:
    """Logarithm of the variance of the Laplacian over that of the grey picture: a dim lamp is no blur.

    C x H x W float.
    """
    grey = image.mean(0).numpy()
    edges = float(cv2.Laplacian(grey, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE).var())
    return math.log((edges + _FAINTEST) / (float(grey.var()) + _FAINTEST))


def brightness(image: Tensor) -> float:
    """Mean; C x H x W float 0..1."""
    return image.mean().item()


def clipped_share(image: Tensor) -> float:
    """Share of the values that are black or full white; C x H x W float 0..1."""
    return ((image <= _DARKEST) | (image >= _BRIGHTEST)).double().mean().item()


def log_size(sizes: list[tuple[int, int]]) -> Values:
    """Logarithms of height and of width as the pictures were taken; N x (height, width) px -> 2 x N."""
    return np.log(np.array(sizes, np.float64)).T
