"""How time and RAM grow with the number of pictures, with memory items and with the size of a picture:

    python -m benchmarks.growth
    python -m benchmarks.growth --images 100 300 1000 --side 128 --short-side 128 --items --pixels

Pictures are demo weaves, shifted, with fresh noise: ten thousand are quickly drawn. Each measurement runs in a process
of its own, so that its peak is its own: training on N pictures of `--side` px; building a memory of so many codes and
searching it; inspecting one picture of so many megapixels in tiles, by a model with a full memory, which is made first,
once, in the folder `--work`. A row for each goes to benchmarks/results/growth.csv; the plot beside it shows all rows.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.tables import RESULTS
from sclvi.data.tiles import Tiling
from sclvi.demo.fields import SIZE
from sclvi.demo.pictures import draw
from sclvi.evaluation.rows import append_rows, provenance, read_rows
from sclvi.learn import train
from sclvi.memory.bank import MemoryBank
from sclvi.memory_use import peak_memory_mib
from sclvi.model_file import load, save
from sclvi.settings import Settings

IMAGES = (100, 300, 1000, 3000, 10_000)
ITEMS = (30_000, 100_000, 300_000, 1_000_000, 3_000_000)
PIXELS = (0.065536, 1, 4, 16, 49, 100)  # megapixels
_DRAWN = 10  # weaves, of which all pictures are made
_NOISE = 2.0  # grey levels
_QUERIES = 2000
_TILE = 512
_GOOD, _GOOD_SIDE = 8, 2048  # pictures that fill the memory of the model with tiles


def make_picture(rng: np.random.Generator, drawn: Sequence[NDArray[np.uint8]], side: int) -> NDArray[np.uint8]:
    """side x side x 3: weaves side by side, each shifted, with noise of its own."""
    rows = []
    for _ in range(math.ceil(side / SIZE)):
        chosen = [drawn[number] for number in rng.integers(len(drawn), size=side // SIZE + 1).tolist()]
        row = [np.roll(weave, rng.integers(0, SIZE, 2).tolist(), (0, 1)) for weave in chosen]
        rows.append(np.concatenate(row, axis=1)[:, :side])
    picture = np.concatenate(rows)[:side]
    for band in np.array_split(picture, max(1, side // 512)):  # 100 megapixels of float noise would be 1.2 GB
        band += rng.normal(0, _NOISE, band.shape).astype(np.int8).view(np.uint8)
    return picture


def write_pictures(folder: Path, count: int, side: int, seed: int = 0) -> list[Path]:
    """PNG files; the first of more are those of fewer."""
    drawn = [np.clip(draw("weave", None, seed, "growth", number).picture, 16, 239) for number in range(_DRAWN)]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.png" for number in range(count)]
    for number, path in enumerate(paths):
        picture = make_picture(np.random.default_rng((seed, number, side)), drawn, side)
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return paths


class _Stopwatch:
    """Starts when it is made; the processor's seconds, of all threads, do not tell who else was at work."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        seconds, processor = self._started
        return {"seconds": time.perf_counter() - seconds, "cpu_seconds": time.process_time() - processor}


def measure_training(folder: Path, short_side: int, steps: int) -> dict[str, Any]:
    """Train on all pictures of a folder."""
    stopwatch = _Stopwatch()
    model = train(folder, Settings(short_side=short_side, steps=steps))
    items = sum(len(memory.bank) for memory in model.inspector.memories)
    return stopwatch.read() | {"memory_items": items}


def measure_memory(items: int) -> dict[str, Any]:
    """Build a memory of codes around a thousand centres and search it."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(1000, 64, generator=generator)
    codes = torch.empty(items, 64, dtype=torch.half)
    for chunk in codes.split(65536):
        near = centres[torch.randint(1000, (len(chunk),), generator=generator)]
        chunk.copy_(near + 0.3 * torch.randn(len(chunk), 64, generator=generator))
    started = time.perf_counter()
    bank = MemoryBank.build(codes, torch.arange(items), seed=0)
    built, stopwatch = time.perf_counter(), _Stopwatch()
    bank.search(codes[:: max(1, items // _QUERIES)][:_QUERIES].float(), 10)
    return stopwatch.read() | {"build_seconds": built - started, "memory_items": items}


def measure_inspection(model: Path, picture: Path) -> dict[str, Any]:
    """Read a model, inspect one picture."""
    inspector = load(model)
    items = sum(len(memory.bank) for memory in inspector.inspector.memories)
    stopwatch = _Stopwatch()
    next(inspector.inspect([picture]))
    return stopwatch.read() | {"memory_items": items}


def make_model(work: Path, steps: int) -> Path:
    """The model with tiles, made where it is not yet there."""
    path = work / f"tiles-{steps}.sclvi"
    if not path.exists():
        good = write_pictures(work / "good", _GOOD, _GOOD_SIDE, seed=1)
        save(train(good, Settings(steps=steps, tile=_TILE)), path)
    return path


def in_own_process(what: str, *arguments: object) -> dict[str, Any]:
    """Run one measurement in a process of its own; with the peak of its RAM."""
    command = [sys.executable, "-m", "benchmarks.growth", "--measure", what, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


_MEASURES: Mapping[str, Callable[..., dict[str, Any]]] = {
    "images": lambda folder, short_side, steps: measure_training(Path(folder), int(short_side), int(steps)),
    "items": lambda items: measure_memory(int(items)),
    "pixels": lambda model, picture: measure_inspection(Path(model), Path(picture)),
}


def row(
    what: str, count: float, side: int | None, measured: Mapping[str, Any], short_side: int | None = None
) -> dict[str, Any]:
    """`count` is of what grows: images, items, or megapixels."""
    return {
        "grows": what,
        "count": count,
        "side": side,
        "short_side": short_side,
        "seconds": round(measured["seconds"], 3),
        "cpu_seconds": round(measured["cpu_seconds"], 3),
        "build_seconds": round(measured["build_seconds"], 3) if "build_seconds" in measured else None,
        "peak_ram_mib": round(measured["peak_ram_mib"]),
        "memory_items": measured["memory_items"],
        "tiles": Tiling((_TILE, _TILE), Settings().overlap).count((side or 0, side or 0)) if what == "pixels" else None,
        **provenance(),
    }


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Seconds of a core and RAM over what grows, both axes logarithmic; dotted: linear growth from the first point."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    labels = {"images": "pictures learned from", "items": "memory items, searched", "pixels": "megapixels inspected"}
    grid = figure.subplots(2, len(labels), squeeze=False)
    for column, (what, label) in enumerate(labels.items()):
        for axes, name, unit in (
            (grid[0][column], "cpu_seconds", "seconds of a core"),
            (grid[1][column], "peak_ram_mib", "RAM, MiB"),
        ):
            shown = (one for one in rows if one["grows"] == what and one[name])
            mine = sorted((float(one["count"]), float(one[name])) for one in shown)
            axes.set_xlabel(label)
            axes.set_ylabel(unit)
            axes.grid(alpha=0.3)
            if mine:
                counts, values = zip(*mine, strict=True)
                axes.loglog(counts, values, marker="o")
                axes.loglog(counts, [values[0] * count / counts[0] for count in counts], ":", color="grey")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES, help="numbers of pictures to learn from")
    parser.add_argument("--side", type=int, default=256, help="of these, px")
    parser.add_argument("--short-side", type=int, default=Settings().short_side, help="that these are brought to, px")
    parser.add_argument("--items", type=int, nargs="*", default=ITEMS, help="sizes of the memory")
    parser.add_argument("--pixels", type=float, nargs="*", default=PIXELS, help="sizes of a picture, megapixels")
    parser.add_argument("--steps", type=int, default=Settings().steps, help="of context learning")
    parser.add_argument("--work", type=Path, help="folder for pictures and model; a temporary one without it")
    parser.add_argument("--out", type=Path, default=RESULTS / "growth.csv")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, *given = arguments.measure
        print(json.dumps({**_MEASURES[what](*given), "peak_ram_mib": peak_memory_mib()}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        for count in arguments.images:
            folder = work / f"images-{arguments.side}-{count}"
            write_pictures(folder, count, arguments.side)
            measured = in_own_process("images", folder, arguments.short_side, arguments.steps)
            append_rows(arguments.out, [row("images", count, arguments.side, measured, arguments.short_side)])
        for items in arguments.items:
            append_rows(arguments.out, [row("items", items, None, in_own_process("items", items))])
        for megapixels in arguments.pixels:
            side = round(1000 * math.sqrt(megapixels))
            (picture,) = write_pictures(work / f"large-{side}", 1, side, seed=2)
            measured = in_own_process("pixels", make_model(work, arguments.steps), picture)
            append_rows(arguments.out, [row("pixels", megapixels, side, measured)])
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
