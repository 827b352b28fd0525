"""Image and pixel AUROC over what they cost."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Row = dict[str, str]


def plot_curves(
    rows: Sequence[Row],
    path: Path,
    cost: str,
    point: str,
    at: Callable[[Row], float],
    finish: Callable[[Axes], None] = lambda _: None,
) -> None:
    """Two panels, a line for each category.

    Args:
        cost: label of the axis of costs.
        point: column; rows of one category with the same in it are one point, their mean.
        at: what a row costs.
        finish: called for each panel, to change its axes.
    """
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 2), ("image_auroc", "pixel_auroc"), strict=True):
        for category, marker in zip(sorted({row["category"] for row in rows}), cycle("osD^vPX*"), strict=False):
            mine = [row for row in rows if row["category"] == category]
            points = [[row for row in mine if row[point] == one] for one in {row[point] for row in mine}]
            along = sorted((fmean(map(at, one)), 100 * fmean(float(row[name]) for row in one)) for one in points)
            axes.plot(*zip(*along, strict=True), marker=marker, label=category)
        axes.set_xlabel(cost)
        axes.set_ylabel(name.replace("_auroc", " AUROC, %"))
        axes.grid(alpha=0.3)
        finish(axes)
    lines = figure.axes[0].get_lines()
    figure.legend(handles=lines, frameon=False, loc="outside right center")  # beside the lines, not on them
    figure.savefig(path, dpi=120)
