"""In which order are the picture's channels? (Lee et al. 2020)"""

from itertools import permutations
from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.singles import ChangedViewPretext, draw_changes


def channel_orders(channels: int) -> tuple[tuple[int, ...], ...]:
    """Orders of channels that are told apart, the identity first: all C! for C <= 3, above that the C cyclic shifts.

    C! classes would soon be too many (C = 7: 5040). One channel has one order: nothing to learn.
    """
    if channels <= 3:
        return tuple(permutations(range(channels)))
    return tuple(tuple((first + c) % channels for c in range(channels)) for first in range(channels))


class Colour(ChangedViewPretext):
    """The classifier gets the code of one patch."""

    name: ClassVar[str] = "colour"

    @staticmethod
    def count_changes(channels: int) -> int:
        return len(channel_orders(channels))

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Put the channels in another order: the new channel c is the old `channel_orders(C)[change][c]`.

        2B x C x H x W float -> the same shape, and the orders, 2B int64.
        """
        orders = torch.tensor(channel_orders(views.shape[1]))
        changes = draw_changes(len(views) // 2, len(orders), generator).repeat(2)
        return views[torch.arange(len(views))[:, None], orders[changes]], changes
