"""An evaluation, and a benchmark, as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from sclvi.evaluation.evaluate import Evaluation

_NAMES = {
    "image_auroc": "image AUROC",
    "image_ap": "image average precision",
    "image_f1_max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel average precision",
    "aupro": "AUPRO (FPR <= 0.3)",
}


def figures_table(evaluation: Evaluation) -> Table:
    """Percent for the fractions; a dash where a figure is undefined."""
    title = f"{evaluation.category}: {evaluation.good} good, {evaluation.defective} defective"
    table = Table("figure", title=title, title_justify="left")
    table.add_column("value", justify="right")
    for key, name in _NAMES.items():
        value = evaluation.figures[key]
        table.add_row(name, "-" if value is None else f"{value:.1%}")
    table.add_row("pictures a second", f"{evaluation.figures['images_per_second']:.1f}")
    table.add_row("peak memory", f"{evaluation.figures['peak_memory_mib']:.0f} MiB")
    return table


_SPEED = ("images_per_second", "p50_ms", "p99_ms", "encoder_ms", "search_ms", "times_the_limit", "peak_ram_mib")


def speed_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of `bench`; a dash where something was not measured."""
    table = Table("method", "batch", title=f"{rows[0]['device']}, {rows[0]['threads']} threads", title_justify="left")
    for name in _SPEED:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(
            row["method"], str(row["batch"]), *("-" if row[name] is None else f"{row[name]:.4g}" for name in _SPEED)
        )
    return table
