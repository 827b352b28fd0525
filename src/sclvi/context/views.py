"""Views: a picture in other light and a few pixels aside, so that pairs are told by content, not by shortcuts."""

import torch
from torch import Tensor


def two_views(
    images: Tensor, max_shift: int, colour_shift: float, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two crops of each picture, each with its own colour shift and noise; never shifted alike, unless max_shift is 0.

    Args:
        images: B x C x H x W float, prepared by `Light`.
        max_shift: px. An encoder that sees patches at multiples of 4 px alone meets every offset between two patches
            when its views are shifted by 0 to 3 px.
        colour_shift: standard deviation of what is added to each channel (section 3.1).
        noise: standard deviation of what is added to each value.

    Returns:
        Two of B x C x (H - max_shift) x (W - max_shift).
    """
    width = max_shift + 1
    cells = torch.randperm(width**2, generator=generator).tolist()
    size = (images.shape[2] - max_shift, images.shape[3] - max_shift)

    def view(cell: int) -> Tensor:
        top, left = divmod(cell, width)
        crop = images[:, :, top : top + size[0], left : left + size[1]]
        colour = colour_shift * torch.randn((*images.shape[:2], 1, 1), generator=generator)
        return crop + colour + noise * torch.randn(crop.shape, generator=generator)

    return view(cells[0]), view(cells[-1])
