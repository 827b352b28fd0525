"""To see a picture that was learned from as if it were new."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sclvi.data.images import Images, Selection, batch_length
from sclvi.memory.surface import SurfaceMoments
from sclvi.scoring.inspector import Inspector


def score_as_stranger(
    inspector: Inspector, moments: SurfaceMoments | None, images: Images, own: range
) -> Iterator[list[Tensor]]:
    """The maps of one of the remembered pictures as if nothing had been kept of it.

    Args:
        inspector: its memory holds the codes of `images`, in this order; its surface is not looked at. Its detector
            stays as it is: it hardly knows by heart what it learned from (docs/decisions/0007).
        moments: of `images`; None: there is no surface.
        images: N x C x h x w float, prepared by `Light`; of two pictures at least.
        own: the numbers of those that show the picture: one, or its tiles.

    Yields:
        In order of `own`, some images at a time: B x h x w float for each kind of map.
    """
    numbers = torch.arange(own.start, own.stop)
    surface = moments.surface_without(Selection(images, numbers)) if moments is not None else None
    stranger = replace(inspector, surface=surface)
    for batch in numbers.split(batch_length(images)):
        yield stranger.score(images[batch], without=own)[0]
