"""Views: a picture in other light and a few pixels aside, so that pairs are told by content, not by shortcuts."""

import torch
from torch import Tensor

from sclvi.encoders.interface import PATCH_SIZES


def two_views(
    images: Tensor,
    max_shift: int,
    colour_shift: float,
    noise: float,
    generator: torch.Generator,
    light_generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Two crops of each picture, each with its own colour shift and noise; never shifted alike, unless max_shift is 0.

    Args:
        images: B x C x H x W float, prepared by `Light`.
        max_shift: px. An encoder that sees patches at multiples of 4 px alone meets every offset between two patches
            when its views are shifted by 0 to 3 px.
        colour_shift: standard deviation of what is added to each channel (section 3.1).
        noise: standard deviation of what is added to each value.
        generator: draws the shifts, on the CPU.
        light_generator: draws colour shift and noise, on the device of the images; on a CPU it may be the same.

    Returns:
        Two of B x C x (H - max_shift) x (W - max_shift).
    """
    width = max_shift + 1
    cells = torch.randperm(width**2, generator=generator).tolist()
    size = (images.shape[2] - max_shift, images.shape[3] - max_shift)

    def normal(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=light_generator, device=images.device)

    def view(cell: int) -> Tensor:
        top, left = divmod(cell, width)
        crop = images[:, :, top : top + size[0], left : left + size[1]]
        colour = colour_shift * normal((*images.shape[:2], 1, 1))
        return crop + colour + noise * normal(crop.shape)

    return view(cells[0]), view(cells[-1])


def repeat_quarter(views: Tensor, generator: torch.Generator) -> Tensor:
    """Four copies of a random quarter of each picture, for pretexts that change whole views and ask what was changed.

    The same content under four changes in one step, as rotation is learned by its authors (Gidaris et al. 2018), at the
    cost of one whole view: with a single change a step, the classifier only follows the last answer.

    2B x C x H x W -> 8B x C x H // 2 x W // 2: the copies of a picture together, first views before second ones, both
    cut alike. Views whose quarters are smaller than the larger patch stay whole.
    """
    height, width = views.shape[2] // 2, views.shape[3] // 2
    if min(height, width) < max(PATCH_SIZES):
        return views
    return crop_alike(views, (height, width), generator).repeat_interleave(4, dim=0)


def crop_alike(views: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A random part of size (h, w) of each picture, the same of both its views; 2B x C x H x W -> 2B x C x h x w."""
    pictures, (height, width) = len(views) // 2, size
    tops = torch.randint(views.shape[2] - height + 1, (pictures,), generator=generator).repeat(2)
    lefts = torch.randint(views.shape[3] - width + 1, (pictures,), generator=generator).repeat(2)
    parts = [
        view[:, top : top + height, left : left + width]
        for view, top, left in zip(views, tops.tolist(), lefts.tolist(), strict=True)
    ]
    return torch.stack(parts)
