"""In which order are the nine patches of a 3 x 3 grid shown? (Noroozi & Favaro 2016)"""

from functools import cache
from itertools import chain, permutations
from math import factorial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame, Places, draw_starts, largest_step

TILES = 9
ORDERS = 64


@cache
def distant_orders(tiles: int, count: int) -> tuple[tuple[int, ...], ...]:
    """`count` orders of `tiles` tiles, far from each other in Hamming distance: greedy, as in the paper's algorithm 1.

    The first is the identity; each next one has the largest mean distance to those before. Ties are frequent: of them
    the one farthest from its nearest, then the first in lexicographic order.
    """
    flat = chain.from_iterable(permutations(range(tiles)))
    every = np.fromiter(flat, np.int8, factorial(tiles) * tiles).reshape(-1, tiles).T.copy()  # tiles x tiles!
    total = np.zeros(every.shape[1], np.int64)
    nearest = np.full(every.shape[1], tiles, np.int64)
    chosen: list[int] = []
    for _ in range(count):
        rank = total * (tiles + 1) + nearest  # nearest <= tiles: decides only where the totals are equal
        rank[chosen] = -1
        chosen.append(int(rank.argmax()))
        distance = (every != every[:, chosen[-1], None]).sum(axis=0)
        total += distance
        nearest = np.minimum(nearest, distance)
    return tuple(tuple(every[:, index].tolist()) for index in chosen)


class Puzzle(Pretext):
    """The classifier gets the nine codes joined, in the order in which the patches are shown."""

    name: ClassVar[str] = "puzzle"

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(TILES * CODE_LENGTH, ORDERS)

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        """The k-th patch is that of cell `distant_orders(TILES, ORDERS)[answer][k]`, cells counted row by row.

        All nine are of one picture, each from its first or second view by chance: light does not tell them apart.
        """
        answers = torch.randint(ORDERS, (count,), generator=generator)
        shown = torch.tensor(distant_orders(TILES, ORDERS))[answers]  # count x 9 cells
        tops = _draw_tiles(shown // 3, frame.height, frame, generator)
        lefts = _draw_tiles(shown % 3, frame.width, frame, generator)
        pictures = torch.arange(count) % (frame.view_count // 2)
        second = torch.randint(2, shown.shape, generator=generator)
        views = pictures[:, None] + second * (frame.view_count // 2)
        return Questions(tuple(Places(views[:, k], tops[:, k], lefts[:, k]) for k in range(TILES)), answers)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = self.classifier(torch.cat(codes, dim=1))
        return logits


def _draw_tiles(cells: Tensor, length: int, frame: Frame, generator: torch.Generator) -> Tensor:
    """Where patches lie along one axis: anywhere in their cells, which are 5/4 patch wide where three of them fit.

    The play within the cells leaves gaps of 0 to 1/2 patch between neighbours: edges that run on do not give the order
    away. Smaller views get smaller cells; where three patches do not fit side by side they overlap, without play.

    Args:
        cells: N x 9 int64 in 0..2, along this axis.
        length: of the view along the axis, px.

    Returns:
        N x 9 int64 px, multiples of the placement.
    """
    widest = min(5 * frame.patch // 4, length // 3) // frame.placement * frame.placement
    step = min(widest, largest_step(2, length, frame))
    play = max(0, step - frame.patch) // frame.placement  # in placements
    extents = torch.full((len(cells),), 2 * step + play * frame.placement)
    grids = draw_starts(extents, length, frame, generator)
    dither = torch.randint(play + 1, cells.shape, generator=generator) * frame.placement
    return grids[:, None] + cells * step + dither
