"""From a folder of good pictures to a `Model`."""

import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sclvi.audit.audit import Audit, audit
from sclvi.context.settling import settle
from sclvi.context.training import TrainingStep, train_encoder
from sclvi.data.good import GoodPictures, read_good
from sclvi.data.images import Images, Selection, in_batches
from sclvi.data.light import Light
from sclvi.data.regions import WHOLE, Regions
from sclvi.data.sources import Source
from sclvi.data.spread import spread
from sclvi.decision.familiar import as_if_new
from sclvi.decision.threshold import images_needed
from sclvi.encoders.compute import pick_device
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.interface import Encoder
from sclvi.encoders.making import new_encoder
from sclvi.errors import OnSkip, SclviError
from sclvi.evaluation.memory_use import peak_memory_mib
from sclvi.memory.scale import ScaleMemory, fill_memories
from sclvi.memory.surface import SurfaceMoments, see_surface
from sclvi.model import Calibration, Model
from sclvi.model_file import fingerprint_of
from sclvi.progress import Progress, silent, track
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import Role, Usual, fuse_maps
from sclvi.scoring.regions import region_scores
from sclvi.scoring.strangers import Stranger
from sclvi.settings import Settings
from sclvi.synthetic.detector import Detector
from sclvi.synthetic.learning import learn_defects

_REFERENCES = 200  # pictures, of those learned from, that say what maps usually show: of forty it is half chance
_HELD = 200  # pictures that set the threshold at most: scoring them takes time, and more hardly move it
_FOLDS = 40  # at most, that are left out as a whole: pictures that follow each other may show the same part
_OUTLINE_QUANTILE = 0.995  # of good pixels: a defect ends where the map looks good again
_OUTLINE_PIXELS = 2**25  # that this is taken over, evenly spread


def train(
    good: str | Path | Sequence[Source],
    settings: Settings | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    regions: Regions = WHOLE,
) -> Model:
    """Learn what good parts look like.

    Args:
        good: folder of good pictures, MVTec category, CSV manifest, or a sequence of paths or arrays.
        settings: the defaults fit every kind of part.
        progress: told about each stage.
        on_skip: called with the name and the error for each picture that cannot be used, which is then left out;
            without it the error is raised.
        regions: where to inspect, and what not to look at; see `read_regions`.

    Raises:
        SclviError: nothing to learn from, a region of which nothing is seen, or a bad picture without `on_skip`.
    """
    settings = settings or Settings()
    started = time.perf_counter()
    lesson = learn_good(good, settings, progress, on_skip, regions)
    return build_model(lesson, settings, started, progress)


@dataclass(frozen=True)
class Lesson:
    """What was learned of good parts; how it is searched, fused and judged may still change, and maps go."""

    data: GoodPictures
    images: Images  # of `data`, prepared by `light`
    light: Light
    held: Tensor  # indices of the pictures that set the threshold
    learned: Tensor  # indices of those that the encoder learned from: all, or the others
    encoder: Encoder
    memories: tuple[ScaleMemory, ...]
    moments: SurfaceMoments | None
    detector: Detector | None
    log: list[TrainingStep]
    audit: Audit | None = None  # of all pictures that were read


def learn_good(
    good: str | Path | Sequence[Source],
    settings: Settings,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    regions: Regions = WHOLE,
) -> Lesson:
    """Read the good pictures, learn context, fill the memory; arguments and errors as of `train`."""
    if settings.tile is not None and regions.items:
        raise SclviError("regions and tiles cannot be used together; leave --region or --tile out")
    data = read_good(
        good,
        settings.size,
        settings.short_side,
        settings.align,
        progress,
        on_skip,
        thumbnails_kib=settings.thumbnails_kib,
        tile=settings.tile,
        overlap=settings.overlap,
        regions=regions,
    )
    audited = None if settings.audit == "off" else audit(data.reduced(), settings, progress)
    if audited is not None and settings.audit == "drop":
        data = data.only(audited.kept())
    if len(data.pictures) < 2:
        raise SclviError("one good picture is too few: another is needed to set the threshold; fifty are better")
    light = measure_light(data.images, settings)
    images = data.lit(light)
    held, learned = _split(len(data.pictures), settings)
    seen = torch.tensor([number for picture in learned.tolist() for number in data.images_of(picture)])
    encoder, log = learn_encoder(images, seen, settings, progress)
    nearness = settings.nearness if data.alignment.turns else 0.0
    memories = fill_memories(encoder, images, settings, progress, nearness)
    moments = None
    if settings.surface and isinstance(encoder, DenseEncoder):
        moments = see_surface(encoder, images, progress)
    detector = learn_defects(Selection(images, seen), settings.synthetic_steps, settings.seed, progress)
    return Lesson(data, images, light, held, learned, encoder, memories, moments, detector, log, audited)


def build_model(lesson: Lesson, settings: Settings, started: float, progress: Progress = silent) -> Model:
    """Set the threshold; `started` is when training began, by `time.perf_counter`."""
    moments = lesson.moments if settings.surface else None
    surface = moments.surface() if moments is not None else None
    detector = lesson.detector if settings.synthetic_steps else None
    inspector = Inspector(lesson.encoder, lesson.memories, surface, settings, detector)
    calibration = _calibrate(inspector, moments, lesson, progress)
    seconds = time.perf_counter() - started
    model = Model(
        inspector=inspector,
        light=lesson.light,
        alignment=lesson.data.alignment,
        channels=lesson.data.channels,
        levels=lesson.data.levels,
        regions=lesson.data.regions,
        calibration=calibration,
        pictures=lesson.data.pictures,
        fingerprint="",
        metadata=_metadata(lesson, settings, seconds),
    )
    return replace(model, fingerprint=fingerprint_of(model))


def measure_light(images: Images, settings: Settings) -> Light:
    """What is to be done to the light; images N x C x H x W float 0..1."""
    if settings.light != "mean":
        return Light(None)
    total = torch.zeros(*images.shape[1:], dtype=torch.float64)
    for batch in in_batches(images):
        total += batch.sum(0)
    return Light((total / len(images)).float())


def learn_encoder(
    images: Images, learned: Tensor, settings: Settings, progress: Progress
) -> tuple[Encoder, list[TrainingStep]]:
    """Context learning, and the encoder as it inspects.

    Args:
        images: N x C x H x W float, prepared by `Light`.
        learned: indices of those that the encoder learns from; its batch statistics come from up to 64 of all.
    """
    encoder = new_encoder(settings, images.shape[1])
    log = train_encoder(encoder, lambda indices: images[learned[indices]], len(learned), settings, progress)
    return settle(encoder, images, progress), log


def pictures_needed(rate: float, settings: Settings) -> int:
    """How many good pictures training takes to promise `rate`."""
    return math.ceil(images_needed(rate) / (settings.set_aside or 1) - 1e-9)


def _split(count: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Indices of the pictures that set the threshold, and of those that the encoder learns from; count >= 2.

    Where none are set aside all do both. No more than `_HELD` set the threshold, or than it takes to promise the rate.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    most = max(_HELD, images_needed(settings.false_reject_rate))
    if settings.set_aside == 0:
        return order[:most].sort().values, torch.arange(count)
    held = max(1, min(round(settings.set_aside * count), most))
    return order[:held].sort().values, order[held:].sort().values


def _calibrate(inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson, progress: Progress) -> Calibration:
    """Measure what each map usually shows, then score good pictures as if they were new and set the thresholds.

    A picture's own maps do not count in what is usual for it: it would be scored in units of its own, new pictures
    not, and the threshold would reject more than it promises.
    """
    shown = _see_usual(inspector, moments, lesson, progress)
    data, held, regions = lesson.data, lesson.held.tolist(), lesson.data.regions
    step = math.ceil(sum(map(data.pixels_of, held)) / _OUTLINE_PIXELS)
    peaks: list[Tensor] = []  # of each picture, K
    pixels: list[Tensor] = []
    labels: list[Tensor] = []
    strangers = _see_as_strangers(inspector, moments, lesson, held)
    for picture, seen_maps in track(strangers, "setting the threshold", len(held), progress):
        seen = []
        usual = shown.usual(without=picture)
        for maps in seen_maps:
            fused = fuse_maps(maps, usual, inspector.settings.raised)[0]
            upright = data.alignment.upright_map(fused, data.pictures[picture].pose)
            where = regions.labels((upright.shape[0], upright.shape[1]))
            seen.append(region_scores(upright[None], where, len(regions.names))[0])
            inside = (upright > 0) & torch.from_numpy(where > 0)  # 0 is what was cut away
            pixels.append(upright[inside][::step])
            labels.append(torch.from_numpy(where)[inside][::step].long())
        peaks.append(torch.stack(seen).amax(0))
    scores = torch.stack(peaks)
    _refuse_unseen(scores, regions)
    if inspector.detector is not None and inspector.settings.set_aside == 0:
        scores = as_if_new(scores)
    rates = regions.rates(inspector.settings.false_reject_rate)
    calibration = Calibration.by_scores(shown.usual(), scores, rates, math.inf)
    gains = torch.tensor(calibration.gains, dtype=torch.float64)
    good = torch.cat(pixels) * gains[torch.cat(labels) - 1]
    outline = float(np.quantile(good.numpy(), _OUTLINE_QUANTILE))
    return replace(calibration, outline=min(outline, calibration.outline))


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


def _see_usual(inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson, progress: Progress) -> _Shown:
    """What each kind of map shows on some of the pictures that were learned from."""
    references = lesson.learned[spread(len(lesson.learned), _REFERENCES)]
    sums, peaks = [], []
    strangers = _see_as_strangers(inspector, moments, lesson, references.tolist())
    for _, maps in track(strangers, "measuring the usual", len(references), progress):
        seen = list(map(_sum_and_peak, maps))
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


def _see_as_strangers(
    inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson, pictures: list[int]
) -> Iterator[tuple[int, Iterator[list[Tensor]]]]:
    """Each of these good pictures, in ascending order, with its maps as if nothing had been kept of its fold.

    One image at a time, since those of a large picture do not fit together; 1 x h x w for each kind of map, of the part
    that this image decides.
    """
    data = lesson.data
    length = max(1, len(data.pictures) // _FOLDS)
    for fold, members in groupby(pictures, lambda picture: picture // length):
        last = min((fold + 1) * length, len(data.pictures)) - 1
        left_out = range(data.images_of(fold * length).start, data.images_of(last).stop)
        stranger = Stranger.to(inspector, moments, lesson.images, left_out)
        for picture in members:
            yield picture, _decided_maps(stranger, lesson, picture)


def _decided_maps(stranger: Stranger, lesson: Lesson, picture: int) -> Iterator[list[Tensor]]:
    own = lesson.data.images_of(picture)
    batches = stranger.score(lesson.images, own)
    one_by_one = (maps for batch in batches for maps in zip(*(kind.split(1) for kind in batch), strict=True))
    for number, maps in zip(own, one_by_one, strict=True):
        rows, columns = lesson.data.core_of(number)
        yield [kind[:, rows, columns] for kind in maps]


def _metadata(lesson: Lesson, settings: Settings, seconds: float) -> dict[str, Any]:
    packages = ("sclvi", "torch", "faiss-cpu", "numpy", "opencv-python-headless")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "train_seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        "data_fingerprint": lesson.data.fingerprint,
        "settings_fingerprint": settings.fingerprint(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "device": str(pick_device()),
        "threads": torch.get_num_threads(),
        "training_log": [asdict(step) for step in lesson.log],
        "audit": None if lesson.audit is None else lesson.audit.summary(),
    }
