"""The surface: what the first layer of the encoder, at three resolutions, and filters for lines answer at each place.

Codes of 32-px patches see shape; a hairline in grain or a wrong shade hardly moves them. The first layer sees these,
and a Gaussian for each place says what is usual there. Half and quarter resolution see wider faults, and a line that is
fainter than the grain is seen by what adds up along it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sclvi.data.halving import halved
from sclvi.data.images import Images, batch_length, in_batches
from sclvi.encoders.dense import DenseEncoder
from sclvi.memory.exemplars import Taught
from sclvi.memory.gaussian import Gaussian, Moments
from sclvi.memory.lines import line_strengths
from sclvi.memory.mahalanobis import mahalanobis
from sclvi.progress import Progress, track
from sclvi.scoring.maps import Usual
from sclvi.scoring.pixels import mean_of, patches_over, pixel_map

_REDUCTIONS = (1, 2, 4)  # of the first layer
_LINES_REDUCTIONS = (2, 4)  # full resolution adds little on the pictures at hand, and costs four times as much
LEVELS = len(_REDUCTIONS) + len(_LINES_REDUCTIONS)
_KERNEL, _STEP = 4, 2  # px, of the first layer
_FEW = 4  # pictures: what the first layer answers on more does not fit into a cache
_LINES_STEP = 4  # px
_LINES_WINDOW = 3  # steps, of which an answer is the strongest: a line that lies a few px elsewhere is the same
_LIKE = 0.6  # a response that lies less than this share of its distance from a taught one is like it
_MOST_PLACES = 128 * 128  # at one level: the covariance of a place takes 8 KiB while it is learned


@dataclass(frozen=True)
class Answers:
    """Of one level: the first layer's at one resolution, or the strengths of lines."""

    responses: Tensor  # B x h x w x K float
    extent: int  # px of the picture that one response has seen
    stride: int  # px between responses


@dataclass(frozen=True)
class Surface:
    """What is usual at each place, one Gaussian per level."""

    filters: nn.Module  # the first layer, see `DenseEncoder.first_layer`
    levels: tuple[Gaussian, ...]
    taught: tuple[Taught | None, ...] = (None,) * LEVELS  # of responses, per level

    def pixels(self, images: Tensor) -> Tensor:
        """Root mean square, over the levels, of the distance at each pixel; about 1 on good pictures.

        B x C x H x W float, prepared by `Light` -> B x H x W float >= 0.
        """
        return self.maps(images)[0]

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `pixels`, over all levels and over those of lines alone."""
        return maps_of(self.judge(images), (images.shape[2], images.shape[3]))

    def judge(self, images: Tensor) -> list[tuple[Answers, Tensor]]:
        """Per level, the responses and their distances, B x h x w float; images as of `pixels`."""
        answers = zip(self.levels, _answers(self.filters, images), strict=True)
        judged = [(seen, level.distances(seen.responses)) for level, seen in answers]
        if all(taught is None for taught in self.taught):
            return judged
        surface, lines = maps_of(judged, (images.shape[2], images.shape[3]))
        maps = (surface,) * len(_REDUCTIONS) + (lines,) * len(_LINES_REDUCTIONS)
        return [
            (seen, distances if taught is None else _excuse(distances, seen, one, level, taught))
            for (seen, distances), one, level, taught in zip(judged, maps, self.levels, self.taught, strict=True)
        ]


def maps_of(judged: list[tuple[Answers, Tensor]], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """See `Surface.maps`, from what `Surface.judge` gave; size: (H, W) of the pictures."""
    first_layer, of_lines = judged[: len(_REDUCTIONS)], judged[len(_REDUCTIONS) :]
    squares = [pixel_map(distances.square(), seen.extent, seen.stride, size) for seen, distances in first_layer]
    seen, _ = of_lines[0]  # those of all reductions lie at the same places
    lines = pixel_map(mean_of([distances.square() for _, distances in of_lines]), seen.extent, seen.stride, size)
    surface = mean_of([*squares, *[lines] * len(of_lines)])
    return surface.sqrt_().cpu(), lines.sqrt_().cpu()


def limits_of(usual: Sequence[Usual]) -> tuple[float, ...]:
    """For each level, the distance above which a response is unusual; `usual` of the two maps of `Surface.maps`."""
    surface, lines = usual
    return (surface.unusual,) * len(_REDUCTIONS) + (lines.unusual,) * len(_LINES_REDUCTIONS)


@dataclass(frozen=True)
class SurfaceMoments:
    """What has been seen of good pictures."""

    filters: nn.Module
    levels: tuple[Moments, ...]

    @classmethod
    def of(cls, filters: nn.Module, images: Tensor) -> "SurfaceMoments":
        """Arguments as of `Surface`."""
        return cls(filters, tuple(Moments.of(seen.responses) for seen in _answers(filters, images)))

    def __add__(self, other: "SurfaceMoments") -> "SurfaceMoments":
        pairs = zip(self.levels, other.levels, strict=True)
        return SurfaceMoments(self.filters, tuple(mine + theirs for mine, theirs in pairs))

    def surface(self) -> Surface:
        return Surface(self.filters, tuple(moments.gaussian() for moments in self.levels))

    def surface_without(self, images: Images) -> Surface:
        """As if these pictures, which are among those seen, had not been; one at least must be left."""
        seen = reduce(add, (SurfaceMoments.of(self.filters, batch) for batch in in_batches(images)))
        pairs = zip(self.levels, seen.levels, strict=True)
        return SurfaceMoments(self.filters, tuple(mine - theirs for mine, theirs in pairs)).surface()


def see_surface(encoder: DenseEncoder, images: Images, progress: Progress) -> SurfaceMoments:
    """Of all good pictures, N x C x H x W float, prepared by `Light`; the encoder as it inspects."""
    seen = (SurfaceMoments.of(encoder.first_layer(), batch) for batch in in_batches(images))
    count = math.ceil(len(images) / batch_length(images))
    return reduce(add, track(seen, "learning the surface", count, progress))


def _answers(filters: nn.Module, images: Tensor) -> Iterator[Answers]:
    """Of B x C x H x W float pictures, level by level, on the device of the filters."""
    images = images.to(next(filters.parameters()).device)
    # cuDNN would round the inputs to ten bits, and differently for one picture and for eight
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for reduction in _REDUCTIONS:
            yield _first_layer(filters, images, reduction)
        grey = images.mean(1, keepdim=True)  # lines are looked for in that: padded and reduced as one channel
        for reduction in _LINES_REDUCTIONS:
            yield _lines(grey, reduction)


def _first_layer(filters: nn.Module, images: Tensor, reduction: int) -> Answers:
    pooled = max(2, _times_too_many(images, reduction * _STEP))
    extent, stride = reduction * (_STEP * (pooled - 1) + _KERNEL), reduction * _STEP * pooled
    reduced = _reduced(_padded(images, extent, stride), reduction)
    parts = reduced.contiguous(memory_format=torch.channels_last).split(_FEW)  # averages are six times as fast so
    responses = torch.cat([F.avg_pool2d(filters(few), pooled) for few in parts])
    return Answers(responses.permute(0, 2, 3, 1), extent, stride)


def _lines(images: Tensor, reduction: int) -> Answers:
    stride = _LINES_STEP * _times_too_many(images, _LINES_STEP)
    extent = _LINES_WINDOW * stride
    reduced = _reduced(_padded(images, extent, stride), reduction)
    strengths = line_strengths(reduced, stride // reduction, _LINES_WINDOW)
    return Answers(strengths.permute(0, 2, 3, 1).contiguous(), extent, stride)  # distances are seven times as fast so


def _times_too_many(images: Tensor, stride: int) -> int:
    """How many times as far apart responses, `stride` px apart now, must lie for there to be no more than places."""
    height, width = images.shape[2:]
    return max(1, math.ceil(math.sqrt(height * width / stride**2 / _MOST_PLACES)))


def _padded(images: Tensor, extent: int, stride: int) -> Tensor:
    """The last rows and columns are repeated until the last response has seen the picture's edge."""
    bottom, right = ((extent - side) % stride for side in images.shape[2:])
    return F.pad(images, (0, right, 0, bottom), mode="replicate")


def _reduced(images: Tensor, reduction: int) -> Tensor:
    """The mean of each square of so many px, a power of two."""
    return images if reduction == 1 else _reduced(halved(images), reduction // 2)


def _excuse(distances: Tensor, seen: Answers, maps: Tensor, level: Gaussian, taught: Taught) -> Tensor:
    """The distance to the taught response that is nearest, wherever it was taught, where that is clearly less far.

    Two good responses of one kind differ by twice the covariance with which one differs from the mean, so that distance
    is divided by the root of 2: what is like a taught response then lies about 1 from it, as what is usual does. What
    is only somewhat nearer to one than to what is usual is left as it is: all lines have something in common.

    distances: B x h x w; maps: B x H x W, which they are part of; returns B x h x w.
    """
    shown = patches_over(maps > taught.above, seen.extent, seen.stride, (distances.shape[1], distances.shape[2]))
    unusual = (distances > taught.above) & shown.to(distances.device)
    if not unusual.any():
        return distances
    responses = seen.responses
    nearest = taught.exemplars.search(responses[unusual].cpu(), 1).codes[:, 0]
    others = responses.clone()
    others[unusual] = nearest.to(responses.device)
    excused = mahalanobis(responses, others, level.whiteners) / math.sqrt(2)
    return torch.where(unusual & (excused < _LIKE * distances), excused, distances)
