"""What each part of the default is worth, in the mean of the categories:

    python -m benchmarks.worth

Reads ablation.csv, trains nothing, and writes benchmarks/results/worth.csv anew: for each part the figures of the
default less those without the part, over the categories on which both were measured at one commit, the last one.
`least_image_auroc` and `most_image_auroc` are the smallest and the largest gain of a category.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables import RESULTS
from sclvi.evaluation.rows import provenance, read_rows, rounded, write_rows

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "image_ap", "pixel_ap")
Row = Mapping[str, str]


def gains_of_parts(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Per part and category, what the part gains in each figure; of rows with one part and category the last."""
    wholes = {(row["category"], row["seed"], row["commit"]): row for row in rows if row["without"] == "none"}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        whole = wholes.get((row["category"], row["seed"], row["commit"]))
        if whole is not None and whole is not row:
            gains = {name: float(whole[name]) - float(row[name]) for name in FIGURES}
            found.setdefault(row["without"], {})[row["category"]] = gains
    return found


def summary(parts: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterable[dict[str, Any]]:
    """A row for each part."""
    for part, categories in parts.items():
        gains = list(categories.values())
        images = [one["image_auroc"] for one in gains]
        yield {
            "part": part,
            "categories": len(categories),
            **{name: rounded(fmean(one[name] for one in gains), 4) for name in FIGURES},
            "least_image_auroc": rounded(min(images), 4),
            "most_image_auroc": rounded(max(images), 4),
        }


def main() -> None:
    made = provenance()
    rows = [{**row, **made} for row in summary(gains_of_parts(read_rows(RESULTS / "ablation.csv")))]
    write_rows(RESULTS / "worth.csv", rows)


if __name__ == "__main__":
    main()
