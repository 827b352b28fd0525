"""Alignment: parts that lie anyhow are turned to lie alike, and pictures are cut to the part.

A memory of good patches covers a part much better when all pictures show it the same way round: a thread that lies at
320 angles is seen once at each, one that is turned is seen 320 times. Parts that lie nearly alike are brought to lie
exactly alike. And patches see more of a part that fills the picture. Whether this can be done, and whether there is
background to cut away, is measured on the good pictures; where it cannot, pictures stay as they are. Pictures of many
shapes, which show pieces of many sizes, are not stretched to one shape but drawn at one scale, so that a grain is as
coarse in each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclvi.data.arrays import Picture
from sclvi.data.even import evenly
from sclvi.data.images import Images
from sclvi.data.levels import Levels
from sclvi.data.pose import (
    SIDE,
    Affine,
    Array,
    Mask,
    centre_of,
    chain,
    contrast_picture,
    contrast_size,
    fine_picture,
    foreground,
    inverse,
    make_exact,
    scaling,
    shift_back,
    turn_between,
    turning,
    unroll,
    warp,
)
from sclvi.data.preparing import prepare

_LOOKED_AT = 100  # good pictures, evenly spread, that decide
_ROUNDS = 4  # of the mean polar picture; it hardly moves after three
_FINE_ROUNDS = 2  # of the mean picture: the first mean is of parts that lie less exactly
_ALIKE_BELOW = 0.5  # share of the variance between pictures that may be left where parts are brought to lie alike
_AS_GOOD = 0.1  # share of it that a way which does less to pictures may leave more than another
_MARGIN = 0.05  # of the short side, kept around the part
_CALM = 0.2  # most that the background which is cut away may show, root mean square, where the part shows 1
_RIM = 5  # px of contrast pictures: looked at up to half as far from where regions end
_CUT_BELOW = 0.8  # share of the picture that cutting may leave, or pictures are not cut
_MOST_ZOOM = 2.0
_SHORTEST = 128  # px, of an aligned picture's side: two of the large patches
_MULTIPLE = 4  # px, of its sides
_MANY_SHAPES = 1.25  # the largest width / height over the smallest, of nine pictures in ten, or pictures have one shape
_CANVAS_QUANTILE = 0.95  # of heights and of widths: larger pictures are shrunk to the canvas


@dataclass(frozen=True)
class Template:
    """How parts look that were brought to lie alike: the mean of good ones."""

    polar: Array | None  # see `unroll`; tells the turn. None: parts lie nearly alike as they are
    picture: Array  # see `make_exact`
    may_turn: bool  # see `make_exact`


class Brought(NamedTuple):
    """A picture as a model takes it up."""

    aligned: Tensor  # channels x h x w float
    pose: Affine  # how its part lies: from upright pixels to aligned ones
    whole: Tensor  # channels x H x W float, not aligned, at the size of maps
    contrast: Array  # see `contrast_picture`, of that


@dataclass(frozen=True)
class Alignment:
    """How upright pictures, as they were taken, become the aligned pictures that are encoded."""

    size: tuple[int, int]  # (H, W) of anomaly maps, which lie as the pictures do, px
    upright: tuple[int, int]  # (H, W) that pictures are brought to before they are aligned: `size`, enlarged
    aligned: tuple[int, int]  # (h, w) of aligned pictures
    template: Template | None  # None: parts are left to lie as they do
    frame: Affine  # from a contrast picture, its part turned about the middle, to the aligned picture
    scale: float | None = None  # aligned px for each px of the original; None: pictures are stretched to one shape

    @classmethod
    def none(cls, size: tuple[int, int]) -> "Alignment":
        """Pictures stay as they are."""
        return cls(size, size, size, None, scaling(contrast_size(size), size))

    @classmethod
    def at_one_scale(cls, size: tuple[int, int], originals: Sequence[tuple[int, int]]) -> "Alignment":
        """Pictures keep their scale: each lies in the middle of a canvas of about as many pixels as maps have.

        Args:
            size: (H, W) of anomaly maps, px.
            originals: (height, width) of the good pictures, px.
        """
        height, width = np.quantile(np.array(originals), _CANVAS_QUANTILE, axis=0)
        scale = math.sqrt(size[0] * size[1] / (height * width))
        canvas = (max(_SHORTEST, _whole(scale * height)), max(_SHORTEST, _whole(scale * width)))
        return cls(size, canvas, canvas, None, scaling(contrast_size(size), canvas), scale)

    @property
    def changes(self) -> bool:
        """Whether aligned pictures are other than upright ones."""
        return self.template is not None or self.scale is not None or self.aligned != self.upright

    @property
    def turns(self) -> bool:
        """Whether parts that lie at any angle are turned to lie alike."""
        return self.template is not None and self.template.polar is not None

    @property
    def places_alike(self) -> bool:
        """Whether a place of the aligned picture can show the same place of every part: pieces have one size."""
        return self.scale is None

    def bring(self, picture: Picture, channels: int, levels: Levels | None = None) -> Brought:
        """Arguments and errors as of `prepare`."""
        whole = prepare(picture, self.size, channels, levels)
        upright = whole if self.upright == self.size else prepare(picture, self.upright, channels, levels)
        contrast = contrast_picture(whole)
        pose = self.pose(contrast, (picture.shape[0], picture.shape[1]))
        return Brought(self.draw(upright, pose), pose, whole, contrast)

    def draw(self, upright: Tensor, pose: Affine) -> Tensor:
        """The aligned picture, of a prepared one whose part is known to lie so."""
        if not self.changes:
            return upright
        return warp(upright, pose, self.aligned, "edge" if self.scale is None else "mirror")

    def pose(self, contrast: Array, original: tuple[int, int]) -> Affine:
        """How a part lies: from upright pixels to aligned ones.

        contrast: of the picture, prepared at the size of maps. original: its (height, width), px.
        """
        if self.scale is not None:
            return self._onto_canvas(original, self.scale)
        reduced = scaling(self.upright, contrast.shape)
        if self.template is None:
            return chain(reduced, self.frame)
        return chain(reduced, _turn(contrast, self.template), self.frame)

    def _onto_canvas(self, original: tuple[int, int], scale: float) -> Affine:
        scale = min(scale, *(length / side for length, side in zip(self.aligned, original, strict=True)))
        height, width = scale * original[0], scale * original[1]
        middle = np.array([[1, 0, (self.aligned[1] - width) / 2], [0, 1, (self.aligned[0] - height) / 2]])
        return chain(scaling(self.upright, (height, width)), middle)

    def upright_map(self, anomaly_map: Tensor, pose: Affine) -> Tensor:
        """h x w float, of an aligned picture -> H x W (`size`) as the picture lies; 0 where it was cut away."""
        if not self.changes:
            return anomaly_map
        back = chain(inverse(pose), scaling(self.upright, self.size))
        return warp(anomaly_map[None], back, self.size, "zero")[0]

    def upright_box(
        self, rows: tuple[float, float], columns: tuple[float, float], pose: Affine
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """The smallest box, [start, stop) of rows and columns of an upright picture, around one of the aligned one."""
        corners = np.array([[column - 0.5, row - 0.5, 1] for row in rows for column in columns])
        x, y = inverse(pose) @ corners.T + 0.5
        y, x = np.clip(y, 0, self.upright[0]), np.clip(x, 0, self.upright[1])
        return (float(y.min()), float(y.max())), (float(x.min()), float(x.max()))

    def aligned_place(self, at: tuple[int, int], pose: Affine) -> tuple[float, float]:
        """Row and column of the aligned picture that one of the anomaly map shows."""
        x, y = chain(scaling(self.size, self.upright), pose) @ np.array([at[1], at[0], 1])
        return float(y), float(x)


def have_many_shapes(originals: Sequence[tuple[int, int]]) -> bool:
    """Whether pictures of (height, width) px differ in shape by more than how a part was cut out."""
    aspects = np.array([width / height for height, width in originals])
    low, high = np.quantile(aspects, (0.05, 0.95))
    return bool(high / low > _MANY_SHAPES)


def measure_alignment(images: Images, inside: Mask | None = None) -> Alignment:
    """What good pictures allow.

    Args:
        images: N x C x H x W float, N >= 1, at the size that maps are to have.
        inside: H x W, what is to be inspected, the rest painted over: parts are turned only where it ends in calm
            background, and pictures that are not turned are cut to it, not to the part; None: all.
    """
    size = (images.shape[2], images.shape[3])
    chosen = evenly(len(images), _LOOKED_AT).split(1)  # one by one: a hundred of them may be large
    contrasts = [contrast_picture(images[number][0]) for number in chosen]
    found = _find_lying_alike(contrasts) if inside is None or _has_calm_rim(contrasts, inside) else None
    if found is None:
        found = _find_upright(contrasts) if inside is None else _find_inside(inside, contrasts[0].shape)
    if found is None:
        return Alignment.none(size)
    box = found.box
    zoom = min(_MOST_ZOOM, math.sqrt(contrasts[0].size / box.area))
    upright = (round(zoom * size[0]), round(zoom * size[1]))
    per_pixel = zoom * max(size) / SIDE
    box = box.at_least(min(_SHORTEST, *size) / per_pixel)
    aligned = (_whole(box.height * per_pixel), _whole(box.width * per_pixel))
    corner = np.array([[1, 0, -box.left], [0, 1, -box.top]])
    frame = chain(found.level, corner, scaling((box.height, box.width), aligned))
    return Alignment(size, upright, aligned, found.template, frame)


_IDENTITY: Affine = np.eye(2, 3)


@dataclass(frozen=True)
class _Found:
    """What good pictures allow."""

    template: Template | None  # see `Alignment`
    level: Affine  # turns parts that lie alike as they are to be shown
    box: "_Box"  # that they lie in then


def _find_lying_alike(contrasts: list[Array]) -> _Found | None:
    """How parts are brought to lie alike; None where they are not.

    Of the ways that do it as well, the one that does least to pictures: a round part has no angle to find. What is
    outside the box is not looked at: a texture, whose repeats can be brought to lie alike, would lose its rims.
    """
    ways = [_measure_way(contrasts, None, may_turn) for may_turn in (False, True)] if _end_calmly(contrasts) else []
    ways.append(_measure_way(contrasts, _mean_polar(contrasts), True))
    best = min(left for _, left in ways)
    if best >= _ALIKE_BELOW:
        return None
    template = next(template for template, left in ways if left <= min(best + _AS_GOOD, _ALIKE_BELOW))
    turns = [_turn(contrast, template) for contrast in contrasts]
    level = _IDENTITY if template.polar is None else _level(contrasts, turns)
    poses = [chain(turn, level) for turn in turns]
    box = _Box.around(contrasts, poses)
    if box.disturbance(contrasts, poses) <= _CALM:
        return _Found(template, level, box)
    return _Found(template, level, _Box.of(contrasts[0].shape)) if template.polar is None else None


def _end_calmly(contrasts: list[Array]) -> bool:
    """Whether pictures end in calm background: what moves over their edge is not missed."""
    edges = np.concatenate([one for contrast in contrasts for one in (*contrast[[0, -1]], *contrast[:, [0, -1]].T)])
    return _strength(edges) <= _CALM * _strength_of_parts(contrasts)


def _find_upright(contrasts: list[Array]) -> _Found | None:
    """The box that parts lie in as they are; None where little or no calm background lies outside."""
    poses = [_IDENTITY] * len(contrasts)
    box = _Box.around(contrasts, poses).within(contrasts[0].shape)
    if box.area > _CUT_BELOW * contrasts[0].size or box.disturbance(contrasts, poses) > _CALM:
        return None
    return _Found(None, _IDENTITY, box)


def _has_calm_rim(contrasts: list[Array], inside: Mask) -> bool:
    """Whether what is inspected ends in calm background: an edge that runs through a part would be turned with it."""
    height, width = contrasts[0].shape
    small = cv2.resize(inside.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    rim = (small > 0) & (cv2.erode(small, np.ones((_RIM, _RIM), np.uint8)) == 0)
    around = np.concatenate([contrast[rim] for contrast in contrasts])
    return not rim.any() or _strength(around) <= _CALM * _strength_of_parts(contrasts)


def _find_inside(inside: Mask, shape: tuple[int, ...]) -> _Found | None:
    """The box around what is to be inspected, in px of a picture of (h, w); None where little lies outside."""
    (rows,), (columns,) = np.nonzero(inside.any(1)), np.nonzero(inside.any(0))
    down, across = shape[0] / inside.shape[0], shape[1] / inside.shape[1]
    height, width = (rows[-1] + 1 - rows[0]) * down, (columns[-1] + 1 - columns[0]) * across
    box = _Box(float(rows[0] * down), float(columns[0] * across), float(height), float(width))
    return _Found(None, _IDENTITY, box) if box.area <= _CUT_BELOW * shape[0] * shape[1] else None


@dataclass(frozen=True)
class _Box:
    """In px of contrast pictures as they are turned."""

    top: float
    left: float
    height: float
    width: float

    @property
    def area(self) -> float:
        return self.height * self.width

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "_Box":
        """Around a whole picture of (h, w)."""
        return cls(0.0, 0.0, float(shape[0]), float(shape[1]))

    @classmethod
    def around(cls, contrasts: list[Array], poses: list[Affine]) -> "_Box":
        """The box that all parts lie in, with a margin."""
        pairs = zip(contrasts, poses, strict=True)
        points = np.concatenate([_places(foreground(contrast), pose) for contrast, pose in pairs], axis=1)
        margin = _MARGIN * min(contrasts[0].shape)
        low, high = points.min(1) - margin, points.max(1) + 1 + margin
        return cls(float(low[1]), float(low[0]), float(high[1] - low[1]), float(high[0] - low[0]))

    def at_least(self, side: float) -> "_Box":
        """The same, its sides no shorter, about the same middle."""
        height, width = max(self.height, side), max(self.width, side)
        return _Box(self.top - (height - self.height) / 2, self.left - (width - self.width) / 2, height, width)

    def within(self, shape: tuple[int, ...]) -> "_Box":
        """What of it lies in a picture of (h, w)."""
        top, left = max(self.top, 0.0), max(self.left, 0.0)
        bottom, right = min(self.top + self.height, shape[0]), min(self.left + self.width, shape[1])
        return _Box(top, left, bottom - top, right - left)

    def disturbance(self, contrasts: list[Array], poses: list[Affine]) -> float:
        """Root mean square of the contrast outside the box, over that of the parts; infinite if nothing is outside."""
        outside = []
        for contrast, pose in zip(contrasts, poses, strict=True):
            x, y = _places(np.ones(contrast.shape, bool), pose) - [[self.left], [self.top]]
            inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
            outside.append(contrast.ravel()[~inside])
        around = np.concatenate(outside)
        return _strength(around) / max(_strength_of_parts(contrasts), 1e-6) if len(around) else math.inf


def _mean_polar(contrasts: list[Array]) -> Array:
    """Of the parts turned alike; of length 1."""
    polars = [unroll(contrast, centre_of(foreground(contrast))) for contrast in contrasts]
    template = polars[0]
    for _ in range(_ROUNDS):
        mean = np.mean([shift_back(one, turn_between(one, template)) for one in polars], axis=0)
        template = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return template


def _measure_way(contrasts: list[Array], polar: Array | None, may_turn: bool) -> tuple[Template, float]:
    """The template that brings parts to lie alike so, and the share of the variance between pictures that it leaves."""
    turns = [_turn_roughly(contrast, polar) for contrast in contrasts]
    for _ in range(_FINE_ROUNDS):
        drawn = _draw_all(contrasts, turns)
        picture = np.asarray(np.mean([fine_picture(one) for one in drawn], axis=0), np.float32)
        pairs = zip(contrasts, turns, strict=True)
        turns = [make_exact(turn, contrast, picture, may_turn) for contrast, turn in pairs]
    before = _variance(contrasts)
    left = _variance(_draw_all(contrasts, turns)) / before if before else 1.0
    return Template(polar, picture, may_turn), left


def _turn(contrast: Array, template: Template) -> Affine:
    return make_exact(_turn_roughly(contrast, template.polar), contrast, template.picture, template.may_turn)


def _turn_roughly(contrast: Array, polar: Array | None) -> Affine:
    """About the middle of the foreground, which defects move; to a fraction of a degree."""
    if polar is None:
        return _IDENTITY
    centre = centre_of(foreground(contrast))
    return turning(centre, turn_between(unroll(contrast, centre), polar), contrast.shape)


def _level(contrasts: list[Array], turns: list[Affine]) -> Affine:
    """Turns parts that lie alike about the middle so that their long side lies along the rows."""
    pairs = zip(contrasts, turns, strict=True)
    places = np.concatenate([_places(foreground(contrast), turn) for contrast, turn in pairs], axis=1)
    x, y = np.linalg.eigh(np.cov(places))[1][:, 1]
    height, width = contrasts[0].shape
    return turning(((width - 1) / 2, (height - 1) / 2), math.atan2(y, x), (height, width))


def _draw_all(contrasts: list[Array], poses: list[Affine]) -> list[Array]:
    return [_draw(contrast, pose) for contrast, pose in zip(contrasts, poses, strict=True)]


def _strength(values: NDArray[np.floating]) -> float:
    """Root mean square."""
    return math.sqrt(np.square(values, dtype=np.float64).mean())


def _strength_of_parts(contrasts: list[Array]) -> float:
    return _strength(np.concatenate([contrast[foreground(contrast)] for contrast in contrasts]))


def _draw(contrast: Array, there: Affine) -> Array:
    height, width = contrast.shape
    drawn = warp(torch.from_numpy(contrast)[None], there, (height, width), "zero")
    return drawn[0].numpy()


def _variance(contrasts: list[Array]) -> float:
    """Mean over all places of the variance between pictures, each with deviation 1."""
    stack = np.stack(contrasts)
    deviations = stack.std((1, 2), keepdims=True).clip(1e-12)
    return float((stack / deviations).var(0).mean())


def _places(mask: Mask, there: Affine) -> NDArray[np.float64]:
    """(x, y) in another frame of the pixels that a mask holds; 2 x K."""
    y, x = np.nonzero(mask)
    places: NDArray[np.float64] = there @ np.stack([x, y, np.ones_like(x)])
    return places


def _whole(side: float) -> int:
    return max(1, round(side / _MULTIPLE)) * _MULTIPLE
