"""The threshold of a trained model from the good pictures that it learned from, each seen as if it were new."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from sclvi.audit.second_look import standing_out
from sclvi.data.even import evenly
from sclvi.data.regions import Regions
from sclvi.decision.familiar import familiarity
from sclvi.errors import SclviError
from sclvi.lesson import Lesson
from sclvi.memory.surface import SurfaceMoments
from sclvi.model import Calibration
from sclvi.progress import Progress, track
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import Role, Usual, fuse_maps
from sclvi.scoring.regions import region_scores
from sclvi.scoring.strangers import Stranger

_REFERENCES = 200  # pictures, of those learned from, that say what maps usually show: of forty it is half chance
_FOLDS = 40  # at least, if there are so many pictures; left out as a whole, as neighbours may show the same part
_FOLD = 10  # pictures at most: to leave out more takes longer, and says no more
_KEPT_MIB = 512  # of maps, which are looked at twice; the others are made twice
_OUTLINE_QUANTILE = 0.995  # of good pixels: a defect ends where the map looks good again
_OUTLINE_PIXELS = 2**25  # that this is taken over, evenly spread

# 1 x h x w for each kind of map of an image, and the rows and columns that this image decides about
_Decided = tuple[list[Tensor], tuple[slice, slice]]


def self_calibrate(
    inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson, progress: Progress
) -> tuple[Calibration, dict[str, float]]:
    """Measure what each map usually shows, then score good pictures as if they were new and set the thresholds.

    A picture's own maps do not count in what is usual for it: it would be scored in units of its own, new pictures
    not, and the threshold would reject more than it promises. Pictures whose score stands out are returned, by name
    with that score, and do not count for the threshold where the settings want misleading pictures dropped.
    """
    strangers = _Strangers(inspector, moments, lesson)
    shown = _see_usual(strangers, progress)
    data, held, regions = lesson.data, lesson.held.tolist(), lesson.data.regions
    step = math.ceil(sum(map(data.pixels_of, held)) / _OUTLINE_PIXELS)
    peaks: list[Tensor] = []  # of each picture, K
    pixels: list[Tensor] = []
    labels: list[Tensor] = []
    for picture, seen_maps in track(strangers.see(held), "setting the threshold", len(held), progress):
        seen = []
        usual = shown.usual(without=picture)
        for maps, (rows, columns) in seen_maps:
            fused = fuse_maps(maps, usual, inspector.settings.raised)[0, rows, columns]
            upright = data.alignment.upright_map(fused, data.pictures[picture].pose)
            where = regions.labels((upright.shape[0], upright.shape[1]))
            seen.append(region_scores(upright[None], where, len(regions.names))[0])
            inside = (upright > 0) & torch.from_numpy(where > 0)  # 0 is what was cut away
            pixels.append(upright[inside][::step])
            labels.append(torch.from_numpy(where)[inside][::step].long())
        peaks.append(torch.stack(seen).amax(0))
    scores = torch.stack(peaks)
    _refuse_unseen(scores, regions)
    outstanding = standing_out(scores)
    dropped = outstanding if inspector.settings.audit == "drop" else []
    counted = np.setdiff1d(np.arange(len(scores)), dropped)
    if inspector.detector is not None and inspector.settings.set_aside == 0:
        scores = scores * familiarity(scores[counted], inspector.detector.showings)
    rates = regions.rates(inspector.settings.false_reject_rate)
    calibration = Calibration.by_scores(shown.usual(), scores[counted], rates, math.inf)
    gains = torch.tensor(calibration.gains, dtype=torch.float64)
    good = torch.cat(pixels) * gains[torch.cat(labels) - 1]
    outline = float(np.quantile(good.numpy(), _OUTLINE_QUANTILE))
    in_unit = calibration.picture_scores(scores).tolist()
    suspects = {data.pictures[held[number]].name: in_unit[number] for number in outstanding}
    return replace(calibration, outline=outline), suspects


def _refuse_unseen(scores: Tensor, regions: Regions) -> None:
    """Maps are 0 only where pictures were cut away; scores N x K."""
    for name, shown in zip(regions.names, scores.T, strict=True):
        if regions.items and not shown.any():
            raise SclviError(
                f"region {name!r} lies in background that is cut away where parts are turned; train with --no-align"
            )


@dataclass(frozen=True)
class _Shown:
    """What K kinds of map show on R >= 1 of the pictures that were learned from, each seen as if it were new."""

    numbers: Tensor  # of the pictures, R
    pixels: Tensor  # that decide about each, R
    sums: Tensor  # over these pixels, R x K float64
    peaks: Tensor  # maxima, R x K
    roles: tuple[Role, ...]  # of each kind

    def usual(self, without: int | None = None) -> tuple[Usual, ...]:
        """Of each kind; `without`: number of a picture that does not count, which leaves another at least."""
        counted = self.numbers != (-1 if without is None else without)
        means = self.sums[counted].sum(0) / self.pixels[counted].sum()
        return tuple(
            Usual.of_summaries(mean, maxima, role)
            for mean, maxima, role in zip(means.tolist(), self.peaks[counted].T, self.roles, strict=True)
        )


def _see_usual(strangers: "_Strangers", progress: Progress) -> _Shown:
    """What each kind of map shows on some of the pictures that were learned from."""
    inspector, lesson = strangers.inspector, strangers.lesson
    references = lesson.learned[evenly(len(lesson.learned), _REFERENCES)]
    sums, peaks = [], []
    for _, seen_maps in track(strangers.see(references.tolist()), "measuring the usual", len(references), progress):
        seen = [_sum_and_peak([kind[:, rows, columns] for kind in maps]) for maps, (rows, columns) in seen_maps]
        sums.append(torch.stack([total for total, _ in seen]).sum(0))
        peaks.append(torch.stack([peak for _, peak in seen]).amax(0))
    return _Shown(
        numbers=references,
        pixels=torch.tensor([lesson.data.pixels_of(picture) for picture in references.tolist()]),
        sums=torch.stack(sums),
        peaks=torch.stack(peaks),
        roles=inspector.roles(lesson.data.alignment.places_alike),
    )


def _sum_and_peak(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sum over all pixels, float64, and maximum of each kind of map, K each."""
    kinds = torch.stack(maps)
    return kinds.sum((1, 2, 3), dtype=torch.float64), kinds.amax((1, 2, 3))


class _Strangers:
    """Good pictures, each as if nothing had been kept of its fold; their maps are kept for the second look at them."""

    def __init__(self, inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson) -> None:
        self.inspector, self.lesson = inspector, lesson
        self._moments = moments
        self._kept: dict[int, list[_Decided]] = {}
        self._room = _KEPT_MIB * 2**20

    def see(self, pictures: list[int]) -> Iterator[tuple[int, Iterator[_Decided]]]:
        """Each of these, in ascending order, with its maps, which are to be taken before the next is asked for."""
        anew = self._see_anew([picture for picture in pictures if picture not in self._kept])
        for picture in pictures:
            kept = self._kept.get(picture)
            yield picture, self._keep(picture, next(anew)) if kept is None else iter(kept)

    def _see_anew(self, pictures: list[int]) -> Iterator[Iterator[_Decided]]:
        data = self.lesson.data
        length = min(max(1, len(data.pictures) // _FOLDS), _FOLD)
        for fold, members in groupby(pictures, lambda picture: picture // length):
            last = min((fold + 1) * length, len(data.pictures)) - 1
            left_out = range(data.images_of(fold * length).start, data.images_of(last).stop)
            stranger = Stranger.to(self.inspector, self._moments, self.lesson.images, left_out)
            for picture in members:
                yield _maps_of(stranger, self.lesson, picture)

    def _keep(self, picture: int, seen: Iterator[_Decided]) -> Iterator[_Decided]:
        """The same, and kept if all of it fits."""
        kept, size = [], 0
        for one in seen:
            size += sum(kind.nbytes for kind in one[0])
            if size <= self._room:
                kept.append(one)
            else:
                kept.clear()
            yield one
        if size <= self._room:
            self._kept[picture] = kept
            self._room -= size


def _maps_of(stranger: Stranger, lesson: Lesson, picture: int) -> Iterator[_Decided]:
    """One image at a time, since those of a large picture do not fit together."""
    own = lesson.data.images_of(picture)
    batches = stranger.score(lesson.images, own)
    one_by_one = (maps for batch in batches for maps in zip(*(kind.split(1) for kind in batch), strict=True))
    for number, maps in zip(own, one_by_one, strict=True):
        yield list(maps), lesson.data.core_of(number)
