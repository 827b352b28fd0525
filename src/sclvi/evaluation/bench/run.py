"""`sclvi bench`: how fast this machine trains and inspects, and how far that is from what its arithmetic allows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sclvi.demo.pictures import write_category
from sclvi.errors import SclviError
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.model_file import load
from sclvi.progress import Progress, silent, track

BATCHES = (1, 4, 8, 16)
_DEFECTIVE = 2  # of each kind, among the made-up pictures
_FIGURES = ("images_per_second", "p50_ms", "p99_ms", "encoder_ms", "search_ms", "times_the_limit")
_PEAKS = ("peak_ram_mib", "peak_vram_mib")
Row = dict[str, Any]


def bench(
    good: Path | None,
    out: Path,
    *,
    size: int = 256,
    threads: int | None = None,
    train_images: int = 100,
    patchwise: int = 1,
    progress: Progress = silent,
) -> list[Row]:
    """Train on good pictures, or on made-up ones, and measure; rows are added to the CSV file `out`.

    Args:
        good: folder of good pictures; None: gears are drawn.
        size: short side that is worked at, px.
        threads: of each measurement; None: one for each core.
        train_images: how many pictures are drawn to learn from.
        patchwise: pictures that the paper's encoder inspects for comparison, about a minute each on two cores; 0: none.

    Returns:
        The rows: `dense` at batch 1 and at the fastest batch, `limit`, and `patchwise`.

    Raises:
        SclviError: a measurement failed, or `out` has other columns.
    """
    threads = threads or _cores()
    with _pictures(good, train_images) as (learned, inspected), TemporaryDirectory() as folder:
        model = Path(folder) / "bench.sclvi"
        _child(["-m", "sclvi", "train", str(learned), "--out", str(model), "--size", str(size), "--quiet"], threads)
        trained = load(model)
        cost = {
            "train_seconds": trained.metadata["train_seconds"],
            "model_mib": rounded(model.stat().st_size / 2**20, 1),
        }
        common = {
            "train_images": len(trained.pictures),
            "height": trained.size[0],
            "width": trained.size[1],
            "seed": trained.inspector.settings.seed,
            "settings": trained.metadata["settings_fingerprint"],
            **provenance(),
            "threads": threads,
            "faiss": trained.metadata["versions"]["faiss-cpu"],
        }
        del trained
        asked: list[dict[str, Any]] = [{"kind": "dense", "batch": batch} for batch in BATCHES]
        asked.append({"kind": "limit", "batch": 8})
        if patchwise:
            asked.append({"kind": "patchwise", "count": patchwise})
        rows = []
        for one in track(asked, "measuring", len(asked), progress):
            asking = json.dumps({**one, "model": str(model), "pictures": str(inspected)})
            measured = json.loads(_child(["-m", "sclvi.evaluation.bench.work", asking], threads))
            own = cost if one["kind"] == "dense" else dict.fromkeys(cost)
            rows.append(_row(str(one["kind"]), int(one.get("batch", 1)), measured) | own | common)
    rows = _without_slower_batches(rows)
    append_rows(out, rows)
    return rows


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _without_slower_batches(rows: list[Row]) -> list[Row]:
    """Of the dense rows, batch 1 and the fastest."""
    batches = [row for row in rows if row["method"] == "dense"]
    fastest = max(batches, key=lambda row: float(row["images_per_second"]))
    return [row for row in rows if row["method"] != "dense" or row["batch"] == 1 or row is fastest]


def _row(method: str, batch: int, measured: Mapping[str, float]) -> Row:
    figures = {name: rounded(measured.get(name), 3) for name in _FIGURES}
    return {"method": method, "batch": batch, **figures, **{name: rounded(measured.get(name), 0) for name in _PEAKS}}


@contextmanager
def _pictures(good: Path | None, count: int) -> Iterator[tuple[Path, Path]]:
    """What is learned from, and the folder of what is inspected."""
    if good is not None:
        test = good / "test"
        yield good, test if test.is_dir() else good
        return
    with TemporaryDirectory() as folder:
        category = write_category(Path(folder), "gear", 0, count, count // 2, _DEFECTIVE)
        yield category, category / "test"


def _child(arguments: list[str], threads: int) -> str:
    """The standard output of a Python process of its own.

    Raises:
        SclviError: it failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise SclviError(f"measurement failed: {last[0]}")
    return done.stdout
