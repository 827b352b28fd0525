"""From a folder of good pictures to a `Model`."""

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sclvi.audit.audit import Audit, audit
from sclvi.context.settling import settle
from sclvi.context.training import TrainingStep, train_encoder
from sclvi.data.good import GoodPictures, read_good
from sclvi.data.light import Light
from sclvi.data.regions import WHOLE, Regions
from sclvi.data.sources import Source
from sclvi.data.spread import spread
from sclvi.decision.threshold import conformal_threshold, together
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
from sclvi.scoring.maps import Usual, fuse_maps, image_scores
from sclvi.scoring.regions import focus, region_scores
from sclvi.scoring.strangers import score_as_stranger
from sclvi.settings import Settings

_CAUTION = 2.0  # about the surface: its maxima on good pictures have long tails, which a deviation does not tell of
_REFERENCES = 40  # pictures, of those learned from, that say what maps usually show
_OUTLINE_QUANTILE = 0.995  # of good pixels: a defect ends where the map looks good again


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
    """What was learned of good parts; how it is searched, fused and judged may still change, and the surface go."""

    data: GoodPictures  # prepared by `light`
    light: Light
    held: Tensor  # indices of the pictures that set the threshold
    learned: Tensor  # indices of the others
    encoder: Encoder
    memories: tuple[ScaleMemory, ...]
    moments: SurfaceMoments | None
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
    data = read_good(
        good, settings.size, settings.short_side, settings.align, progress, on_skip, settings.thumbnails_kib, regions
    )
    audited = None if settings.audit == "off" else audit(data, settings, progress)
    if audited is not None and settings.audit == "drop":
        data = data.only(audited.kept())
    if len(data.images) < 2:
        raise SclviError("one good picture is too few: another is needed to set the threshold; fifty are better")
    light = measure_light(data.images, settings)
    data = replace(data, images=light(data.images))  # the pictures as read are not held beside these
    held, learned = _split(len(data.images), settings)
    encoder, log = learn_encoder(data.images, learned, settings, progress)
    nearness = settings.nearness if data.alignment.template is not None else 0.0
    memories = fill_memories(encoder, data.images, settings, progress, nearness)
    moments = None
    if settings.surface and isinstance(encoder, DenseEncoder):
        moments = see_surface(encoder, data.images, progress)
    return Lesson(data, light, held, learned, encoder, memories, moments, log, audited)


def build_model(lesson: Lesson, settings: Settings, started: float, progress: Progress = silent) -> Model:
    """Set the threshold; `started` is when training began, by `time.perf_counter`."""
    moments = lesson.moments if settings.surface else None
    surface = moments.surface() if moments is not None else None
    inspector = Inspector(lesson.encoder, lesson.memories, surface, settings)
    calibration = _calibrate(inspector, moments, lesson, progress)
    seconds = time.perf_counter() - started
    return Model(
        inspector=inspector,
        light=lesson.light,
        alignment=lesson.data.alignment,
        channels=lesson.data.channels,
        levels=lesson.data.levels,
        regions=lesson.data.regions,
        calibration=calibration,
        pictures=lesson.data.pictures,
        fingerprint=fingerprint_of(
            inspector, lesson.data.alignment, lesson.data.levels, lesson.light, calibration, lesson.data.regions
        ),
        metadata=_metadata(lesson, settings, seconds),
    )


def measure_light(images: Tensor, settings: Settings) -> Light:
    """What is to be done to the light; images N x C x H x W float 0..1."""
    return Light(images.mean(0) if settings.light == "mean" else None)


def learn_encoder(
    images: Tensor, learned: Tensor, settings: Settings, progress: Progress
) -> tuple[Encoder, list[TrainingStep]]:
    """Context learning, and the encoder as it inspects.

    Args:
        images: N x C x H x W float, prepared by `Light`.
        learned: indices of those that the encoder learns from; its batch statistics come from up to 64 of all.
    """
    encoder = new_encoder(settings, images.shape[1])
    log = train_encoder(encoder, lambda indices: images[learned[indices]], len(learned), settings, progress)
    return settle(encoder, images, progress), log


def _split(count: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Indices of the pictures that set the threshold, and of those that the encoder learns from; count >= 2."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    held = max(1, round(settings.set_aside * count))
    return order[:held].sort().values, order[held:].sort().values


def _calibrate(inspector: Inspector, moments: SurfaceMoments | None, lesson: Lesson, progress: Progress) -> Calibration:
    """Measure what each map usually shows, then score the set-aside pictures and set the thresholds.

    The usual is not measured on the set-aside pictures: they would be scored in units of their own, new pictures not,
    and the threshold would reject more than it promises.
    """
    images, held = lesson.data.images, lesson.held
    references = lesson.learned[spread(len(lesson.learned), _REFERENCES)]
    shown = _score_as_strangers(inspector, moments, images, references, "measuring the usual", progress)
    usual = tuple(
        Usual.measure(kind, 1.0 if number < len(inspector.memories) else _CAUTION) for number, kind in enumerate(shown)
    )
    held_maps = _score_as_strangers(inspector, moments, images, held, "setting the threshold", progress)
    fused = fuse_maps(held_maps, usual, inspector.settings.raised)
    poses = [lesson.data.pictures[number].pose for number in held.tolist()]
    upright = [lesson.data.alignment.upright_map(one, pose) for one, pose in zip(fused, poses, strict=True)]
    regions, labels = lesson.data.regions, lesson.data.regions.labels(lesson.data.alignment.size)
    maps = torch.stack(upright)
    scores = region_scores(maps, labels, len(regions.names))
    _refuse_unseen(scores, regions)
    rates = regions.rates(inspector.settings.false_reject_rate)
    thresholds = tuple(conformal_threshold(one, rate) for one, rate in zip(scores.T.tolist(), rates, strict=True))
    calibration = Calibration(usual, together(thresholds), 0.0, (), thresholds)
    focused = focus(maps, labels, calibration.gains)
    good = focused[:, torch.from_numpy(labels > 0)] if regions.items else fused
    outline = min(float(np.quantile(good.numpy(), _OUTLINE_QUANTILE)), calibration.threshold.value)
    return replace(calibration, outline=outline, scores=tuple(image_scores(focused).tolist()))


def _refuse_unseen(scores: Tensor, regions: Regions) -> None:
    """Maps are 0 only where pictures were cut away; scores N x K."""
    for name, shown in zip(regions.names, scores.T, strict=True):
        if regions.items and not shown.any():
            raise SclviError(
                f"region {name!r} lies in background that is cut away where parts are turned; train with --no-align"
            )


def _score_as_strangers(
    inspector: Inspector,
    moments: SurfaceMoments | None,
    images: Tensor,
    numbers: Tensor,
    stage: str,
    progress: Progress,
) -> list[Tensor]:
    """The maps of some good pictures, each as if nothing had been kept of it; N x H x W for each kind of map."""
    counted = track(numbers.tolist(), stage, len(numbers), progress)
    scored = [score_as_stranger(inspector, moments, images, number) for number in counted]
    return [torch.cat(kind) for kind in zip(*scored, strict=True)]


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
