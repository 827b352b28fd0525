"""What each part of the default is worth: taken away alone, everything else as it was.

    python -m benchmarks.ablation --data ../shared/data

Adds a row for each part and category to benchmarks/results/ablation.csv; the part "none" is the default itself. Parts
that only score share one training, whose time stands on each of their rows.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy import FIGURES
from benchmarks.tables import RESULTS
from sclvi.evaluation.evaluate import evaluate
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.learn import build_model, learn_good
from sclvi.settings import Settings

# What is left when the part is gone.
LEARNING: Mapping[str, Mapping[str, Any]] = {
    "alignment": {"align": False},
    "nearness": {"nearness": 0.0},
    "context learning": {"steps": 0},
    "procedural start": {"start": "random"},
    "soft length normalisation": {"softness": None},
    "working size 320": {"short_side": 256, "smoothing": 1.2},
}
SCORING: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "affinity (nearest item instead)": {"fusion": "nearest"},
    "affinity (mean of eta instead)": {"fusion": "mean"},
    "surface": {"surface": False},
    "raised by surprise": {"raised": False},
    "synthetic defects": {"synthetic_steps": 0},
    "smoothing": {"smoothing": 0.0},
}


def measure(
    category: Path, learning: Mapping[str, Any], parts: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """A row for each of the scoring changes `parts`, after one training with the changes `learning`."""
    base = Settings(seed=seed, **learning)
    started = time.perf_counter()
    lesson = learn_good(category, base)
    seconds = time.perf_counter() - started
    for part, changes in parts.items():
        settings = base.model_copy(update=changes)
        model = build_model(lesson, settings, time.perf_counter() - seconds)
        figures = evaluate(model, category).figures
        yield {
            "without": part,
            "category": category.name,
            "seed": seed,
            **{name: rounded(figures[name], 5) for name in FIGURES},
            "train_seconds": model.metadata["train_seconds"],
            "images_per_second": rounded(figures["images_per_second"], 2),
            "settings": settings.fingerprint(),
            **provenance(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MVTec-layout categories")
    parser.add_argument("--categories", nargs="+", help="only these")
    parser.add_argument("--parts", nargs="*", default=[*SCORING, *LEARNING], choices=[*SCORING, *LEARNING])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.csv")
    arguments = parser.parse_args()
    for category in find_categories(arguments.data, arguments.categories):
        scoring = {part: SCORING[part] for part in arguments.parts if part in SCORING}
        if scoring:
            for row in measure(category, {}, scoring, arguments.seed):
                append_rows(arguments.out, [row])
        for part in arguments.parts:
            if part in LEARNING:
                append_rows(arguments.out, list(measure(category, LEARNING[part], {part: {}}, arguments.seed)))


if __name__ == "__main__":
    main()
