"""To see a picture that was learned from as if it were new."""

from dataclasses import replace

from torch import Tensor

from sclvi.memory.surface import SurfaceMoments
from sclvi.scoring.inspector import Inspector


def score_as_stranger(
    inspector: Inspector, moments: SurfaceMoments | None, images: Tensor, number: int
) -> list[Tensor]:
    """The maps of one of the remembered pictures as if nothing had been kept of it, 1 x H x W for each kind of map.

    Args:
        inspector: its memory holds the codes of `images`, in this order; its surface is not looked at.
        moments: of `images`; None: there is no surface.
        images: N x C x H x W float, prepared by `Light`; two pictures at least.
        number: which of them.
    """
    image = images[number][None]
    surface = moments.surface_without(image) if moments is not None else None
    return replace(inspector, surface=surface).score(image, without_picture=number)[0]
