"""`Model`: encoder, memory, calibration and settings; what inspects pictures and is written to one file."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclvi.ahead import ahead
from sclvi.data.alignment import Alignment
from sclvi.data.appearance import Appearance, measure_appearance
from sclvi.data.arrays import Picture
from sclvi.data.box import Box
from sclvi.data.good import TrainingPicture
from sclvi.data.levels import Levels
from sclvi.data.light import Light
from sclvi.data.pose import Affine, chain, inverse, scaling
from sclvi.data.regions import Regions
from sclvi.data.sources import Source, listed, read_source, source_name
from sclvi.data.tiles import TileNumbers, Tiling
from sclvi.decision.defects import Region, find_regions, scale_box, to_defect
from sclvi.decision.drift import SCORE
from sclvi.decision.inspection import Defect, Inspection, NearestGood
from sclvi.decision.threshold import Threshold, conformal_threshold, p_value, together
from sclvi.errors import OnSkip, SclviError, about, leave_out
from sclvi.inspect_tiles import inspect_tiles
from sclvi.memory.correction import Correction
from sclvi.scoring.inspector import Inspector, Judged
from sclvi.scoring.maps import Usual, fuse_maps
from sclvi.scoring.regions import focus
from sclvi.side_by_side import side_by_side

BATCH = 8  # pictures; more gains nothing on a CPU
_READERS = 2
_LEAST_SCORE = 0.5  # of a raw map, whose usual level is 1


@dataclass(frozen=True)
class Calibration:
    """What good pictures said, each seen as if it were new."""

    usual: tuple[Usual, ...]  # per map
    threshold: Threshold
    outline: float  # map value that most pixels of good pictures stay below
    scores: tuple[float, ...]  # image score of each of these pictures
    regions: tuple[Threshold, ...]  # of each region of interest, in the unit of the raw map; `threshold` is of them all

    @classmethod
    def by_scores(
        cls, usual: tuple[Usual, ...], scores: Tensor, rates: Sequence[float], outline: float
    ) -> "Calibration":
        """The thresholds that raw scores of good pictures set.

        Args:
            usual: of each map.
            scores: N x K float, of N pictures in K regions of interest; half of what is usual counts as the least, as
                less is rounding, which is all that tells identical pictures apart.
            rates: the false-reject rate asked of each region.
            outline: see there; +inf where it is not known yet.
        """
        scores = scores.clamp_min(_LEAST_SCORE)
        regions = tuple(conformal_threshold(one, rate) for one, rate in zip(scores.T.tolist(), rates, strict=True))
        threshold = together(regions)
        unscored = cls(usual, threshold, outline, (), regions)
        return replace(unscored, scores=tuple(unscored.picture_scores(scores).float().tolist()))

    @property
    def pixel_threshold(self) -> float:
        """Map value that ends a defect: no higher than the threshold, which starts it."""
        return min(self.outline, self.threshold.value)

    def picture_scores(self, scores: Tensor) -> Tensor:
        """Raw scores of N pictures in K regions of interest, N x K -> N float64 in the unit of `threshold`."""
        return (scores * torch.tensor(self.gains, dtype=torch.float64)).amax(1)

    @property
    def gains(self) -> tuple[float, ...]:
        """What the map is stretched by in each region, so that `threshold` holds in all; see `focus`."""
        return tuple(self.threshold.value / one.value for one in self.regions)


@dataclass(frozen=True)
class Model:
    """An inspector for one kind of part; made by `sclvi.train`, read by `sclvi.load`."""

    inspector: Inspector = field(repr=False)
    light: Light = field(repr=False)
    alignment: Alignment = field(repr=False)
    channels: int
    levels: Levels | None = field(repr=False)
    regions: Regions = field(repr=False)
    calibration: Calibration
    pictures: tuple[TrainingPicture, ...] = field(repr=False)
    fingerprint: str
    metadata: dict[str, Any] = field(repr=False)  # versions, data fingerprint, training log
    corrections: tuple[Correction, ...] = field(default=(), repr=False)  # by people, oldest first
    uncorrected: str | None = field(default=None, repr=False)  # fingerprint without corrections; None: there are none

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of anomaly maps, or of tiles, px."""
        return self.alignment.size

    @cached_property
    def tiles(self) -> TileNumbers | None:
        """The tiles of the training pictures; None where pictures are looked at as a whole."""
        settings = self.inspector.settings
        if settings.tile is None:
            return None
        return TileNumbers(Tiling(self.size, settings.overlap), tuple(picture.size for picture in self.pictures))

    @property
    def threshold(self) -> float:
        """Image score above which a part is defective."""
        return self.calibration.threshold.value

    @property
    def good_statistics(self) -> dict[str, tuple[float, ...]]:
        """What drift is found against: each statistic of the good pictures, the score of those scored as new."""
        names = self.pictures[0].appearance
        watched = {name: tuple(picture.appearance[name] for picture in self.pictures) for name in names}
        return {**watched, SCORE: self.calibration.scores}

    def teach(self, image: Source, boxes: Sequence[Box] = (), by: str | None = None) -> "Model":
        """See `sclvi.correct.teach`."""
        from sclvi.correct import teach

        return teach(self, image, boxes, by)

    def flag(self, image: Source, boxes: Sequence[Box], by: str | None = None) -> "Model":
        """See `sclvi.correct.flag`."""
        from sclvi.correct import flag

        return flag(self, image, boxes, by)

    def undo(self, number: int) -> "Model":
        """See `sclvi.correct.undo`."""
        from sclvi.correct import undo

        return undo(self, number)

    @property
    def known_good(self) -> dict[str, TrainingPicture]:
        """The pictures that the memory knows patches of, by name: those trained on, and those taught."""
        taught = (correction.picture for correction in self.corrections if correction.kind == "taught")
        return {picture.name: picture for picture in (*taught, *self.pictures)}

    @property
    def all_pictures(self) -> tuple[TrainingPicture, ...]:
        """Those trained on, then those that people corrected the model with."""
        return (*self.pictures, *(correction.picture for correction in self.corrections))

    def picture_number(self, correction: Correction) -> int:
        """What a corrected picture counts as in the origins of patches: it comes after those trained on."""
        return len(self.pictures) + correction.number - 1

    def _picture(self, number: int) -> TrainingPicture:
        if number < len(self.pictures):
            return self.pictures[number]
        return next(one.picture for one in self.corrections if self.picture_number(one) == number)

    def inspect(
        self, images: Source | Iterable[Source], on_skip: OnSkip | None = None, batch: int = BATCH
    ) -> Iterator[Inspection]:
        """Inspect pictures, in order, reading ahead in threads; batches are worked at side by side.

        So the first of many comes when some twenty are read. For each picture of a camera as it comes, ask anew.

        Args:
            images: paths, or arrays H x W or H x W x C (uint8, uint16 or float; see docs/pictures.md); or one of them,
                or a folder.
            on_skip: called with the name and the error for each picture that cannot be inspected, which is then left
                out; without it the error is raised.
            batch: pictures that are inspected together.

        Raises:
            SclviError: a picture cannot be read or does not fit, and `on_skip` is not given; or there is none.
        """
        return (inspection for inspection, _ in self.inspect_pictures(listed(images), on_skip, batch))

    def inspect_pictures(
        self, images: Iterable[Source], on_skip: OnSkip | None = None, batch: int = BATCH
    ) -> Iterator[tuple[Inspection, Picture]]:
        """As `inspect`, each with the picture as it was read (for overlays)."""
        if self.tiles is not None:
            yield from inspect_tiles(self, self.tiles, images, on_skip)
            return
        if batch < 1:
            raise ValueError(f"batches of {batch} pictures")
        if isinstance(images, Iterator):
            # what it gave may change when it is asked for the next, and some are read ahead
            images = (image.copy() if isinstance(image, np.ndarray) else image for image in images)
        loaded = self._read_ahead(images)
        batches = iter(lambda: list(islice(loaded, batch)), [])
        for outcomes in side_by_side(self._inspect_batch, batches):
            for outcome in outcomes:
                if isinstance(outcome, _Failed):
                    leave_out(outcome.name, outcome.error, on_skip)
                else:
                    yield outcome

    def anomaly_maps(self, images: Tensor) -> tuple[Tensor, Judged]:
        """Maps of pictures prepared by `light`, B x C x H x W -> B x H x W, and the smallest scale's patches.

        What was taught only makes scores less, and is looked up where a picture would show a defect without it.
        """
        if not self.inspector.is_taught:
            return self._fused(self.inspector, images)
        maps, judged = self._fused(self._untaught, images)
        shown = self.shown(maps).any(2).any(1)
        if not shown.any():
            return maps, judged
        excused, judged = self._fused(self.inspector, images)
        # beside a line that is fine now another may be the ridge, and show more than it did
        return torch.where(shown[:, None, None], torch.minimum(excused, maps), maps), judged

    def fuse(self, maps: list[Tensor]) -> Tensor:
        """See `fuse_maps`; each of what `Inspector.score` gave, B x H x W -> B x H x W."""
        return fuse_maps(maps, self.calibration.usual, self.inspector.settings.raised)

    def shown(self, fused: Tensor) -> Tensor:
        """Pixels by which a picture is defective, B x H x W -> B x H x W bool.

        Where regions of interest have thresholds of their own, by the lowest of these.
        """
        return fused > self.threshold / max(1.0, *self.calibration.gains)

    @cached_property
    def _untaught(self) -> Inspector:
        return self.inspector.untaught()

    def _fused(self, inspector: Inspector, images: Tensor) -> tuple[Tensor, Judged]:
        maps, judged = inspector.score(images)
        return self.fuse(maps), judged[0]

    def _read_ahead(self, images: Iterable[Source]) -> Iterator["LoadedPicture | _Failed"]:
        with ThreadPoolExecutor(_READERS) as pool:
            yield from ahead(pool, self._load, enumerate(images), BATCH - 1)

    def _load(self, numbered: tuple[int, Source]) -> "LoadedPicture | _Failed":
        number, image = numbered
        try:
            return self.read(number, image)
        except SclviError as error:
            return _Failed(source_name(number, image), error)

    def read(self, number: int, image: Source) -> "LoadedPicture":
        """Read and align a picture; `number` names it where it is an array.

        Raises:
            SclviError: it cannot be read or does not fit.
        """
        name = source_name(number, image)
        try:
            picture = read_source(image)
            inside = self.regions.fill(picture)
            brought = self.alignment.bring(inside, self.channels, self.levels)
            appearance = measure_appearance(brought.whole, brought.contrast)
            return LoadedPicture(name, picture, brought.aligned, brought.pose, appearance)
        except SclviError as error:
            raise about(name, error) from None

    def _inspect_batch(self, batch: list["LoadedPicture | _Failed"]) -> list["tuple[Inspection, Picture] | _Failed"]:
        """What could be read, inspected, and what could not, in the same order."""
        good = iter(self._inspect([one for one in batch if isinstance(one, LoadedPicture)]))
        return [one if isinstance(one, _Failed) else next(good) for one in batch]

    def _inspect(self, batch: list["LoadedPicture"]) -> Iterator[tuple[Inspection, Picture]]:
        if not batch:
            return
        started = time.perf_counter()
        aligned, judged = self.anomaly_maps(self.light(torch.stack([loaded.aligned for loaded in batch])))
        upright = [self.alignment.upright_map(one, loaded.pose) for one, loaded in zip(aligned, batch, strict=True)]
        maps = focus(torch.stack(upright), self.regions.labels(self.size), self.calibration.gains)
        milliseconds = (time.perf_counter() - started) * 1e3 / len(batch)
        for index, loaded in enumerate(batch):
            anomaly_map = maps[index].numpy()
            regions = self._find_defects(anomaly_map)
            defects = tuple(
                self._describe(region, (judged.origins[index], judged.distances[index]), loaded) for region in regions
            )
            yield (
                self.inspection(loaded.name, loaded.size, anomaly_map, defects, milliseconds, loaded.appearance),
                loaded.picture,
            )

    def inspection(
        self,
        image: str,
        size: tuple[int, int],
        anomaly_map: NDArray[np.float32],
        defects: tuple[Defect, ...],
        milliseconds: float,
        appearance: Appearance,
    ) -> Inspection:
        """What the model says of a picture by its map; the score is the map's maximum."""
        score = float(anomaly_map.max())
        return Inspection(
            image=image,
            size=size,
            score=score,
            threshold=self.threshold,
            pixel_threshold=self.calibration.pixel_threshold,
            defects=defects,
            anomaly_map=anomaly_map,
            model=self.fingerprint,
            milliseconds=milliseconds,
            appearance=appearance,
            p_value=p_value(score, self.calibration.scores),
            promised_rate=self.calibration.threshold.promised_rate,
        )

    def _find_defects(self, anomaly_map: NDArray[np.float32]) -> list[Region]:
        """Highest peak first; each lies in one region of interest, as each of these has a measure of its own."""
        labels = self.regions.labels(self.size)
        found = [
            region
            for number in range(1, 1 + len(self.regions.names))
            for region in find_regions(
                np.where(labels == number, anomaly_map, np.float32(0)), self.calibration.pixel_threshold, self.threshold
            )
        ]
        return sorted(found, key=lambda region: -region.peak)

    def _describe(self, region: Region, nearest: tuple[Tensor, Tensor], loaded: "LoadedPicture") -> Defect:
        nearest_good = self._nearest_good(region.peak_at, *nearest, loaded)
        name = self.regions.names[self.regions.labels(self.size)[region.peak_at] - 1]
        return to_defect(region, self.size, loaded.size, self.threshold, nearest_good, name)

    def _nearest_good(
        self, peak_at: tuple[int, int], origins: Tensor, distances: Tensor, loaded: "LoadedPicture"
    ) -> NearestGood | None:
        """The good patch nearest to that around a place of the map; origins and distances are h x w, of one picture."""
        item = self.inspector.nearest_item(self.alignment.aligned_place(peak_at, loaded.pose), origins, distances)
        if item is None:
            return None
        good = self._picture(item.image)
        (row, column), (top, left) = item.here, item.there
        shift = np.array([[1, 0, left - column], [0, 1, top - row]])
        placing = chain(self._aligning(loaded.size, loaded.pose), shift, inverse(self._aligning(good.size, good.pose)))
        return NearestGood(
            picture=good.name,
            box=self._patch_box(top, left, good.pose, good.size),
            distance=item.distance,
            compared=self._patch_box(row, column, loaded.pose, loaded.size),
            placing=(_triple(placing[0]), _triple(placing[1])),
        )

    def _aligning(self, original: tuple[int, int], pose: Affine) -> Affine:
        """From the pixels of an original picture to those of its aligned one."""
        return chain(scaling(original, self.alignment.upright), pose)

    def _patch_box(self, top: int, left: int, pose: Affine, original: tuple[int, int]) -> Box:
        """Where a patch of the smaller scale lies in the original picture."""
        patch = self.inspector.memories[0].patch
        rows, columns = self.alignment.upright_box((top, top + patch), (left, left + patch), pose)
        return scale_box(rows, columns, self.alignment.upright, original)


def _triple(row: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(row[0]), float(row[1]), float(row[2])


@dataclass(frozen=True)
class LoadedPicture:
    """A picture as it was read, and as the model looks at it."""

    name: str
    picture: Picture
    aligned: Tensor  # C x h x w, 0..1
    pose: Affine
    appearance: Appearance

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), original px."""
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True)
class _Failed:
    name: str
    error: SclviError
