"""Views: a picture in other light and a few pixels aside, so that pairs are told by content, not by shortcuts."""

import torch
from torch import Tensor

MAX_SHIFT = 3  # px; with a map stride of 4 every offset between two patches can occur
COLOUR_SHIFT = 0.1  # standard deviations of the light-normalised picture: 0.02 of full scale on usual contrast
NOISE = 0.05


def two_views(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two crops of each picture, shifted by 0 to 3 px and never the same, each with its own colour shift and noise.

    B x C x H x W float, light-normalised -> two of B x C x (H - 3) x (W - 3).
    """
    cells = (MAX_SHIFT + 1) ** 2
    first, second = torch.randperm(cells, generator=generator)[:2].tolist()
    return _view(images, divmod(first, MAX_SHIFT + 1), generator), _view(
        images, divmod(second, MAX_SHIFT + 1), generator
    )


def _view(images: Tensor, shift: tuple[int, int], generator: torch.Generator) -> Tensor:
    height, width = images.shape[2] - MAX_SHIFT, images.shape[3] - MAX_SHIFT
    crop = images[:, :, shift[0] : shift[0] + height, shift[1] : shift[1] + width]
    colour = COLOUR_SHIFT * torch.randn((*images.shape[:2], 1, 1), generator=generator)
    return crop + colour + NOISE * torch.randn(crop.shape, generator=generator)
