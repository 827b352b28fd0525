"""Light: brightness and contrast of a picture are a matter of the lamp, not of the part."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sclvi.data.arrays import Picture
from sclvi.data.levels import Levels
from sclvi.data.preparing import to_image

_BAND = 256  # rows that are looked at at a time: a large picture has no second copy
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
    """Of H x W x C, at its own depth and size, as its tiles are clipped: a dead pixel would decide otherwise."""
    bands = (to_image(picture[top : top + _BAND], levels).numpy() for top in range(0, len(picture), _BAND))
    moments = [(band.size, band.mean(dtype=np.float64), band.var(dtype=np.float64)) for band in bands]
    counts, means, variances = np.array(moments).T
    mean = np.average(means, weights=counts)
    return Exposure(float(mean), float(np.sqrt(np.average(variances + np.square(means - mean), weights=counts))))


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
