"""`sclvi bench`: how fast this machine trains and inspects, and how far that is from what its arithmetic allows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sclvi.data.layouts import expand_pictures
from sclvi.demo.pictures import write_category
from sclvi.encoders.compute import has_bf16, pick_device
from sclvi.errors import SclviError
from sclvi.evaluation.rows import PROVENANCE, append_rows, check_columns, provenance, rounded
from sclvi.model_file import load
from sclvi.progress import Progress, silent, track

BATCHES = (1, 4, 8, 16)
PEERS = ("patchcore", "padim", "efficientad")  # of anomalib
AGAINST = ("patchwise", *PEERS)
_FEWEST = 2  # good pictures that can be learned from
_PEER_BATCHES = (1, 8)
_PEER_PICTURES = 64  # that peers inspect, at most; of 24 PaDiM made 16 to 26 a second
_DEFECTIVE = 2  # of each kind, among the made-up pictures
_FIGURES = ("images_per_second", "p50_ms", "p99_ms", "encoder_ms", "search_ms", "times_the_limit")
_PEAKS = ("peak_ram_mib", "peak_vram_mib")
_COST = ("train_seconds", "model_mib")
_COMMON = ("train_images", "height", "width", "seed", "settings", *PROVENANCE, "faiss")
_COLUMNS = ("method", "note", "batch", *_FIGURES, *_PEAKS, *_COST, *_COMMON)
Row = dict[str, Any]


def bench(
    good: Path | None,
    out: Path,
    *,
    size: int = 256,
    threads: int | None = None,
    train_images: int = 100,
    against: Sequence[str] = ("patchwise",),
    peers_python: Path | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Train on good pictures, or on made-up ones, and measure; rows are added to the CSV file `out`.

    Args:
        good: folder of good pictures; None: gears are drawn.
        size: short side that is worked at, px.
        threads: of each measurement; None: one for each core.
        train_images: how many pictures are drawn to learn from; 2 at least.
        against: of `AGAINST`, what is measured beside it: the paper's encoder on one picture, and methods of anomalib.
        peers_python: a Python that has anomalib; None: this one.

    Returns:
        The rows: `dense` at batch 1 and at the fastest batch, `limit` by the arithmetic of single precision and, where
        the machine has it, of bf16, and of each that is measured beside it; where
        one cannot be had, its row has no figures and says why.

    Raises:
        SclviError: a measurement failed, `against` has an unknown name, or `out` has other columns.
    """
    if unknown := [name for name in against if name not in AGAINST]:
        raise SclviError(f"{unknown[0]!r} is none of {', '.join(AGAINST)}")
    check_columns(out, _COLUMNS)
    if train_images < _FEWEST:
        raise SclviError(f"{train_images} pictures to learn from: {_FEWEST} at least are needed")
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
        known = [picture.name for picture in trained.pictures]  # without what could not be read
        del trained
        shown = [str(path) for path in expand_pictures([inspected])]
        asked: list[dict[str, Any]] = [
            {"kind": "dense", "batch": batch} for batch in BATCHES if batch == 1 or batch <= len(shown)
        ]
        asked += [
            {"kind": kind, "batch": 8} for kind in ("limit", *(["limit bf16"] if has_bf16(pick_device()) else []))
        ]
        asked += [{"kind": "patchwise", "count": 1}] if "patchwise" in against else []
        peers = [name for name in PEERS if name in against]
        rows = []
        for one in track(asked, "measuring", len(asked), progress):
            asking = json.dumps({**one, "model": str(model), "pictures": str(inspected)})
            measured = json.loads(_child(["-m", "sclvi.evaluation.bench.work", asking], threads))
            own = cost if one["kind"] == "dense" else dict.fromkeys(_COST)
            rows.append(_row(str(one["kind"]), int(one.get("batch", 1)), measured) | own | common)
        area = (int(common["height"]), int(common["width"]))
        for name in track(peers, "measuring peers", len(peers), progress):
            with TemporaryDirectory() as room:
                found = _peer(
                    name, area, known, shown[:_PEER_PICTURES], Path(room), peers_python or Path(sys.executable), threads
                )
            rows += [row | common | {"settings": None, "torch": None, "faiss": None} for row in found]
    rows = _without_slower_batches(rows)
    append_rows(out, rows)
    return rows


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _peer(
    method: str, size: tuple[int, int], good: list[str], shown: list[str], room: Path, python: Path, threads: int
) -> list[Row]:
    """A row for each batch, or one that says why there are none; `room` is an empty folder."""
    common = {"method": method, "size": size, "state": str(room / "state.safetensors")}

    def ask(**asked: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
        file = room / "asked.json"
        file.write_text(json.dumps(common | asked))
        said = _child([str(Path(__file__).with_name("peers.py")), str(file)], threads, python)
        return dict(json.loads(said.splitlines()[-1]))

    try:
        cost = ask(kind="learn", pictures=good)
        return [
            _row(method, batch, ask(kind="inspect", pictures=shown, batch=batch), cost["note"])
            | {name: rounded(cost[name], 1) for name in _COST}
            for batch in _PEER_BATCHES
        ]
    except SclviError as error:
        return [_row(method, 1, {}, str(error)) | dict.fromkeys(_COST)]


def _without_slower_batches(rows: list[Row]) -> list[Row]:
    """Of each method, batch 1 and the fastest of the larger ones."""
    kept = []
    for row in rows:
        larger = [one for one in rows if one["method"] == row["method"] and one["batch"] > 1]
        if row["batch"] == 1 or row is max(larger, key=lambda one: float(one["images_per_second"])):
            kept.append(row)
    return kept


def _row(method: str, batch: int, measured: Mapping[str, float], note: str = "") -> Row:
    figures = {name: rounded(measured.get(name), 3) for name in _FIGURES}
    peaks = {name: rounded(measured.get(name), 0) for name in _PEAKS}
    return {"method": method, "note": note, "batch": batch, **figures, **peaks}


@contextmanager
def _pictures(good: Path | None, count: int) -> Iterator[tuple[Path, Path]]:
    """What is learned from, and the folder of what is inspected."""
    if good is not None:
        if not good.is_dir():
            raise SclviError(f"{good}: a folder of good pictures, or a category in MVTec's layout, is needed")
        test = good / "test"
        yield good, test if test.is_dir() else good
        return
    with TemporaryDirectory() as folder:
        category = write_category(Path(folder), "gear", 0, count, count // 2, _DEFECTIVE)
        yield category, category / "test"


def _child(arguments: list[str], threads: int, python: Path | None = None) -> str:
    """The standard output of a Python process of its own; of this Python, where no other is named.

    Raises:
        SclviError: it failed; not where it only left out what it could not read.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [str(python or sys.executable), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except OSError as error:
        raise SclviError(f"measurement failed: {command[0]}: {error.strerror}") from None
    said = done.stderr.strip().splitlines()
    only_skipped = done.returncode == 1 and said and all(line.startswith("skipped: ") for line in said)
    if done.returncode and not only_skipped:
        last = said[-1:] or [f"exit code {done.returncode}"]
        raise SclviError(f"measurement failed: {last[0].removeprefix('sclvi: ')}")
    return done.stdout
