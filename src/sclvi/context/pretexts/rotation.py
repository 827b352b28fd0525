"""By which multiple of 90 degrees is the picture turned? (Gidaris et al. 2018)"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.singles import ChangedViewPretext, draw_changes
from sclvi.context.views import crop_alike

TURNS = 4


class Rotation(ChangedViewPretext):
    """The classifier gets the code of one patch."""

    name: ClassVar[str] = "rotation"

    @staticmethod
    def count_changes(channels: int) -> int:
        return TURNS

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turn pictures counterclockwise by 0 to 3 quarters; what is not square is first cut to a random square of it.

        2B x C x H x W float -> 2B x C x S x S with S = min(H, W), and the quarter turns, 2B int64 in 0..3.
        """
        side = min(views.shape[2:])
        squares = crop_alike(views, (side, side), generator)
        turns = draw_changes(len(views) // 2, TURNS, generator).repeat(2)
        turned = [torch.rot90(square, turn, (1, 2)) for square, turn in zip(squares, turns.tolist(), strict=True)]
        return torch.stack(turned), turns
