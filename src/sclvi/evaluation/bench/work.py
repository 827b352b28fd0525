"""What `sclvi bench` measures, one measurement a process, so that peak memory is that of one method:

    python -m sclvi.evaluation.bench.work '{"kind": "dense", ...}'

prints one line of JSON. The threads are those of OMP_NUM_THREADS.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sclvi.allocation import keep_freed_memory
from sclvi.data.layouts import expand_pictures
from sclvi.data.sources import read_source
from sclvi.encoders.compute import encode, pick_device, to_device
from sclvi.encoders.interface import CODE_LENGTH, PATCH_SIZES, Encoder, patch_grid
from sclvi.encoders.paper import PaperEncoder
from sclvi.errors import SclviError
from sclvi.memory.bank import MemoryBank
from sclvi.memory.scale import ScaleMemory
from sclvi.memory_use import peak_memory_mib
from sclvi.model import Model
from sclvi.model_file import load
from sclvi.scoring.inspector import Inspector, Judged
from sclvi.settings import preset

faiss: Any = _faiss
Measured = dict[str, float]

_REPEATS = 7
_BATCHES, _SECONDS = 16, 10.0  # that follow each other, at least, unless they take longer than this
_CONVOLUTION, _PRODUCT = (8, 128, 64, 64), 2048  # batch, channels, height, width; side of the matrices


def dense(model: str, pictures: str, batch: int) -> Measured:
    """From file to verdict and map: latency of each picture, or pictures a second in batches that follow each other."""
    loaded, paths = load(model), expand_pictures([Path(pictures)])
    list(loaded.inspect(paths[:batch], _pass_over, batch))
    latencies = []
    started = time.perf_counter()
    if batch == 1:
        for path in paths:  # one at a time, as a line brings them: nothing is read ahead
            before = time.perf_counter()
            if list(loaded.inspect([path], _pass_over, batch)):
                latencies.append(time.perf_counter() - before)
        done = len(latencies)
    else:
        done = sum(1 for _ in loaded.inspect(_over_and_over(paths, batch), _pass_over, batch))
    measured = {"images_per_second": done / (time.perf_counter() - started), **_peaks()}
    return measured | _percentiles(latencies)


def _over_and_over(paths: list[Path], batch: int) -> Iterator[Path]:
    """As on a line, where what is idle while the first pictures are read and the last judged does not count."""
    rounds = math.ceil(_BATCHES * batch / len(paths))
    started = time.perf_counter()
    for number in range(rounds):
        if number and time.perf_counter() - started > _SECONDS:
            return
        yield from paths


def patchwise(model: str, pictures: str, count: int) -> Measured:
    """The paper's encoder, patch by patch, searching every item of a full memory; `count` pictures of the model's size.

    Weights and memory are random, as its speed depends on neither; the memory has as many items as the good pictures
    of the model have patches.
    """
    loaded, settings = load(model), preset("paper")
    size, strides = loaded.size, settings.memory_strides
    images = _prepared(loaded, pictures, count)
    good = len(loaded.pictures)
    del loaded
    encoder = to_device(PaperEncoder(images.shape[1]).eval(), pick_device())
    generator = torch.Generator().manual_seed(0)
    memories = []
    for patch, stride in zip(PATCH_SIZES, strides, strict=True):
        grid = patch_grid(size, patch, stride)
        items = good * grid[0] * grid[1]
        codes = torch.randn(items, CODE_LENGTH, generator=generator)
        bank = MemoryBank.build(codes, torch.arange(items), 0, settings.search)
        memories.append(ScaleMemory(patch, stride, None, bank, grid))
    inspector = Inspector(encoder, tuple(memories), None, settings)
    latencies = [_seconds(partial(inspector.score, image[None])) for image in images]
    return {"images_per_second": len(images) / sum(latencies), **_peaks(), **_percentiles(latencies)}


def limit(model: str, pictures: str, batch: int, precision: torch.dtype = torch.float32) -> Measured:
    """Encoder and search, against the same multiply-adds in a large dense convolution and a large matrix product.

    Encoder and search run as they always do, up to the scores of patches; `precision` is that of the convolution and
    the product.

    Multiply-adds of the encoder are those of the convolutions by their definition; those of the search are the
    distances to centres and items that it computed, times the length of a code.
    """
    loaded = load(model)
    images, inspector = _prepared(loaded, pictures, batch), loaded.inspector
    strides = inspector.strides
    encoding = _least(lambda: encode(inspector.encoder, images, strides))
    both = _least(lambda: inspector.judge(images))
    faiss.cvar.indexIVF_stats.reset()
    faiss.cvar.hnsw_stats.reset()
    judged = inspector.judge(images)
    followed = float(faiss.cvar.indexIVF_stats.ndis) + float(faiss.cvar.hnsw_stats.ndis)
    compared = followed + _compared_to_all(inspector, judged)
    convolved = _convolution_macs(inspector.encoder, images, strides)
    ideal = convolved / _convolution_rate(precision) + compared * CODE_LENGTH / _product_rate(precision)
    return {
        "images_per_second": len(images) / ideal,
        "encoder_ms": 1e3 * encoding / len(images),
        "search_ms": 1e3 * (both - encoding) / len(images),
        "times_the_limit": both / ideal,
        **_peaks(),
    }


def _compared_to_all(inspector: Inspector, judged: list[Judged]) -> float:
    """Distances to what every query is compared with, list or no list."""
    queries = [int((one.origins >= 0).sum()) for one in judged]
    return float(
        sum(count * memory.bank.always_compared for count, memory in zip(queries, inspector.memories, strict=True))
    )


def _convolution_macs(encoder: Encoder, images: Tensor, strides: tuple[int, ...]) -> float:
    """Multiply-adds of all convolutions by their definition, which is what is computed where there are gradients."""
    with FlopCounterMode(display=False) as counter:
        encoder.encode_grid(images.to(pick_device()), strides)
    return counter.get_total_flops() / 2


def _convolution_rate(precision: torch.dtype) -> float:
    """Multiply-adds a second of a 3 x 3 convolution in the layout in which torch is fastest."""
    batch, channels, height, width = _CONVOLUTION
    images, kernels = (
        torch.randn(shape).to(pick_device(), precision, memory_format=torch.channels_last)
        for shape in (_CONVOLUTION, (channels, channels, 3, 3))
    )
    with torch.inference_mode():
        seconds = _least(lambda: F.conv2d(images, kernels, padding=1))
    return batch * height * width * channels * channels * 9 / seconds


def _product_rate(precision: torch.dtype) -> float:
    left, right = (torch.randn(_PRODUCT, _PRODUCT).to(pick_device(), precision) for _ in range(2))
    return _PRODUCT**3 / _least(lambda: left @ right)


def _prepared(model: Model, pictures: str, count: int) -> Tensor:
    """B x C x h x w, by `Light`."""
    return model.light(torch.stack(list(islice(_brought(model, pictures), count))))


def _brought(model: Model, pictures: str) -> Iterator[Tensor]:
    """C x h x w, of each picture of a folder that the model can look at."""
    for path in expand_pictures([Path(pictures)]):
        with suppress(SclviError):
            yield model.alignment.bring(read_source(path), model.channels, model.levels).aligned


def _pass_over(_name: str, _error: SclviError) -> None:
    """A picture that cannot be used does not count."""


def _least(run: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs, after one that is not counted."""
    run()
    return min(_seconds(run) for _ in range(_REPEATS))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _percentiles(latencies: list[float]) -> Measured:
    if not latencies:
        return {}
    p50, p99 = np.percentile(np.array(latencies) * 1e3, (50, 99))
    return {"p50_ms": float(p50), "p99_ms": float(p99)}


def _peaks() -> Measured:
    peaks = {"peak_ram_mib": peak_memory_mib()}
    if torch.cuda.is_available():
        peaks["peak_vram_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return peaks


def main() -> None:
    keep_freed_memory()
    asked = json.loads(sys.argv[1])
    kinds: dict[str, Callable[..., Measured]] = {
        "dense": dense,
        "patchwise": patchwise,
        "limit": limit,
        "limit bf16": partial(limit, precision=torch.bfloat16),
    }
    try:
        print(json.dumps(kinds[asked.pop("kind")](**asked)))
    except SclviError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
