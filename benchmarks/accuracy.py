"""Train and evaluate the default preset on every category of a data folder:

    python -m benchmarks.accuracy --data ../shared/data

Each category is trained and evaluated by the command line, each in a process of its own, so that time and memory are
those a user would see. Rows go to benchmarks/results/accuracy.csv.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from benchmarks.trained import kept_model
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.model_file import load

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "image_f1_max", "image_ap", "pixel_ap")


def measure(category: Path, seed: int, train_options: list[str], models: Path | None = None) -> dict[str, Any]:
    """One row; the model is kept in the folder `models`, if there is one, as `trained_once` looks for it."""
    with tempfile.TemporaryDirectory() as folder:
        model, figures = Path(folder) / "part.sclvi", Path(folder) / "figures.json"
        _sclvi("train", category, "--out", model, "--seed", seed, *train_options)
        _sclvi("evaluate", model, category, "--json", figures)
        values = json.loads(figures.read_text())
        trained = load(model)
        size = model.stat().st_size / 2**20
        if models is not None:
            models.mkdir(parents=True, exist_ok=True)
            shutil.move(model, kept_model(category, trained.metadata["settings_fingerprint"], models))
    return {
        "category": category.name,
        "preset": "dense",
        "seed": seed,
        **{name: rounded(values[name], 5) for name in FIGURES},
        "train_seconds": trained.metadata["train_seconds"],
        "images_per_second": rounded(values["images_per_second"], 2),
        "peak_memory_mib": rounded(values["peak_memory_mib"], 0),
        "train_peak_memory_mib": rounded(trained.metadata["peak_memory_mib"], 0),
        "model_mib": rounded(size, 1),
        "train_images": len(trained.pictures),
        "steps": trained.inspector.settings.steps,
        "height": trained.size[0],
        "width": trained.size[1],
        "settings": trained.metadata["settings_fingerprint"],
        **provenance(),
    }


def _sclvi(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "sclvi", *map(str, arguments)], check=True)


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--models", type=Path, help="keep the models in this folder, for other benchmarks")
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.csv")
    arguments, train_options = parser.parse_known_args()
    categories = find_categories(arguments.data, arguments.categories)
    for seed in arguments.seeds:
        for category in categories:
            append_rows(arguments.out, [measure(category, seed, train_options, arguments.models)])


if __name__ == "__main__":
    main()
