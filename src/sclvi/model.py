"""`Model`: encoder, memory, calibration and settings; what inspects pictures and is written to one file."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclvi.data.alignment import Alignment
from sclvi.data.appearance import Appearance, measure_appearance
from sclvi.data.arrays import Picture
from sclvi.data.good import TrainingPicture
from sclvi.data.levels import Levels
from sclvi.data.light import Light
from sclvi.data.pose import Affine, chain, inverse, scaling
from sclvi.data.preparing import prepare
from sclvi.data.sources import Source, read_source, source_name
from sclvi.data.tiles import TileNumbers, Tiling
from sclvi.decision.defects import Region, find_regions, scale_box, to_defect
from sclvi.decision.drift import SCORE
from sclvi.decision.inspection import Box, Defect, Inspection, NearestGood
from sclvi.decision.threshold import Threshold, p_value
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.inspect_tiles import inspect_tiles
from sclvi.scoring.inspector import Found, Inspector
from sclvi.scoring.maps import Usual, fuse_maps, image_scores

BATCH = 8  # pictures; more gains nothing on a CPU
_READERS = 2


@dataclass(frozen=True)
class Calibration:
    """What the set-aside good pictures said."""

    usual: tuple[Usual, ...]  # per map
    threshold: Threshold
    outline: float  # map value that ends a defect
    scores: tuple[float, ...]  # image score of each set-aside picture


@dataclass(frozen=True)
class Model:
    """An inspector for one kind of part; made by `sclvi.train`, read by `sclvi.load`."""

    inspector: Inspector = field(repr=False)
    light: Light = field(repr=False)
    alignment: Alignment = field(repr=False)
    channels: int
    levels: Levels | None = field(repr=False)
    calibration: Calibration
    pictures: tuple[TrainingPicture, ...] = field(repr=False)
    fingerprint: str
    metadata: dict[str, Any] = field(repr=False)  # versions, data fingerprint, training log

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
        """What drift is found against: each statistic of the good pictures, the score of those set aside."""
        names = self.pictures[0].appearance
        watched = {name: tuple(picture.appearance[name] for picture in self.pictures) for name in names}
        return {**watched, SCORE: self.calibration.scores}

    def inspect(self, images: Iterable[Source], on_skip: OnSkip | None = None) -> Iterator[Inspection]:
        """Inspect pictures, in order, reading ahead in threads.

        Args:
            images: paths, or arrays H x W or H x W x C (uint8, uint16 or float; see docs/pictures.md).
            on_skip: called with the name and the error for each picture that cannot be inspected, which is then left
                out; without it the error is raised.

        Raises:
            SclviError: a picture cannot be read or does not fit, and `on_skip` is not given.
        """
        return (inspection for inspection, _ in self.inspect_pictures(images, on_skip))

    def inspect_pictures(
        self, images: Iterable[Source], on_skip: OnSkip | None = None
    ) -> Iterator[tuple[Inspection, Picture]]:
        """As `inspect`, each with the picture as it was read (for overlays)."""
        if self.tiles is not None:
            yield from inspect_tiles(self, self.tiles, images, on_skip)
            return
        pending: list[_Loaded] = []
        for loaded in self._read_ahead(images):
            if isinstance(loaded, _Failed):
                leave_out(loaded.name, loaded.error, on_skip)
                continue
            pending.append(loaded)
            if len(pending) == BATCH:
                yield from self._inspect_batch(pending)
                pending = []
        if pending:
            yield from self._inspect_batch(pending)

    def anomaly_maps(self, images: Tensor) -> tuple[Tensor, Found]:
        """Maps of pictures prepared by `light`, B x C x H x W -> B x H x W, and the smallest scale's neighbours."""
        maps, found = self.inspector.score(images)
        return fuse_maps(maps, self.calibration.usual, self.inspector.settings.raised), found

    def _read_ahead(self, images: Iterable[Source]) -> Iterator["_Loaded | _Failed"]:
        numbered = enumerate(images)
        with ThreadPoolExecutor(_READERS) as pool:
            waiting: list[Future[_Loaded | _Failed]] = []
            try:
                for number, image in islice(numbered, 2 * BATCH):
                    waiting.append(pool.submit(self._load, number, image))
                while waiting:
                    yield waiting.pop(0).result()
                    for number, image in islice(numbered, 1):
                        waiting.append(pool.submit(self._load, number, image))
            finally:
                for future in waiting:
                    future.cancel()

    def _load(self, number: int, image: Source) -> "_Loaded | _Failed":
        name = source_name(number, image)
        try:
            picture = read_source(image)
            aligned, pose = self.alignment.bring(picture, self.channels, self.levels)
            upright = prepare(picture, self.size, self.channels, self.levels) if self.alignment.changes else aligned
            return _Loaded(name, picture, aligned, pose, measure_appearance(upright))
        except SclviError as error:
            message = str(error)
            return _Failed(name, error if message.startswith(name) else SclviError(f"{name}: {message}"))

    def _inspect_batch(self, batch: list["_Loaded"]) -> Iterator[tuple[Inspection, Picture]]:
        started = time.perf_counter()
        aligned, found = self.anomaly_maps(self.light(torch.stack([loaded.aligned for loaded in batch])))
        upright = [self.alignment.upright_map(one, loaded.pose) for one, loaded in zip(aligned, batch, strict=True)]
        maps = torch.stack(upright)
        nearest = found.nearest()
        scores = image_scores(maps).tolist()
        milliseconds = (time.perf_counter() - started) * 1e3 / len(batch)
        for index, loaded in enumerate(batch):
            anomaly_map = maps[index].numpy()
            regions = find_regions(anomaly_map, self.calibration.outline, self.threshold)
            defects = tuple(
                self._describe(region, (nearest[0][index], nearest[1][index]), loaded) for region in regions
            )
            yield (
                Inspection(
                    image=loaded.name,
                    size=loaded.size,
                    score=scores[index],
                    threshold=self.threshold,
                    pixel_threshold=self.calibration.outline,
                    defects=defects,
                    anomaly_map=anomaly_map,
                    model=self.fingerprint,
                    milliseconds=milliseconds,
                    appearance=loaded.appearance,
                    p_value=p_value(scores[index], self.calibration.scores),
                ),
                loaded.picture,
            )

    def _describe(self, region: Region, nearest: tuple[Tensor, Tensor], loaded: "_Loaded") -> Defect:
        nearest_good = self._nearest_good(region.peak_at, *nearest, loaded)
        return to_defect(region, self.size, loaded.size, self.threshold, nearest_good)

    def _nearest_good(
        self, peak_at: tuple[int, int], origins: Tensor, distances: Tensor, loaded: "_Loaded"
    ) -> NearestGood | None:
        """The good patch nearest to that around a place of the map; origins and distances are h x w, of one picture."""
        memory = self.inspector.memories[0]
        stride = self.inspector.settings.query_step * memory.stride
        at = self.alignment.aligned_place(peak_at, loaded.pose)
        row, column = (
            min(max(round((place - memory.patch / 2) / stride), 0), length - 1)
            for place, length in zip(at, origins.shape, strict=True)
        )
        origin = int(origins[row, column])
        if origin < 0:
            return None
        number, cell = divmod(origin, memory.grid[0] * memory.grid[1])
        top, left = (memory.stride * place for place in divmod(cell, memory.grid[1]))
        good = self.pictures[number]
        shift = np.array([[1, 0, left - stride * column], [0, 1, top - stride * row]])
        placing = chain(self._aligning(loaded.size, loaded.pose), shift, inverse(self._aligning(good.size, good.pose)))
        return NearestGood(
            picture=good.name,
            box=self._patch_box(top, left, good.pose, good.size),
            distance=float(distances[row, column]),
            compared=self._patch_box(stride * row, stride * column, loaded.pose, loaded.size),
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
class _Loaded:
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
