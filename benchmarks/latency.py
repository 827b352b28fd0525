"""How long a person waits for `sclvi teach`, and what deciding adds to an inspection:

    python -m benchmarks.latency --data ../shared/data --categories bottle

Commands run as processes of their own on copies of a model, which is kept in a folder and not trained again; they
teach and undo defective test pictures. `inspection` is a good test picture from file to verdict, one at a time, and
`inspection, 10 taught` the same by a model that was taught ten defective pictures. The rest are parts of an inspection
that decisions added: what drift watches, regions of interest, p-value, defects with the nearest good patch. Medians;
rows go to benchmarks/results/latency.csv; shares are of an inspection, for the taught model how much longer it takes.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.trained import parser_for, timed, trained_once
from sclvi.data.appearance import measure_appearance
from sclvi.data.layouts import GOOD, find_layout
from sclvi.data.preparing import prepare
from sclvi.data.reading import read_picture
from sclvi.decision.threshold import p_value
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.model import Model
from sclvi.model_file import load
from sclvi.scoring.regions import focus
from sclvi.settings import Settings

REPEATS = 7
TAUGHT = 10


def measure(category: Path, settings: Settings, models: Path) -> Iterator[dict[str, Any]]:
    """A row for each thing that takes time."""
    path = trained_once(category, settings, models)
    test = find_layout(category).test
    bad = [item.path for item in test if item.defect and item.defect != GOOD][:: max(1, len(test) // (2 * TAUGHT))]
    good = [item.path for item in test if item.defect == GOOD]
    model = load(path)
    taught = model
    for picture in bad[:TAUGHT]:
        taught = taught.teach(picture)
    times = dict(_commands(path, bad[0]))
    times |= _inspections({"inspection": model, f"inspection, {TAUGHT} taught": taught}, good)
    times |= _parts(model, good[0])
    inspection = times["inspection"]
    for what, seconds in times.items():
        shares = {"inspection": None, f"inspection, {TAUGHT} taught": seconds / inspection - 1}
        share = None if what.startswith(("sclvi", "import")) else shares.get(what, seconds / inspection)
        yield {
            "category": category.name,
            "what": what,
            "milliseconds": rounded(1e3 * seconds, 2),
            "share": rounded(share, 4),
            "repeats": REPEATS,
            "model_mib": rounded(path.stat().st_size / 2**20, 1),
            "short_side": settings.short_side,
            "settings": settings.fingerprint(),
            **provenance(),
        }


def _commands(path: Path, picture: Path) -> Iterator[tuple[str, float]]:
    """Seconds of each command, from start to exit."""
    python = [sys.executable]
    with TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "copy.sclvi"
        shutil.copyfile(path, copy)
        calls = {
            "sclvi teach": [*python, "-m", "sclvi", "teach", str(copy), str(picture)],
            "sclvi teach --undo": [*python, "-m", "sclvi", "teach", str(copy), "--undo"],
            "import torch": [*python, "-c", "import torch"],
        }
        taken: dict[str, list[float]] = {what: [] for what in calls}
        for _ in range(REPEATS):
            for what, call in calls.items():
                taken[what].append(timed(lambda: subprocess.run(call, check=True, capture_output=True))[1])  # noqa: B023
    yield from ((what, median(seconds)) for what, seconds in taken.items())


def _inspections(models: dict[str, Model], pictures: list[Path]) -> dict[str, float]:
    """Seconds of a picture by each model, in turn, so that what else the machine does meets all alike."""
    taken: dict[str, list[float]] = {what: [] for what in models}
    for _ in range(REPEATS):
        for picture in pictures:
            for what, model in models.items():
                taken[what].append(timed(lambda: list(model.inspect([picture])))[1])  # noqa: B023
    return {what: median(seconds) for what, seconds in taken.items()}


def _parts(model: Model, path: Path) -> dict[str, float]:
    """Seconds of what decisions added to the inspection of a picture."""
    upright = prepare(read_picture(path), model.size, model.channels, model.levels)
    loaded = model.read(0, path)
    aligned, judged = model.anomaly_maps(model.light(loaded.aligned[None]))
    maps = model.alignment.upright_map(aligned[0], loaded.pose)[None]
    labels, gains, scores = model.regions.labels(model.size), model.calibration.gains, model.calibration.scores
    nearest = (judged.origins[0], judged.distances[0])
    defective = (maps[0] * (2 * model.threshold / maps.max())).numpy()
    parts: dict[str, Callable[[], object]] = {
        "what drift watches": lambda: measure_appearance(upright),
        "regions of interest": lambda: focus(maps, labels, gains),
        "p-value": lambda: p_value(float(maps.max()), scores),
        "defects and why": lambda: [
            model._describe(region, nearest, loaded) for region in model._find_defects(defective)
        ],
    }
    return {what: median(timed(part)[1] for _ in range(REPEATS)) for what, part in parts.items()}


def main() -> None:
    arguments = parser_for(__doc__, "latency.csv").parse_args()
    settings = Settings(short_side=arguments.short_side)
    for category in find_categories(arguments.data, arguments.categories):
        append_rows(arguments.out, list(measure(category, settings, arguments.models)))


if __name__ == "__main__":
    main()
