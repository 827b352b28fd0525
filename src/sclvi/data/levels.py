"""Levels: what counts as black and as white in each channel, where the numbers themselves do not say so.

8 and 16 bit grey and RGB have their full scale. Float numbers have none: kelvins, millimetres and reflectances all come
as float. And of more channels than three, each may have its own unit or its own dim lamp: on one scale for all, a faint
channel would drown beside a bright one, and its defects with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sclvi.data.arrays import Picture, full_scale
from sclvi.errors import SclviError

LOWEST, HIGHEST = -10.0, 11.0  # ten spans from black to white beyond either: one dead value would drown all the rest
_QUANTILES = (0.001, 0.999)  # of a channel: a dead or hot pixel moves neither level
_SAMPLES = 256  # places per row and column of a picture that are looked at, about


@dataclass(frozen=True)
class Levels:
    """Of each channel, in what `scale_to_unit` gives."""

    black: NDArray[np.float64]  # C
    white: NDArray[np.float64]  # C, above black
    floating: bool  # measured on float pictures: whole numbers have another unit

    def apply(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """H x W x C float -> the same with black at 0 and white at 1; LOWEST..HIGHEST, clipped."""
        # in double precision: 300.01 and 300.02 kelvin differ in the last digits of a float only
        return np.asarray(np.clip((unit - self.black) / (self.white - self.black), LOWEST, HIGHEST), np.float32)

    def check(self, picture: Picture) -> None:
        """Raise SclviError where the picture's numbers cannot be in the unit of those that were measured."""
        if self.floating and picture.dtype.kind != "f":
            raise SclviError(f"holds {picture.dtype} numbers where float is expected")


def measure_levels(pictures: Iterable[Picture]) -> Levels | None:
    """The median over good pictures of each channel's 0.1 % and 99.9 % quantile.

    pictures: H x W x C each, all float or all not, one or more. None for 8 and 16 bit grey and RGB: their full scale is
    known, and between R, G and B it matters which is brighter. A channel in which all is equal gets the span of the
    widest one.
    """
    quantiles = []
    for picture in pictures:
        floating = picture.dtype.kind == "f"
        if not floating and picture.shape[2] in (1, 3):
            return None
        quantiles.append(_quantiles(picture))
    black, white = np.median(quantiles, axis=0)
    span = white - black
    span[span <= 0] = span.max() if span.max() > 0 else 1.0
    return Levels(black, black + span, floating)


def _quantiles(picture: Picture) -> NDArray[np.float64]:
    """2 x C, of what `scale_to_unit` would give."""
    down, across = (max(1, side // _SAMPLES) for side in picture.shape[:2])
    full = full_scale(picture)
    seen = picture[::down, ::across].reshape(-1, picture.shape[2]).astype(np.float64)
    return np.asarray(np.quantile(seen, _QUANTILES, axis=0) / full)
