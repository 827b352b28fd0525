"""Whether thresholds keep the false-reject rate that they promise:

    python -m benchmarks.calibration --data ../shared/data

A model of each category scores its good test pictures, which it has never seen. In each of 200 random splits, each half
of them sets the threshold that the other half is judged by. Rows go to benchmarks/results/calibration.csv, one for each
category and rate; the plot beside it shows them. Shares are fractions of 1.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.tables import RESULTS
from sclvi.data.layouts import GOOD, find_layout
from sclvi.decision.threshold import conformal_threshold
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded
from sclvi.learn import train
from sclvi.settings import Settings

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
SPLITS = 200


def measure(category: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """A row for each rate, after one training."""
    model = train(category, settings)
    good = [item.path for item in find_layout(category).test if item.defect == GOOD]
    scores = np.array([inspection.score for inspection in model.inspect(good)])
    for rate in RATES:
        yield {
            "category": category.name,
            "rate": rate,
            **judge_splits(scores, rate, settings.seed),
            "good_pictures": len(scores),
            "splits": SPLITS,
            "seed": settings.seed,
            "short_side": settings.short_side,
            "settings": settings.fingerprint(),
            **provenance(),
        }


def judge_splits(scores: np.ndarray, rate: float, seed: int) -> dict[str, Any]:
    """Mean realised rate over the splits of the scores, with its standard error as if splits were independent."""
    rng = np.random.default_rng(seed)
    half = len(scores) // 2
    realised = []
    for _ in range(SPLITS):
        mixed = rng.permutation(scores)
        halves = (mixed[:half], mixed[half : 2 * half])
        thresholds = [conformal_threshold(part.tolist(), rate) for part in halves]
        realised.append(np.mean([halves[1] > thresholds[0].value, halves[0] > thresholds[1].value]))
    return {
        "promised_rate": rounded(thresholds[0].promised_rate, 5),
        "realised_rate": rounded(float(np.mean(realised)), 5),
        "standard_error": rounded(float(np.std(realised, ddof=1) / np.sqrt(SPLITS)), 5),
        "calibration_images": half,
    }


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Realised over promised rate, a mark for each row; below the line the promise is kept."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for category, marker in zip(sorted({row["category"] for row in rows}), cycle("osD^vPX*"), strict=False):
        mine = [row for row in rows if row["category"] == category]
        promised, realised = ([100 * float(row[name]) for row in mine] for name in ("promised_rate", "realised_rate"))
        axes.plot(promised, realised, marker, label=category)
    axes.axline((0, 0), slope=1, color="grey", linewidth=1)
    axes.set_xlabel("promised rate, %")
    axes.set_ylabel("realised rate, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MVTec-layout categories")
    parser.add_argument("--categories", nargs="+", help="only these")
    parser.add_argument("--short-side", type=int, default=Settings().short_side, help="px; fewer are quicker")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "calibration.csv")
    arguments = parser.parse_args()
    settings = Settings(seed=arguments.seed, short_side=arguments.short_side)
    for category in find_categories(arguments.data, arguments.categories):
        append_rows(arguments.out, list(measure(category, settings)))
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
