"""Light: brightness and contrast of a picture are a matter of the lamp, not of the part."""

from dataclasses import dataclass

from torch import Tensor

_FLOOR = 1e-3  # a picture without contrast stays finite; 0.1 % of full scale is below the noise of an 8-bit camera


def normalise_light(images: Tensor) -> Tensor:
    """Give each picture mean 0 and standard deviation 1 over all its values together.

    One mean and one deviation for all channels, so that colour relations stay; B x C x H x W float -> the same.
    """
    centred = images - images.mean((1, 2, 3), keepdim=True)
    deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()  # torch's own `std` takes ten times as long
    return centred / (deviation + _FLOOR)


@dataclass(frozen=True)
class Light:
    """What is done to the light of a picture before it is encoded."""

    mean: Tensor | None  # C x H x W, the mean good picture, which is subtracted; None: each picture by itself

    def __call__(self, images: Tensor) -> Tensor:
        """B x C x H x W float 0..1 -> the same shape, as the encoder wants it."""
        return normalise_light(images) if self.mean is None else images - self.mean
