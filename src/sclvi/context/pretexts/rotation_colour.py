"""By which multiple of 90 degrees is the picture turned, and in which order are its channels? (Lee et al. 2020)"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.context.pretexts.colour import Colour, channel_orders
from sclvi.context.pretexts.rotation import TURNS, Rotation
from sclvi.context.pretexts.singles import draw_single_patches
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame


class RotationColour(Pretext):
    """The paper's RR: one classifier of joint classes, which gets the code of one patch."""

    name: ClassVar[str] = "rotation_colour"
    changes_views: ClassVar[bool] = True

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, TURNS * len(channel_orders(channels)))

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turn as `Rotation` does, reorder channels as `Colour` does; the change is turn * number of orders + order.

        2B x C x H x W float -> 2B x C x S x S with S = min(H, W), and the joint classes, 2B int64.
        """
        turned, turns = Rotation.change_views(views, generator)
        changed, orders = Colour.change_views(turned, generator)
        return changed, turns * len(channel_orders(views.shape[1])) + orders

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_single_patches(count, frame, changes, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        (code,) = codes
        logits: Tensor = self.classifier(code)
        return logits
