"""By which multiple of 90 degrees is the picture turned, and in which order are its channels? (Lee et al. 2020)"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.colour import Colour, channel_orders
from sclvi.context.pretexts.rotation import TURNS, Rotation
from sclvi.context.pretexts.singles import ChangedViewPretext


class RotationColour(ChangedViewPretext):
    """The paper's RR: one classifier of joint classes, which gets the code of one patch."""

    name: ClassVar[str] = "rotation_colour"

    @staticmethod
    def count_changes(channels: int) -> int:
        return TURNS * len(channel_orders(channels))

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turn as `Rotation` does, reorder channels as `Colour` does; the change is turn * number of orders + order.

        2B x C x H x W float -> 2B x C x S x S with S = min(H, W), and the joint classes, 2B int64.
        """
        turned, turns = Rotation.change_views(views, generator)
        changed, orders = Colour.change_views(turned, generator)
        return changed, turns * len(channel_orders(views.shape[1])) + orders
