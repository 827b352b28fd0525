"""What each minute of training buys:

    python -m benchmarks.minutes --data ../shared/data

Most of training is learning to see synthetic defects. Each category is trained with fewer of its steps than the default
has, or none, and with all, each as `benchmarks.accuracy` does. A row for each goes to benchmarks/results/minutes.csv;
the plot beside it shows all its rows.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import measure
from benchmarks.curves import plot_curves
from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, read_rows
from sclvi.settings import Settings

STEPS = (0, 1000, 2000, Settings().synthetic_steps)


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Image and pixel AUROC over minutes of training, a line for each category, mean over seeds."""
    plot_curves(rows, path, "minutes of training", "synthetic_steps", lambda row: float(row["train_seconds"]) / 60)


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=STEPS, help="of learning to see synthetic defects")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "minutes.csv")
    arguments = parser.parse_args()
    categories = find_categories(arguments.data, arguments.categories)
    for seed in arguments.seeds:
        for steps in arguments.steps:
            for category in categories:
                row = measure(category, seed, ["--synthetic-steps", str(steps)])
                append_rows(arguments.out, [{"synthetic_steps": steps} | row])
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
