"""Unlikeness: how far each picture of a folder shows something that the others do not, seen as if it were new."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sclvi.audit.robust import Values, centre_and_spread, outlier_limit
from sclvi.audit.vouchers import nth_picture_distance
from sclvi.context.settling import settle
from sclvi.data.good import GoodPictures
from sclvi.data.images import Images, Selection
from sclvi.data.light import Light
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.making import new_encoder
from sclvi.memory.scale import fill_memories
from sclvi.memory.surface import Surface, see_surface
from sclvi.progress import Progress, track
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.pixels import pixel_map, smooth
from sclvi.settings import Settings

_STRIDES = (8, 16)  # px between remembered patches: a quarter of what inspecting looks at
_NEIGHBOURS = 32  # of a patch; they come from some twenty pictures
_VOUCHERS = 5  # pictures, or a tenth of all, that must have a patch before it is usual
_ROUNDS = 3  # of leaving out and looking again; the second changes little, the third hardly anything
_FOLD = 16  # pictures, or a tenth of all, that the surface is learned without at once
_SMOOTHING = 5.0  # px; one pixel should not make a picture unlike the others
_REDUCTION = 4  # of the maps that are kept
_OWN_SPREAD = 0.05  # in logarithms of a map's maximum
_FAINTEST = 1e-6  # stands in for a map value of 0, whose logarithm is wanted


@dataclass(frozen=True)
class Unlikeness:
    """Deviations of the maps of N pictures from the maxima that the others' maps have."""

    scores: Values  # N; the maximum of each picture's map
    limit: float  # score above which a picture is unlike the others
    maps: Tensor  # N x h x w float, upright, a quarter of the working size


def measure_unlikeness(data: GoodPictures, settings: Settings, progress: Progress) -> Unlikeness:
    """Score all pictures against a memory of the others, then against one that the outliers are left out of.

    The encoder is the one that training starts from: it has not learned from the bad ones among the pictures.
    Each round takes a time proportional to the number of pictures; a folder without outliers takes one.

    Args:
        data: N >= 3 different pictures, 0..1.
        settings: of which seed and memory count.
    """
    settings = Settings(seed=settings.seed, memory_mib=settings.memory_mib, memory_strides=_STRIDES)
    images = data.lit(Light(None))
    encoder = settle(new_encoder(settings, data.channels), images, progress)
    assert isinstance(encoder, DenseEncoder)
    folder = _Folder(replace(data, images=images), encoder, settings)
    kept = np.ones(len(images), np.bool_)
    for _ in range(_ROUNDS):
        seen = _judge(folder.look(kept, progress))
        still = seen.scores <= seen.limit
        if (still == kept).all():
            break
        kept = still
    return seen


def _judge(maps: Tensor) -> Unlikeness:
    """K x N x h x w, K kinds of map."""
    logarithms = maps.clamp_min(_FAINTEST).log()
    peaks = logarithms.amax((2, 3)).double().numpy()  # K x N
    median, spread = (torch.from_numpy(part).float()[..., None, None] for part in centre_and_spread(peaks, _OWN_SPREAD))
    deviations = ((logarithms - median) / spread).amax(0)
    scores = deviations.amax((1, 2)).double().numpy()
    return Unlikeness(scores, outlier_limit(scores, looks=len(maps)), deviations)


@dataclass(frozen=True)
class _Folder:
    data: GoodPictures  # prepared by `normalise_light`
    encoder: DenseEncoder
    settings: Settings

    def look(self, kept: NDArray[np.bool_], progress: Progress) -> Tensor:
        """Maps of all N pictures, by what is known of those that are kept, each without itself; K x N x h x w."""
        numbers = np.flatnonzero(kept)
        known = Selection(self.data.images, torch.from_numpy(numbers))
        inspector = Inspector(
            self.encoder, fill_memories(self.encoder, known, self.settings, progress), None, self.settings
        )
        maps: dict[int, Tensor] = {}
        looking = self._views(inspector, numbers, known, kept)
        for number, surface, place in track(looking, "looking at each picture", len(kept), progress):
            maps[number] = self._maps(inspector, surface, number, place, len(numbers))
        return torch.stack([maps[number] for number in range(len(kept))], dim=1)

    def _views(
        self, inspector: Inspector, numbers: NDArray[np.intp], known: Images, kept: NDArray[np.bool_]
    ) -> Iterator[tuple[int, Surface, int | None]]:
        """Each picture's number, the surface as it is without the picture, and its place in the memory, if any.

        A surface costs far more to make than to look at, so a tenth of the pictures are left out of it at once.
        """
        moments = see_surface(self.encoder, known, lambda *_: None)
        folds = max(len(numbers) // _FOLD, min(10, len(numbers)))
        for first in range(folds):
            places = range(first, len(numbers), folds)
            surface = moments.surface_without(Selection(known, torch.tensor(places)))
            yield from ((int(numbers[place]), surface, place) for place in places)
        surface = moments.surface()
        yield from ((int(number), surface, None) for number in np.flatnonzero(~kept))

    def _maps(self, inspector: Inspector, surface: Surface, number: int, place: int | None, known: int) -> Tensor:
        """K x h x w of one picture."""
        image = self.data.images[torch.tensor([number])]
        without = None if place is None else range(place, place + 1)
        nth = min(max(known // 10, 1), _VOUCHERS)
        maps = []
        for found, memory in zip(inspector.search(image, _NEIGHBOURS, without), inspector.memories, strict=True):
            near = found.neighbours
            patches = memory.grid[0] * memory.grid[1]
            distances = nth_picture_distance(near.distances, near.origins // patches, nth).view(found.grid)
            maps.append(smooth(pixel_map(distances, found.patch, found.stride, found.size), _SMOOTHING))
        maps.append(smooth(surface.pixels(image), _SMOOTHING))
        upright = [self.data.alignment.upright_map(one[0], self.data.pictures[number].pose) for one in maps]
        return F.avg_pool2d(torch.stack(upright), _REDUCTION)
