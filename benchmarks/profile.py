"""Where the time of an inspection goes, from file to verdict and map:

    python -m benchmarks.profile MODEL PICTURES [--threads 2] [--batch 8]

A stopwatch is put around the functions below while a model inspects; each stage is charged what it spends itself, not
what the stages that it calls spend. Maps are made one after the other, and pictures are read while nothing else runs,
so that stages do not wait for each other. Rows go to benchmarks/results/profile.csv.
"""

import argparse
import contextlib
import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.tables import RESULTS
from sclvi.data.layouts import expand_pictures
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.model_file import load

# Stage, and the function in which it happens, as the caller looks it up.
STAGES = (
    ("reading", "sclvi.model", "read_source"),
    ("resizing", "sclvi.data.alignment", "prepare"),
    ("alignment", "sclvi.data.alignment", "contrast_picture"),
    ("alignment", "sclvi.data.alignment", "Alignment.pose"),
    ("alignment", "sclvi.data.alignment", "Alignment.draw"),
    ("appearance", "sclvi.model", "measure_appearance"),
    ("light", "sclvi.data.light", "normalise_light"),
    ("encoder", "sclvi.scoring.inspector", "encode"),
    ("search", "sclvi.memory.bank", "MemoryBank.search"),
    ("code space and places", "sclvi.memory.scale", "ScaleMemory.rows_of"),
    ("code space and places", "sclvi.memory.scale", "ScaleMemory.nearest"),
    ("affinity and pixel maps", "sclvi.scoring.inspector", "Inspector._judge"),
    ("affinity and pixel maps", "sclvi.scoring.inspector", "Judged.pixels"),
    ("surface", "sclvi.memory.surface", "Surface.maps"),
    ("synthetic defects", "sclvi.synthetic.detector", "Detector.pixels"),
    ("synthetic defects", "sclvi.scoring.inspector", "excuse"),
    ("smoothing", "sclvi.scoring.inspector", "smooth"),
    ("fusion of maps", "sclvi.model", "fuse_maps"),
    ("maps upright", "sclvi.data.alignment", "Alignment.upright_map"),
    ("defects", "sclvi.model", "find_regions"),
    ("defects", "sclvi.model", "Model._describe"),
)


class Stopwatch:
    """Seconds that each stage spends itself; stages may call each other, in any thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running = threading.local()

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever the function takes and gives
            outer, self._running.inner = getattr(self._running, "inner", 0.0), 0.0
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.perf_counter() - started
                self.seconds[stage] += spent - self._running.inner
                self._running.inner = outer + spent

        return timed


@contextlib.contextmanager
def stages_timed(stopwatch: Stopwatch) -> Iterator[None]:
    """While this lasts, each stage runs under the stopwatch."""
    with contextlib.ExitStack() as stack:
        for stage, module, name in STAGES:
            *owners, last = name.split(".")
            owner: Any = importlib.import_module(module)
            for one in owners:
                owner = getattr(owner, one)
            stack.enter_context(patch.object(owner, last, stopwatch.around(stage, getattr(owner, last))))
        stack.enter_context(patch("sclvi.scoring.inspector.side_by_side", map))
        yield


def profile(model_path: Path, pictures: list[Path], batch: int) -> list[dict[str, Any]]:
    """A row per stage, and one of all that is in no stage."""
    model = load(model_path)
    chunks = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    list(model.inspect(chunks[0]))  # what is done once is no stage; a batch alone runs in this thread
    stopwatch = Stopwatch()
    started = time.perf_counter()
    with stages_timed(stopwatch):
        for chunk in chunks:
            list(model.inspect(chunk))
    total = time.perf_counter() - started
    spent = {**stopwatch.seconds, "everything else": total - sum(stopwatch.seconds.values())}
    common = {
        "model": model_path.stem,
        "batch": batch,
        "pictures": len(pictures),
        "height": model.size[0],
        "width": model.size[1],
        "settings": model.metadata["settings_fingerprint"],
        **provenance(),
    }
    return [
        {
            "stage": stage,
            "ms_per_image": rounded(1e3 * seconds / len(pictures), 2),
            "share": rounded(seconds / total, 3),
        }
        | common
        for stage, seconds in sorted(spent.items(), key=lambda one: -one[1])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, or folders of pictures")
    parser.add_argument("--threads", type=int, help="of torch and FAISS; all cores if not given")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--count", type=int, default=48, help="pictures at most")
    parser.add_argument("--out", type=Path, default=RESULTS / "profile.csv")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = profile(arguments.model, expand_pictures(arguments.pictures)[: arguments.count], arguments.batch)
    for row in rows:
        print(f"{row['stage']:28}{row['ms_per_image']:8.2f} ms{row['share']:8.1%}")
    append_rows(arguments.out, rows)


if __name__ == "__main__":
    main()
