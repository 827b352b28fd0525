"""The surface: what the first layer of the encoder answers at each place of good pictures, at three resolutions.

Codes of 32-px patches see shape; a hairline in grain or a wrong shade hardly moves them. The first layer sees these,
and a Gaussian for each place says what is usual there. Half and quarter resolution see wider faults.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sclvi.data.images import Images, batch_length, in_batches
from sclvi.encoders.dense import DenseEncoder
from sclvi.memory.exemplars import Taught
from sclvi.memory.gaussian import Gaussian, Moments
from sclvi.progress import Progress, track
from sclvi.scoring.mahalanobis import mahalanobis
from sclvi.scoring.pixels import pixel_map

REDUCTIONS = (1, 2, 4)
_KERNEL, _STEP = 4, 2  # px, of the first layer
_MOST_PLACES = 128 * 128  # at one resolution: the covariance of a place takes 8 KiB while it is learned


@dataclass(frozen=True)
class Answers:
    """First-layer responses at one resolution."""

    responses: Tensor  # B x h x w x K float
    extent: int  # px of the picture that one response has seen
    stride: int  # px between responses


@dataclass(frozen=True)
class Surface:
    """What is usual at each place, one Gaussian per resolution."""

    filters: nn.Module  # the first layer, see `DenseEncoder.first_layer`
    levels: tuple[Gaussian, ...]
    taught: tuple[Taught | None, ...] = (None,) * len(REDUCTIONS)  # of responses, per resolution

    def pixels(self, images: Tensor) -> Tensor:
        """Root mean square, over the resolutions, of the distance at each pixel; about 1 on good pictures.

        B x C x H x W float, prepared by `Light` -> B x H x W float >= 0.
        """
        size = (images.shape[2], images.shape[3])
        squares = [
            pixel_map(distances.square(), seen.extent, seen.stride, size) for seen, distances in self.judge(images)
        ]
        return torch.stack(squares).mean(0).sqrt().cpu()

    def judge(self, images: Tensor) -> list[tuple[Answers, Tensor]]:
        """Per resolution, the responses and their distances, B x h x w float; images as of `pixels`."""
        judged = []
        for level, taught, seen in zip(self.levels, self.taught, _answers(self.filters, images), strict=True):
            distances = level.distances(seen.responses)
            if taught is not None:
                distances = _excuse(distances, seen.responses, level, taught)
            judged.append((seen, distances))
        return judged


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
    """Of B x C x H x W float pictures, at each resolution, on the device of the filters."""
    images = images.to(next(filters.parameters()).device)
    height, width = images.shape[2:]
    for reduction in REDUCTIONS:
        responses = height * width / (reduction * _STEP) ** 2
        pooled = max(2, math.ceil(math.sqrt(responses / _MOST_PLACES)))
        extent, stride = reduction * (_STEP * (pooled - 1) + _KERNEL), reduction * _STEP * pooled
        # The last rows and columns are repeated until the last response has seen the picture's edge.
        bottom, right = ((extent - side) % stride for side in (height, width))
        padded = F.pad(images, (0, right, 0, bottom), mode="replicate")
        # cuDNN would round the inputs to ten bits, and differently for one picture and for eight
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            pooled_responses = F.avg_pool2d(filters(F.avg_pool2d(padded, reduction)), pooled)
        yield Answers(pooled_responses.permute(0, 2, 3, 1), extent, stride)


def _excuse(distances: Tensor, responses: Tensor, level: Gaussian, taught: Taught) -> Tensor:
    """The distance to the taught response that is nearest, wherever it was taught, where that is less.

    Two good responses of one kind differ by twice the covariance with which one differs from the mean, so that distance
    is divided by the root of 2: what is like a taught response then lies about 1 from it, as what is usual does.

    distances: B x h x w; responses: B x h x w x K; returns B x h x w.
    """
    unusual = distances > taught.above
    if not unusual.any():
        return distances
    nearest = taught.exemplars.search(responses[unusual].cpu(), 1).codes[:, 0]
    others = responses.clone()
    others[unusual] = nearest.to(responses.device)
    excused = mahalanobis(responses, others, level.whiteners) / math.sqrt(2)
    return torch.where(unusual, torch.minimum(distances, excused), distances)
