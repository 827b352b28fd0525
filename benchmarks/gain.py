"""What the default finds beyond the paper's setting and beyond Patch-SVDD's pretext, each learned from nothing here:

    python -m benchmarks.gain

Reads accuracy.csv, overall.csv and pretexts.csv, trains nothing, and writes benchmarks/results/gain.csv anew: a row for
each category and baseline, and one for the mean of the categories. Minutes are of the whole training of the default and
of learning the encoder of the baseline, one thread each, whose memory is filled and searched on top.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables import RESULTS
from sclvi.evaluation.rows import provenance, read_rows, rounded, write_rows

Row = Mapping[str, str]
FIGURES = ("image_auroc", "pixel_auroc")


def _is_paper_style(row: Row) -> bool:
    return row["pretext"] == "twelve" and row["encoder"] == "dense" and row["fusion"] == "affinity"


def _is_patch_svdd(row: Row) -> bool:
    return row["pretext"] == "eight" and row["encoder"] == "dense" and row["fusion"] == "nearest"


# Twelve positions, product of the scales' maps, affinity; and eight positions, nearest item.
BASELINES: Mapping[str, tuple[str, Callable[[Row], bool]]] = {
    "paper style": ("overall.csv", _is_paper_style),
    "Patch-SVDD's pretext": ("pretexts.csv", _is_patch_svdd),
}


def mean_over_seeds(rows: Iterable[Row], columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Per category, the mean of each column; of rows with one category and seed the last counts."""
    latest: dict[str, dict[str, Row]] = {}
    for row in rows:
        latest.setdefault(row["category"], {})[row["seed"]] = row
    return {
        category: {column: fmean(float(row[column]) for row in seeds.values()) for column in columns}
        for category, seeds in latest.items()
    }


def longest(rows: Sequence[Row]) -> list[Row]:
    """Of each category, those that learned in the most steps; shorter runs were tries."""
    most: dict[str, int] = {}
    for row in rows:
        most[row["category"]] = max(most.get(row["category"], 0), int(row["steps"]))
    return [row for row in rows if int(row["steps"]) == most[row["category"]]]


def gains(
    default: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A row for each category that both have, and the mean over these."""
    rows: list[dict[str, Any]] = []
    for category in sorted(default.keys() & baseline.keys()):
        mine, theirs = default[category], baseline[category]
        row: dict[str, Any] = {"category": category}
        for figure in FIGURES:
            row |= {figure: mine[figure], f"baseline_{figure}": theirs[figure]}
            row |= {f"{figure}_gain": mine[figure] - theirs[figure]}
        rows.append({**row, "minutes": mine["train_seconds"] / 60, "baseline_minutes": theirs["minutes"]})
    if not rows:
        return []
    means = {name: fmean(row[name] for row in rows) for name in rows[0] if name != "category"}
    return [*rows, {"category": "mean", **means}]


def main() -> None:
    default = mean_over_seeds(read_rows(RESULTS / "accuracy.csv"), (*FIGURES, "train_seconds"))
    made = provenance()
    rows = []
    for name, (file, belongs) in BASELINES.items():
        known = longest([row for row in read_rows(RESULTS / file) if belongs(row)])
        for row in gains(default, mean_over_seeds(known, (*FIGURES, "minutes"))):
            figures = {column: rounded(value, 4) for column, value in row.items() if column != "category"}
            rows.append({"baseline": name, "category": row["category"], **figures, **made})
    write_rows(RESULTS / "gain.csv", rows)


if __name__ == "__main__":
    main()
