"""Tiles: a picture of any size as overlapping pieces of one size, and their maps as one map again.

Each pixel is decided by one tile, the one in which it lies deepest: neighbours share the overlap half and half. So what
lies on a border is seen whole by one of them, the map has one value for each place, and the score of a picture is the
maximum over its tiles.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sclvi.data.arrays import Picture

_SMALLEST = 64  # px, of a side: one patch of the large scale
_MOST_VALUES = 2**24  # of a stitched map


@dataclass(frozen=True)
class Tile:
    """Where a tile lies in its picture, and which pixels of the picture it decides."""

    top: int
    left: int
    rows: slice  # decided by this tile alone, px of the picture
    columns: slice

    @property
    def core(self) -> tuple[slice, slice]:
        """Rows and columns of the tile that it decides."""
        return _shifted(self.rows, self.top), _shifted(self.columns, self.left)


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut."""

    size: tuple[int, int]  # (h, w) of every tile, px
    overlap: int  # px that neighbours share, at most half a tile; the last of a row or column may share more

    def plan(self, picture: tuple[int, int]) -> list[Tile]:
        """The tiles of a picture of (H, W), row by row; they decide each of its pixels once.

        A picture that is smaller than a tile has one that reaches beyond it.
        """
        across = _plan_side(picture[1], self.size[1], self.overlap)
        return [
            Tile(top, left, rows, columns)
            for top, rows in _plan_side(picture[0], self.size[0], self.overlap)
            for left, columns in across
        ]

    def count(self, picture: tuple[int, int]) -> int:
        """How many tiles `plan` gives."""
        rows, columns = (
            1 + math.ceil(max(0, length - side) / _step(side, self.overlap))
            for length, side in zip(picture, self.size, strict=True)
        )
        return rows * columns

    def cut(self, picture: Picture, tile: Tile) -> Picture:
        """H x W x C -> h x w x C; beyond the picture, its edge is repeated. May share the picture's memory."""
        piece = picture[tile.top : tile.top + self.size[0], tile.left : tile.left + self.size[1]]
        missing = [(0, side - there) for side, there in zip(self.size, piece.shape, strict=False)]
        return np.pad(piece, [*missing, (0, 0)], mode="edge") if any(below for _, below in missing) else piece


@dataclass(frozen=True)
class TileNumbers:
    """The tiles of several pictures, numbered picture by picture."""

    tiling: Tiling
    pictures: tuple[tuple[int, int], ...]  # (H, W) of each

    def __len__(self) -> int:
        return self._starts[-1]

    def of(self, picture: int) -> range:
        """The numbers of the tiles of one picture."""
        return range(self._starts[picture], self._starts[picture + 1])

    def find(self, number: int) -> tuple[int, Tile]:
        """The picture that a tile is of, and the tile."""
        picture = bisect_right(self._starts, number) - 1
        return picture, self.tiling.plan(self.pictures[picture])[number - self._starts[picture]]

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for size in self.pictures:
            starts.append(starts[-1] + self.tiling.count(size))
        return starts


class Stitching:
    """The maps of a picture's tiles, put together.

    Of a picture of more than 16 million pixels, the map has one value for each step x step pixels, their largest: no
    defect is lost, the score is the same, and a map never takes more than 64 MiB.
    """

    def __init__(self, picture: tuple[int, int], most_values: int = _MOST_VALUES) -> None:
        """Begin the map of a picture of (H, W)."""
        self.step = math.ceil(math.sqrt(picture[0] * picture[1] / most_values))
        self.map: NDArray[np.float32] = np.zeros([math.ceil(side / self.step) for side in picture], np.float32)

    def put(self, scores: NDArray[np.float32], tile: Tile) -> None:
        """Add the map of a tile, h x w float >= 0."""
        core = scores[tile.core]
        starts, stops = (tile.rows.start, tile.columns.start), (tile.rows.stop, tile.columns.stop)
        first = [start // self.step for start in starts]
        last = [math.ceil(stop / self.step) for stop in stops]
        padding = [
            (start - self.step * begin, self.step * end - stop)
            for start, stop, begin, end in zip(starts, stops, first, last, strict=True)
        ]
        blocks = np.pad(core, padding).reshape(last[0] - first[0], self.step, last[1] - first[1], self.step)
        place = self.map[first[0] : last[0], first[1] : last[1]]  # blocks on a border are of two tiles
        np.maximum(place, blocks.max((1, 3)), out=place)


def tile_size(pictures: Sequence[tuple[int, int]], side: int) -> tuple[int, int]:
    """(height, width) of the tiles: `side` px, or what the usual of the pictures, (H, W) each, has; at least 64 px."""
    height, width = (min(side, max(_SMALLEST, int(median(sides)))) for sides in zip(*pictures, strict=True))
    return height, width


def _plan_side(length: int, side: int, overlap: int) -> list[tuple[int, slice]]:
    """Start of each tile along one axis, and the pixels that it decides."""
    last = max(0, length - side)
    starts = [*range(0, last, _step(side, overlap)), last]
    borders = [0, *((before + side + after) // 2 for before, after in pairwise(starts)), length]
    return [(start, slice(*ends)) for start, ends in zip(starts, pairwise(borders), strict=True)]


def _step(side: int, overlap: int) -> int:
    return max(side - overlap, side // 2)


def _shifted(whole: slice, start: int) -> slice:
    return slice(whole.start - start, whole.stop - start)
