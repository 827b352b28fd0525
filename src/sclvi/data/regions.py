"""Regions of interest: where pictures are inspected, and what is never looked at.

Regions lie in the picture as the camera takes it, whatever the part does in it: to have them follow the part, its pose
would have to be found first, and that looks at what is masked out.

What lies outside is painted over as soon as a picture is read, at its original size, with what the rim of the inside
shows. All that comes after (alignment, light, encoder, memory, drift, audit) sees the painted picture alone, so nothing
outside can have a part in it; nor is the border between inside and outside an edge where the rim is calm.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.arrays import Picture
from sclvi.data.shape import have_one_shape
from sclvi.errors import SclviError

Kind = Literal["include", "ignore"]
Corners = tuple[tuple[float, float], ...]  # (x, y) in px; (0, 0) is the upper left corner of the upper left pixel
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

MOST_REGIONS = 255  # that can be told apart by their label
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """A piece of the picture; pieces of one name and kind are one region."""

    name: str
    kind: Kind
    size: tuple[int, int]  # (height, width) of the picture that it was drawn on, px
    outline: Corners | Mask = field(repr=False)  # in px of that picture; a mask is height x width, true inside
    false_reject_rate: float | None = None  # 0..1, exclusive; None: its share of the model's

    def raster(self, size: tuple[int, int]) -> Mask:
        """Its pixels in a picture of (height, width) px: those whose middle, of a mask more than half, lies inside."""
        if isinstance(self.outline, np.ndarray):
            white = self.outline.astype(np.uint8) * np.uint8(255)
            resized = cv2.resize(white, (size[1], size[0]), interpolation=cv2.INTER_AREA)
            return np.asarray(resized > 127)
        scale = (size[1] / self.size[1], size[0] / self.size[0])
        return fill_polygon(np.array(self.outline) * scale, size)


@dataclass(frozen=True, eq=False)
class Regions:
    """All regions of a model; without any, the whole picture is inspected."""

    items: tuple[RegionOfInterest, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions that are inspected, each once; ("",) where none is named: all that is not ignored."""
        return tuple(dict.fromkeys(item.name for item in self.items if item.kind == "include")) or ("",)

    def rates(self, rate: float) -> tuple[float, ...]:
        """The false-reject rate of each of `names`: its own, or an equal share of `rate` with all that have none."""
        own = {item.name: item.false_reject_rate for item in self.items if item.false_reject_rate is not None}
        sharing = max(1, sum(name not in own for name in self.names))
        return tuple(own.get(name, rate / sharing) for name in self.names)

    def labels(self, size: tuple[int, int]) -> Labels:
        """Which of `names`, counted from 1, each pixel of a picture of (height, width) px belongs to; 0 is outside.

        Where regions overlap the first one has the pixel; what is ignored belongs to none. Not to be written to.
        """
        return _labels(self, size)

    def check(self, size: tuple[int, int]) -> None:
        """Raise SclviError where nothing is left of a region in a map of (height, width) px."""
        labels = self.labels(size)
        for number, name in enumerate(self.names, start=1):
            if not (labels == number).any():
                called = f"region {name!r}" if name else "what is not ignored"
                raise SclviError(
                    f"{called} has no pixel at {size[1]}x{size[0]} px: too small (see --size), or hidden by others"
                )

    def fill(self, picture: Picture) -> Picture:
        """The picture with all that lies outside painted over by each channel's median over the rim of the inside.

        H x W x C -> the same, the picture itself where nothing is outside. Raises SclviError where its shape is not
        that of the pictures that the regions were drawn on, or no pixel is inside.
        """
        size = (picture.shape[0], picture.shape[1])
        for item in self.items:
            _check_shape(item, size)
        inside = self.labels(size) > 0
        if inside.all():
            return picture
        if not inside.any():
            raise SclviError("has no pixel in a region of interest")
        rim = inside & (cv2.erode(inside.astype(np.uint8), _NEIGHBOURS) == 0)  # the picture's own edge is no rim
        filled = picture.copy()
        filled[~inside] = np.median(picture[rim], axis=0)
        return filled


WHOLE = Regions()


def fill_polygon(corners: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """The pixels whose middle lies inside a polygon, by the even-odd rule.

    OpenCV and Pillow draw the outline, too, which makes a region a pixel larger all around.

    Args:
        corners: K x 2, (x, y) in px; (0, 0) is the upper left corner of the upper left pixel. May lie outside.
        size: (height, width), px.
    """
    height, width = size
    flips = np.zeros((height, width + 1), bool)  # from this pixel of its row on, inside and outside change places
    for (x, y), (x_end, y_end) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = (int(np.clip(math.ceil(edge - 0.5), 0, height)) for edge in sorted((y, y_end)))
        rows = np.arange(first, last)  # whose middle the edge crosses; none of a level edge
        if len(rows):
            crossings = x + (rows + 0.5 - y) * ((x_end - x) / (y_end - y))
            flips[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.intp)] ^= True
    return np.asarray(np.logical_xor.accumulate(flips[:, :-1], axis=1))


@lru_cache(maxsize=4)  # the map, the picture, the picture as drawn, and another
def _labels(regions: Regions, size: tuple[int, int]) -> Labels:
    names = regions.names
    labels = np.zeros(size, np.uint8)
    included = [item for item in regions.items if item.kind == "include"]
    if not included:
        labels[:] = 1
    for item in reversed(included):
        labels[item.raster(size)] = 1 + names.index(item.name)
    for item in regions.items:
        if item.kind == "ignore":
            labels[item.raster(size)] = 0
    return labels


def _check_shape(item: RegionOfInterest, size: tuple[int, int]) -> None:
    if not have_one_shape(size, item.size):
        raise SclviError(
            f"is {size[1]}x{size[0]} px, but region {item.name!r} was drawn on {item.size[1]}x{item.size[0]} px, "
            f"which is another shape"
        )
