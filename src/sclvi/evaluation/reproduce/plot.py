"""Figure 3: AUROC over the number of matching items eta, for affinity (eq. 5) and for the plain average."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.figures import FUSIONS, Rows, by_way, eta_curves
from sclvi.evaluation.reproduce.published import PAPER_ETA
from sclvi.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_Curves = Mapping[str, Mapping[str, Mapping[int, float]]]  # as `eta_curves` gives them

_STYLE = {"affinity": ("#0072B2", "-", "o"), "mean": ("#D55E00", "--", "s")}  # Okabe and Ito; and not by colour alone
_LABEL_STEP = 1.2  # on a logarithmic axis, labels of etas nearer than this factor would touch
_LABEL_HEIGHT = 0.08  # of a panel
_LEAST_RANGE = 1.0  # percent points that a panel spans at least: differences below a tenth shall not look like cliffs
_MARGIN = 0.08  # of a panel's range, above and below


def check_plotting() -> None:
    """To be called before hours of work that end in a plot.

    Raises:
        SclviError: matplotlib is missing.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise SclviError("drawing the plot needs matplotlib: pip install 'sclvi[research]'") from error


def plot_eta(rows: Rows, path: Path) -> None:
    """Draw figure 3 into a PNG file: detection left, segmentation right.

    Above stands the mean over the categories; below what each category gains over its value at the least eta, because
    their levels lie so far apart that on one axis all curves would look flat.

    Args:
        rows: as for `eta_table`.
        path: of the PNG; its folder exists.

    Raises:
        SclviError: matplotlib is missing, the rows were made in several ways, no category and seed has every eta in
            both fusions, or `path` cannot be written.
    """
    check_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(ways := by_way(rows)) > 1:
        raise SclviError(f"a plot shows rows made in one way, and these were made in {len(ways)}: {'; '.join(ways)}")
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex="col")
    for column, metric in enumerate(("detection", "segmentation")):
        curves = eta_curves(rows, metric)
        if not curves:
            raise SclviError(
                f"nothing to draw: no category and seed has {metric} figures for each eta and both fusions"
            )
        means, gains = panels[:, column]
        _draw_means(means, curves)
        _draw_gains(gains, curves)
        means.set_title(
            f"{metric.capitalize()}, mean of {len(curves)} categor{'y' if len(curves) == 1 else 'ies'}",
            loc="left",
            pad=18,
        )
        etas = list(next(iter(curves.values()))["affinity"])
        for axes in (means, gains):
            _finish(axes, etas)
        means.annotate(
            "paper: eta = 10",
            (PAPER_ETA, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color="0.3",
        )
        means.set_ylabel("AUROC (percent)")
        gains.set_ylabel(f"each category:\ngain over eta = {etas[0]} (points)")
        gains.set_xlabel("eta (matching items)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    write_atomically(path, png.getvalue())


def _draw_means(axes: "Axes", curves: _Curves) -> None:
    for fusion, name in FUSIONS.items():
        colour, dashes, marker = _STYLE[fusion]
        etas = list(next(iter(curves.values()))[fusion])
        means = [fmean(lines[fusion][eta] for lines in curves.values()) for eta in etas]
        axes.plot(etas, means, dashes, marker=marker, markersize=5, color=colour, linewidth=2.4, label=name)


def _draw_gains(axes: "Axes", curves: _Curves) -> None:
    ends = {}  # where the affinity curve of each category ends
    for category, lines in curves.items():
        for fusion, values in lines.items():
            colour, dashes, _ = _STYLE[fusion]
            etas, (first, *_) = list(values), values.values()
            axes.plot(etas, [value - first for value in values.values()], dashes, color=colour, linewidth=1)
        etas, figures = list(lines["affinity"]), list(lines["affinity"].values())
        ends[category] = figures[-1] - figures[0]
    low, high = _set_range(axes)
    names = sorted(ends, key=lambda category: ends[category])
    heights = spread_apart([ends[name] for name in names], min(_LABEL_HEIGHT, 1 / len(names)) * (high - low), low, high)
    for name, height in zip(names, heights, strict=True):
        axes.annotate(
            name,
            (etas[-1], height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#0072B2",
            annotation_clip=False,
        )


def _finish(axes: "Axes", etas: Sequence[int]) -> None:
    _set_range(axes)
    axes.axvline(PAPER_ETA, color="0.35", linestyle="--", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(_labelled(etas), [str(eta) for eta in _labelled(etas)])
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def _set_range(axes: "Axes") -> tuple[float, float]:
    """Fit the vertical axis to its curves, but never closer than `_LEAST_RANGE`."""
    low, high = axes.dataLim.intervaly
    room = max(_MARGIN * (high - low), (_LEAST_RANGE - (high - low)) / 2)
    axes.set_ylim(low - room, high + room)
    return low - room, high + room


def spread_apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising heights, moved as little as can be (in squares) to be at least `gap` apart and within `low` to `high`."""
    steps = gap * np.arange(len(heights))
    moved = isotonic_regression(
        np.asarray(heights) - steps
    ).x  # less the steps, "at least a gap apart" is "not falling"
    return [float(height) for height in np.clip(moved, low, high - steps[-1]) + steps]


def _labelled(etas: Sequence[int]) -> list[int]:
    """The etas to write at the axis: all but those too near to the one before."""
    kept: list[int] = []
    for eta in etas:
        if not kept or eta >= _LABEL_STEP * kept[-1]:
            kept.append(eta)
    return kept
