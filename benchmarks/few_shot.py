"""How accuracy grows with the number of good pictures:

    python -m benchmarks.few_shot --data ../shared/data

Each category is learned from 5, 10, 20, 50 and all of its good pictures; the smaller sets lie within the larger ones,
and a seed draws them. All are not learned from again where accuracy.csv has that seed with these settings. A row
for each goes to benchmarks/results/few_shot.csv; the plot beside it shows all its rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks.accuracy import FIGURES
from benchmarks.curves import plot_curves
from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.data.layouts import find_layout
from sclvi.decision.threshold import promise_of
from sclvi.evaluation.evaluate import evaluate
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded
from sclvi.learn import train
from sclvi.settings import Settings

COUNTS = ("5", "10", "20", "50", "all")
_MADE = ("commit", "date", "device", "threads", "torch")  # of `provenance`


def draw_pictures(category: Path, count: int | None, seed: int) -> list[Path]:
    """`count` good pictures of the category, None: all; fewer are the first of more."""
    pictures = [item.path for item in find_layout(category).train]
    order = np.random.default_rng(seed).permutation(len(pictures))
    return [pictures[number] for number in order[:count]]


def measure(category: Path, count: int | None, seed: int) -> dict[str, Any]:
    """One row."""
    settings = Settings(seed=seed)
    if count is None and (known := known_of_all(category.name, settings, read_rows(RESULTS / "accuracy.csv"))):
        return known
    pictures = draw_pictures(category, count, seed)
    model = train(pictures, settings)
    found = evaluate(model, category).figures
    figures = {
        **{name: rounded(found[name], 5) for name in FIGURES},
        "train_seconds": model.metadata["train_seconds"],
        **provenance(),
    }
    return _row(category.name, len(pictures), count is None, settings, figures)


def known_of_all(category: str, settings: Settings, rows: Sequence[dict[str, str]]) -> dict[str, Any] | None:
    """The row of all good pictures, from the last of accuracy.csv that has these settings, seed included, if any."""
    mine = [row for row in rows if (row["category"], row["settings"]) == (category, settings.fingerprint())]
    return _row(category, int(mine[-1]["train_images"]), True, settings, mine[-1]) if mine else None


def _row(
    category: str, images: int, all_images: bool, settings: Settings, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """`figures`: with the time of training and `provenance`."""
    return {
        "category": category,
        "train_images": images,
        "all_images": all_images,
        "seed": settings.seed,
        **{name: figures[name] for name in FIGURES},
        "promised_rate": rounded(promise_of(images, settings.false_reject_rate), 4),
        "train_seconds": figures["train_seconds"],
        "settings": settings.fingerprint(),
        **{name: figures[name] for name in _MADE},
    }


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Image and pixel AUROC over the number of good pictures, a line for each category, mean over seeds."""
    plot_curves(rows, path, "good pictures", "train_images", lambda row: float(row["train_images"]), _in_logarithms)


def _in_logarithms(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ticks := [5, 10, 20, 50, 100, 200, 300], [str(tick) for tick in ticks])
    axes.minorticks_off()


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--counts", nargs="*", default=COUNTS, help="numbers of good pictures, or all")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "few_shot.csv")
    arguments = parser.parse_args()
    categories = find_categories(arguments.data, arguments.categories)
    counts = [None if count == "all" else int(count) for count in arguments.counts]
    for seed in arguments.seeds:
        for category in categories:
            for count in counts:
                append_rows(arguments.out, [measure(category, count, seed)])
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
