"""Light: brightness and contrast of a picture are a matter of the lamp, not of the part."""

from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from sclvi.data.arrays import Picture, full_scale
from sclvi.data.levels import Levels

_FLOOR = 1e-3  # a picture without contrast stays finite; 0.1 % of full scale is below the noise of an 8-bit camera


def normalise_light(images: Tensor) -> Tensor:
    """Give each picture mean 0 and standard deviation 1 over all its values together.

    One mean and one deviation for all channels, so that colour relations stay; B x C x H x W float -> the same.
    """
    centred = images - images.mean((1, 2, 3), keepdim=True)
    deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()  # torch's own `std` takes ten times as long
    return centred / (deviation + _FLOOR)


@dataclass(frozen=True)
class Exposure:
    """Mean and standard deviation of all values of a picture together, as `prepare` scales them."""

    mean: float
    deviation: float


def measure_exposure(picture: Picture, levels: Levels | None) -> Exposure:
    """Of H x W x C, at its own depth and size, without a copy of it."""
    full = full_scale(picture)
    moments = [cv2.meanStdDev(picture[..., at : at + 4]) for at in range(0, picture.shape[2], 4)]  # OpenCV takes four
    means, deviations = (np.concatenate(kind)[:, 0] / full for kind in zip(*moments, strict=True))
    if levels is not None:
        span = levels.white - levels.black
        means, deviations = (means - levels.black) / span, deviations / span
    mean = float(means.mean())
    return Exposure(mean, float(np.sqrt((np.square(deviations) + np.square(means - mean)).mean())))


@dataclass(frozen=True)
class Light:
    """What is done to the light of a picture before it is encoded."""

    mean: Tensor | None  # C x H x W, the mean good picture, which is subtracted; None: each picture by itself

    def __call__(self, images: Tensor, exposure: Exposure | None = None) -> Tensor:
        """B x C x H x W float 0..1 -> the same shape, as the encoder wants it.

        Args:
            exposure: of the picture that the images are tiles of: a tile by itself would blow up blank paper's noise.
        """
        if self.mean is not None:
            return images - self.mean
        return normalise_light(images) if exposure is None else (images - exposure.mean) / (exposure.deviation + _FLOOR)
