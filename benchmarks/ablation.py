"""What one change of a setting does to the figures:

    python -m benchmarks.ablation --data ../shared/data --change softness=0 --change steps=0 --categories bottle screw

Each call trains and evaluates every named category with the changed settings and adds a row for each to
benchmarks/results/ablation.csv. Without --change it measures the default, the line to compare with.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.accuracy import FIGURES
from benchmarks.tables import RESULTS
from sclvi.evaluation.evaluate import evaluate
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.learn import train
from sclvi.settings import Settings


def measure(category: Path, changes: dict[str, str], seed: int) -> dict[str, Any]:
    """One row."""
    settings = Settings.model_validate({"seed": seed, **changes})
    model = train(category, settings)
    figures = evaluate(model, category).figures
    return {
        "change": " ".join(f"{name}={value}" for name, value in changes.items()) or "default",
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
    parser.add_argument("--categories", nargs="+", required=True)
    parser.add_argument("--change", action="append", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.csv")
    arguments = parser.parse_args()
    changes = dict(change.split("=", 1) for change in arguments.change)
    for name in arguments.categories:
        append_rows(arguments.out, [measure(arguments.data / name, changes, arguments.seed)])


if __name__ == "__main__":
    main()
