"""From a folder of good pictures to a `Model`."""

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sclvi.audit.audit import audit
from sclvi.context.settling import settle
from sclvi.context.training import TrainingStep, train_encoder
from sclvi.data.good import read_good
from sclvi.data.images import Images, Selection, in_batches, kept
from sclvi.data.light import Light
from sclvi.data.regions import WHOLE, Regions
from sclvi.data.sources import Source
from sclvi.decision.threshold import images_needed
from sclvi.encoders.compute import pick_device
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.interface import Encoder
from sclvi.encoders.making import new_encoder
from sclvi.errors import OnSkip, SclviError
from sclvi.lesson import Lesson
from sclvi.memory.scale import fill_memories
from sclvi.memory.surface import see_surface
from sclvi.memory_use import peak_memory_mib
from sclvi.model import Model
from sclvi.model_file import fingerprint_of
from sclvi.progress import Progress, silent
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.places import nearness_that_fits
from sclvi.self_calibration import self_calibrate
from sclvi.settings import Settings
from sclvi.synthetic.learning import learn_defects

_HELD = 200  # pictures that set the threshold at most: scoring them takes time, and more hardly move it


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
        on_skip: called with the name and the error for each picture that cannot be used, or is a copy of another, which
            is then left out; without it the error is raised.
        regions: where to inspect, and what not to look at; see `read_regions`.

    Raises:
        SclviError: nothing to learn from, a region of which nothing is seen, or a bad picture without `on_skip`.
    """
    settings = settings or Settings()
    started = time.perf_counter()
    lesson = learn_good(good, settings, progress, on_skip, regions)
    return build_model(lesson, settings, started, progress)


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
    ).without_copies(on_skip)
    audited = None if settings.audit == "off" else audit(data.reduced(), settings, progress)
    if audited is not None and settings.audit == "drop":
        data = data.only(audited.kept())
    if len(data.pictures) < 2:
        raise SclviError("one good picture is too few: another is needed to set the threshold; fifty are better")
    light = measure_light(data.images, settings)
    images = kept(data.lit(light))
    rate = min(regions.rates(settings.false_reject_rate))
    held, learned = _split(len(data.pictures), settings, images_needed(rate))
    seen = torch.tensor([number for picture in learned.tolist() for number in data.images_of(picture)])
    encoder, log = learn_encoder(images, seen, settings, progress)
    nearness = nearness_that_fits(encoder, images, settings, progress, data.alignment.places_alike)
    memories = fill_memories(encoder, images, settings, progress, nearness)
    moments = None
    if settings.surface and isinstance(encoder, DenseEncoder):
        moments = see_surface(encoder, images, progress)
    pixels = sum(map(data.pixels_of, learned.tolist()))
    detector = learn_defects(Selection(images, seen), pixels, settings.synthetic_steps, settings.seed, progress)
    return Lesson(data, images, light, held, learned, encoder, memories, moments, detector, log, audited)


def build_model(lesson: Lesson, settings: Settings, started: float, progress: Progress = silent) -> Model:
    """Set the threshold; `started` is when training began, by `time.perf_counter`."""
    moments = lesson.moments if settings.surface else None
    surface = moments.surface() if moments is not None else None
    detector = lesson.detector if settings.synthetic_steps else None
    inspector = Inspector(lesson.encoder, lesson.memories, surface, settings, detector)
    calibration, suspects = self_calibrate(inspector, moments, lesson, progress)
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
        metadata={**_metadata(lesson, settings, seconds), "suspects": suspects},
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


def _split(count: int, settings: Settings, needed: int) -> tuple[Tensor, Tensor]:
    """Indices of the pictures that set the threshold, and of those that the encoder learns from; count >= 2.

    Where none are set aside all do both. No more than `_HELD` set the threshold, or than are needed to promise the rate
    that is asked of each region.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    most = max(_HELD, needed)
    if settings.set_aside == 0:
        return order[:most].sort().values, torch.arange(count)
    held = max(1, min(round(settings.set_aside * count), most))
    return order[:held].sort().values, order[held:].sort().values


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
