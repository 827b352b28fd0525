"""From a folder of good pictures to a `Model`."""

import hashlib
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from sclvi.context.training import TrainingStep, measure_statistics, train_encoder
from sclvi.data.layouts import find_layout
from sclvi.data.light import normalise_light
from sclvi.data.preparing import prepare, working_size
from sclvi.data.sources import Picture, Source, read_source, source_name
from sclvi.decision.threshold import conformal_threshold
from sclvi.encoders.compute import encode, pick_device, to_device
from sclvi.encoders.dense import (
    MEMORY_STRIDES,
    PATCH_SIZES,
    STRIDE,
    DenseEncoder,
    adapt_channels,
    fold_batch_norm,
    patch_grid,
)
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.evaluation.memory_use import peak_memory_mib
from sclvi.memory.bank import MemoryBank, items_within
from sclvi.memory.codespace import soft_normalise
from sclvi.model import BATCH, Calibration, Model, TrainingPicture
from sclvi.model_file import fingerprint_of
from sclvi.progress import Progress, silent, track
from sclvi.scoring.inspector import Inspector, ScaleMemory
from sclvi.scoring.pixels import smooth
from sclvi.scoring.scales import fuse_scales, image_scores
from sclvi.settings import Settings

_LEAST_LENGTH = 1e-6  # pictures without any contrast have equal codes
_OUTLINE_QUANTILE = 0.995  # of good pixels: a defect ends where the map looks good again


def train(
    good: str | Path | Sequence[Source],
    settings: Settings | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
) -> Model:
    """Learn what good parts look like.

    Args:
        good: folder of good pictures, MVTec category, CSV manifest, or a sequence of paths or arrays.
        settings: the defaults fit every kind of part.
        progress: told about each stage.
        on_skip: called with the name and the error for each picture that cannot be used, which is then left out;
            without it the error is raised.

    Raises:
        SclviError: nothing to learn from, or a bad picture without `on_skip`.
    """
    settings = settings or Settings()
    started = time.perf_counter()
    sources = [item.path for item in find_layout(Path(good)).train] if isinstance(good, str | Path) else list(good)
    data = _read_good(sources, settings, progress, on_skip)
    held, learned = _split(len(data.images), settings)

    encoder = _start_encoder(data.images.shape[1], settings.seed)
    log = train_encoder(encoder, lambda indices: data.images[learned[indices]], len(learned), settings, progress)
    batches = data.images.split(2 * BATCH)
    measure_statistics(encoder, iter(track(batches, "measuring statistics", len(batches), progress)))
    encoder = fold_batch_norm(encoder)
    memories = _fill_memories(encoder, data.images, settings, progress)
    inspector = Inspector(encoder, memories, settings)
    calibration = _calibrate(inspector, data.images, held, progress)
    seconds = time.perf_counter() - started
    return Model(
        inspector=inspector,
        size=data.size,
        channels=data.images.shape[1],
        calibration=calibration,
        pictures=data.pictures,
        fingerprint=fingerprint_of(inspector, calibration),
        metadata=_metadata(data, log, settings, seconds),
    )


@dataclass(frozen=True)
class _GoodPictures:
    images: Tensor  # N x C x H x W float32, light-normalised
    size: tuple[int, int]
    pictures: tuple[TrainingPicture, ...]
    fingerprint: str  # of the pixels as prepared


def _read_good(
    sources: Sequence[Source], settings: Settings, progress: Progress, on_skip: OnSkip | None
) -> _GoodPictures:
    read: list[tuple[str, Picture]] = []
    with ThreadPoolExecutor(2) as pool:
        reading = pool.map(_try_read, enumerate(sources))
        for name, result in track(reading, "reading pictures", len(sources), progress):
            if isinstance(result, SclviError):
                leave_out(name, result, on_skip)
            else:
                read.append((name, result))
    if not read:
        raise SclviError(f"nothing to learn from: none of {len(sources)} pictures can be used")
    size = settings.size or working_size([_size(picture) for _, picture in read], settings.short_side)
    channels = max(picture.shape[2] for _, picture in read)
    channels = 3 if channels == 4 else channels  # alpha is dropped
    known, prepared = [], []
    for name, picture in read:
        try:
            prepared.append(prepare(picture, size, channels))
            known.append(TrainingPicture(name, _size(picture)))
        except SclviError as error:
            leave_out(name, SclviError(f"{name}: {error}"), on_skip)
    images = torch.stack(prepared)
    digest = hashlib.sha256(images.numpy().data).hexdigest()
    return _GoodPictures(normalise_light(images), size, tuple(known), digest)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]


def _try_read(numbered: tuple[int, Source]) -> tuple[str, Picture | SclviError]:
    number, source = numbered
    name = source_name(number, source)
    try:
        return name, read_source(source)
    except SclviError as error:
        return name, error


def _split(count: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Indices of the pictures that set the threshold, and of those that the encoder learns from."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    held = max(1, round(settings.set_aside * count))
    if count < 5:  # too few to spare any: the threshold is then set on pictures that the encoder has seen
        return order, order
    return order[:held].sort().values, order[held:].sort().values


def _start_encoder(channels: int, seed: int) -> DenseEncoder:
    weights = load_tensors(files("sclvi.encoders").joinpath("weights/dense.safetensors").read_bytes())
    encoder = DenseEncoder(channels)
    encoder.load_state_dict(adapt_channels(weights, channels))
    return to_device(encoder, pick_device())


def _fill_memories(
    encoder: DenseEncoder, images: Tensor, settings: Settings, progress: Progress
) -> tuple[ScaleMemory, ...]:
    """Encode every patch of every good picture; a memory over budget keeps the same random share of each picture."""
    generator = torch.Generator().manual_seed(settings.seed)
    size = (images.shape[2], images.shape[3])
    grids = [patch_grid(size, patch, stride) for patch, stride in zip(PATCH_SIZES, MEMORY_STRIDES, strict=True)]
    quota = items_within(settings.memory_mib) / (len(images) * sum(h * w for h, w in grids))
    kept: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    origins: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    for number, image in enumerate(track(images, "filling the memory", len(images), progress)):
        for scale, codes in enumerate(encode(encoder, image[None])):
            step = MEMORY_STRIDES[scale] // STRIDE
            rows = codes[0, :, ::step, ::step].flatten(1).T.cpu()  # h w x D
            places = torch.arange(len(rows))
            if quota < 1:
                places = torch.randperm(len(rows), generator=generator)[: max(1, int(quota * len(rows)))].sort().values
            kept[scale].append(rows[places].half())
            origins[scale].append(number * len(rows) + places)
    memories = []
    for scale, patch in enumerate(PATCH_SIZES):
        codes = torch.cat(kept[scale]).float()
        kept[scale].clear()
        centre = codes.mean(0)
        length = max(settings.softness * (codes - centre).norm(dim=1).median().item(), _LEAST_LENGTH)
        bank = MemoryBank.build(soft_normalise(codes, centre, length), torch.cat(origins[scale]), settings.seed)
        memories.append(ScaleMemory(patch, MEMORY_STRIDES[scale], centre, length, bank, grids[scale]))
    return tuple(memories)


def _calibrate(inspector: Inspector, images: Tensor, held: Tensor, progress: Progress) -> Calibration:
    """Score the set-aside pictures, each against a memory without its own patches, and set the thresholds."""
    maps: list[list[Tensor]] = []
    for number in track(held.tolist(), "setting the threshold", len(held), progress):
        maps.append([scale.pixels for scale in inspector.score(images[number][None], without_picture=number)])
    per_scale = [torch.cat(scale) for scale in zip(*maps, strict=True)]
    levels = [max(scale.mean().item(), 1e-6) for scale in per_scale]
    fused = smooth(fuse_scales(per_scale, levels), inspector.settings.smoothing)
    scores = image_scores(fused).tolist()
    threshold = conformal_threshold(scores, inspector.settings.false_reject_rate)
    outline = min(float(np.quantile(fused.numpy(), _OUTLINE_QUANTILE)), threshold.value)
    return Calibration(tuple(levels), threshold, outline, tuple(scores))


def _metadata(data: _GoodPictures, log: list[TrainingStep], settings: Settings, seconds: float) -> dict[str, Any]:
    packages = ("sclvi", "torch", "faiss-cpu", "numpy", "opencv-python-headless")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "train_seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        "data_fingerprint": data.fingerprint,
        "settings_fingerprint": settings.fingerprint(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "device": str(pick_device()),
        "threads": torch.get_num_threads(),
        "training_log": [asdict(step) for step in log],
    }
