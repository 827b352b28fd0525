"""The figures that the paper prints: Tables 1, 2, 3, 4, 7 and 8, as typed in `published.csv`."""

import csv
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

# our name of a pretext task -> its column in Tables 1, 7 and 8 (section 4.1, "Baseline")
PAPER_NAME: Mapping[str, str] = MappingProxyType(
    {
        "twelve": "Ours",
        "eight": "Jigsaw1",  # Doersch's eight neighbours, as in Patch-SVDD: the paper's baseline
        "puzzle": "Jigsaw2",  # Noroozi's puzzle
        "rotation": "Rotation",
        "colour": "RGB",
        "rotation_colour": "RR",
        "none": "NoSSL",  # in Table 1 alone
    }
)
SUMMARIES = ("textures", "objects", "mean")  # rows of Tables 2, 3, 7 and 8 that are no categories


PAPER_ETA = 10  # section 4.2: where the paper's affinity curve is highest


def published(table: int, metric: str) -> dict[tuple[str, str], float]:
    """The figures of one table, in its order.

    Args:
        table: 1, 2, 3, 4, 7 or 8.
        metric: "detection" (AUROC over images) or "segmentation" (AUROC over pixels). Tables 2 and 7 have only the
            first, 3 and 8 only the second.

    Returns:
        Percent by (category, method), both spelt as in the paper but for small letters and "_" in MVTec's categories.
        The rows of means are in it under the names of `SUMMARIES`.

    Raises:
        ValueError: the paper has no such figures.
    """
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    figures = {
        (row["category"], row["method"]): float(row["auroc_percent"])
        for row in csv.DictReader(text.splitlines())
        if row["table"] == str(table) and row["metric"] == metric
    }
    if not figures:
        raise ValueError(f"the paper has no table {table} of {metric}")
    return figures
