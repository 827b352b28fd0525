"""To see pictures that were learned from as if they were new."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sclvi.data.images import Images, Selection, batch_length
from sclvi.memory.surface import SurfaceMoments
from sclvi.scoring.inspector import Inspector


@dataclass(frozen=True)
class Stranger:
    """An inspector to which some of the remembered images are new, as if nothing had been kept of them.

    Its detector stays as it is: it hardly knows by heart what it learned from (docs/decisions/0007).
    """

    inspector: Inspector  # its memory holds them, its surface has not seen them
    left_out: range  # their numbers, by the order in which they were remembered

    @classmethod
    def to(cls, inspector: Inspector, moments: SurfaceMoments | None, images: Images, left_out: range) -> "Stranger":
        """To images that it remembers.

        Args:
            inspector: its memory holds the codes of `images`, in this order; its surface is not looked at.
            moments: of `images`; None: there is no surface.
            images: N x C x h x w float, prepared by `Light`; one at least must be left.
            left_out: numbers of images.
        """
        numbers = torch.arange(left_out.start, left_out.stop)
        surface = moments.surface_without(Selection(images, numbers)) if moments is not None else None
        return cls(replace(inspector, surface=surface), left_out)

    def score(self, images: Images, own: range) -> Iterator[list[Tensor]]:
        """The maps of some of the images left out: those that show one picture, be it one or its tiles.

        Yields:
            In order of `own`, some images at a time: B x h x w float for each kind of map.
        """
        for batch in torch.arange(own.start, own.stop).split(batch_length(images)):
            yield self.inspector.score(images[batch], without=self.left_out)[0]
