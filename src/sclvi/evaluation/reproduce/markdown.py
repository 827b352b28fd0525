"""Result rows beside the published figures, as Markdown tables.

All tables show percent; rows made in another way (encoder, light, steps, ...) make a table of their own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import fmean

from sclvi.evaluation.reproduce.figures import (
    COLUMN,
    FUSIONS,
    Rows,
    Seeds,
    by_category,
    by_seed,
    by_way,
    categories_of,
    eta_curves,
    in_order,
    mean_over,
    of_method,
    of_our_method,
    over_seeds,
    percentages,
    seed_means,
    spread,
)
from sclvi.evaluation.reproduce.published import PAPER_NAME, published

NO_ROWS = "No rows yet."

_NAME = {"detection": "Image AUROC", "segmentation": "Pixel AUROC"}
_PRETEXTS_TABLE = {"detection": 7, "segmentation": 8}
_OVERALL_TABLE = {"detection": 2, "segmentation": 3}
_DIFFERENCE = "Difference: ours minus paper, before rounding."
_SPREAD = "Spread: largest minus smallest of the seeds."


def pretext_table(rows: Rows, metric: str) -> str:
    """Tables 1 and 7 (detection) or 8 (segmentation): means by pretext, then one line a category and pretext.

    Args:
        rows: with columns `pretext`, `category`, `seed` and the two figures.
        metric: "detection" or "segmentation".

    Raises:
        SclviError: two rows made in the same way of the same pretext, category and seed.
    """
    return _for_each_way(rows, lambda some, way: _pretexts(some, way, metric))


def overall_table(rows: Rows, metric: str) -> str:
    """Table 2 (detection) or 3 (segmentation): ours beside the paper's own figure and the best other method it prints.

    Args:
        rows: with columns `category`, `seed` and the two figures; with a column `pretext`, only "twelve" counts.
        metric: "detection" or "segmentation".

    Raises:
        SclviError: two rows made in the same way of the same category and seed.
    """
    return _for_each_way(of_our_method(rows), lambda some, way: _overall(some, way, metric))


def own_table(rows: Rows) -> str:
    """Table 4: the categories that are not of MVTec AD. The paper's lines are of its own data and only orient.

    Args:
        rows: as for `overall_table`; rows of MVTec AD's categories are left out.

    Raises:
        SclviError: two rows made in the same way of the same category and seed.
    """
    known = categories_of(published(2, "detection"))
    return _for_each_way([row for row in of_our_method(rows) if row["category"] not in known], _own)


def eta_table(rows: Rows, metric: str) -> str:
    """Figure 3 in numbers: the mean for each eta and fusion; the highest of a column is bold.

    Args:
        rows: with columns `eta`, `fusion` ("affinity" or "mean"), `category`, `seed` and the two figures.
        metric: "detection" or "segmentation".

    Raises:
        SclviError: two rows made in the same way of the same eta, fusion, category and seed.
    """
    return _for_each_way(rows, lambda some, way: _etas(some, way, metric))


def _for_each_way(rows: Rows, describe: Callable[[Rows, str], str]) -> str:
    return "\n\n".join(text for way, some in by_way(rows).items() if (text := describe(some, way))) or NO_ROWS


def _pretexts(rows: Rows, way: str, metric: str) -> str:
    cells = by_seed(percentages(rows, metric, ("pretext", "category", "seed")))
    if not cells:
        return ""
    of_paper, means_of_paper = published(_PRETEXTS_TABLE[metric], metric), published(1, metric)
    pretexts = in_order({pretext for pretext, _ in cells}, PAPER_NAME)
    categories = in_order({category for _, category in cells}, categories_of(of_paper))
    common = [category for category in categories if all((pretext, category) in cells for pretext in pretexts)]
    shared = [category for category in common if category in categories_of(of_paper)]

    means = []
    for pretext in pretexts:
        column = PAPER_NAME.get(pretext, "-")
        ours = {category: seeds for (name, category), seeds in cells.items() if name == pretext}
        means.append(
            [
                pretext,
                column,
                _percent(means_of_paper.get(("mean", column))),
                *_pair(mean_over(shared, of_method(of_paper, column)), mean_over(shared, over_seeds(ours))),
                _percent(mean_over(common, over_seeds(ours))),
                _percent(spread(seed_means(common, ours))),
            ]
        )
    singles = []
    for category in categories:
        present = [pretext for pretext in pretexts if (pretext, category) in cells]
        for pretext in present:
            seeds, paper = cells[pretext, category], of_paper.get((category, PAPER_NAME.get(pretext, "-")))
            name = category if pretext == present[0] else ""  # once a group: easier on the eye
            singles.append([name, pretext, *_pair(paper, fmean(seeds.values())), _percent(spread(seeds))])
    return "\n\n".join(
        [
            f"{_NAME[metric]} in percent. {_DIFFERENCE} {_SPREAD} {_ours(rows, way, cells.values())}",
            f"Means are over the categories that every pretext here has: {_listed(common)}; shared with the paper: "
            f"{_listed(shared)}. The spread is that of our mean over all.",
            _table(
                ["pretext", "in the paper"],
                ["paper: all 15", "paper: shared", "ours: shared", "difference", "ours: all", "spread"],
                means,
            ),
            _table(["category", "pretext"], ["paper", "ours", "difference", "spread"], singles),
        ]
    )


def _overall(rows: Rows, way: str, metric: str) -> str:
    ours = by_category(rows, metric)
    if not ours:
        return ""
    of_paper = published(_OVERALL_TABLE[metric], metric)
    paper = {method: of_method(of_paper, method) for _, method in of_paper}
    theirs = paper.pop("Ours")
    categories = in_order(ours, categories_of(of_paper))
    shared = [category for category in categories if category in categories_of(of_paper)]

    def line(name: str, over: Collection[str]) -> list[str]:
        mean = mean_over(over, over_seeds(ours))
        best = _best({method: mean_over(over, figures) for method, figures in paper.items()})
        value, _, difference = _pair(mean_over(over, theirs), mean)
        return [name, value, best, _percent(mean), difference, _percent(spread(seed_means(over, ours)))]

    best_mean = _best({method: figures["mean"] for method, figures in paper.items()})
    lines = [
        *(line(category, [category]) for category in categories),
        line(f"mean: the {len(shared)} shared", shared),
        *([line(f"mean: all {len(categories)} of ours", categories)] if len(categories) > len(shared) else []),
        ["mean: all 15 of the paper", _percent(theirs["mean"]), best_mean, "-", "-", "-"],
    ]
    caption = f"{_NAME[metric]} in percent. {_DIFFERENCE} {_SPREAD} {_ours(rows, way, ours.values())}"
    table = _table(["category"], ["paper", "best other in the paper", "ours", "difference", "spread"], lines)
    return f"{caption}\n\n{table}"


def _own(rows: Rows, way: str) -> str:
    ours = {metric: by_category(rows, metric) for metric in COLUMN}
    categories = sorted({category for cells in ours.values() for category in cells})
    if not categories:
        return ""
    paper = {metric: published(4, metric) for metric in COLUMN}
    lines = []
    for data in ("CP", "SSW"):
        detection, segmentation = (_percent(paper[metric][data, "OURS"]) for metric in COLUMN)
        lines.append(["paper", data, detection, "-", segmentation, "-"])
    for category in categories:
        line = ["ours", category]
        for cells in ours.values():
            line += [_percent(over_seeds(cells).get(category)), _percent(spread(cells.get(category, {})))]
        lines.append(line)
    seeds = [seeds for cells in ours.values() for seeds in cells.values()]
    caption = (
        f"AUROC in percent. {_SPREAD} {_ours(rows, way, seeds)} The paper's lines (CP: coating products, SSW: suede "
        "silicon wafers) are of its own data and only orient."
    )
    return f"{caption}\n\n{_table(['from', 'data'], ['detection', 'spread', 'segmentation', 'spread'], lines)}"


def _etas(rows: Rows, way: str, metric: str) -> str:
    curves = eta_curves(rows, metric)
    if not curves:
        return ""
    etas = next(iter(curves.values()))["affinity"]
    means = [{eta: fmean(lines[fusion][eta] for lines in curves.values()) for eta in etas} for fusion in FUSIONS]
    lines = []
    for eta in etas:
        affinity, plain = (column[eta] for column in means)
        shown = [
            f"**{column[eta]:.1f}**" if column[eta] == max(column.values()) else f"{column[eta]:.1f}"
            for column in means
        ]
        lines.append([str(eta), *shown, f"{affinity - plain:+z.1f}"])
    caption = (
        f"{_NAME[metric]} in percent{', ' if way else ''}{way}; mean over the categories and seeds that every eta and "
        f"both fusions have: {_listed(curves)}. Bold: the highest of its column, before rounding. Difference: affinity "
        "minus plain average."
    )
    return f"{caption}\n\n{_table([], ['eta', *FUSIONS.values(), 'difference'], lines)}"


def _ours(rows: Rows, way: str, cells: Iterable[Seeds]) -> str:
    """How our figures were made, for a caption."""
    counts = sorted({len(seeds) for seeds in cells})
    seeds = (
        f"{counts[0]} seed{'s' if counts[0] > 1 else ''}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    )
    minutes = [float(row["minutes"]) for row in rows if row.get("minutes")]
    trained = f" Training took {min(minutes):.1f} to {max(minutes):.1f} minutes." if minutes else ""
    return f"Ours: {way}{', ' if way else ''}mean over {seeds}.{trained}"


def _best(values: Mapping[str, float | None]) -> str:
    """The highest figure and who has it; all names where they are level."""
    # rounded, or sums in another order would break a tie
    known = {name: round(value, 6) for name, value in values.items() if value is not None}
    if not known:
        return "-"
    best = max(known.values())
    return f"{best:.1f} ({', '.join(name for name, value in known.items() if value == best)})"


def _pair(paper: float | None, ours: float | None) -> list[str]:
    """Paper, ours, difference."""
    difference = "-" if paper is None or ours is None else f"{ours - paper:+z.1f}"
    return [_percent(paper), _percent(ours), difference]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) if names else "none"


def _table(texts: Sequence[str], figures: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; first the columns of text, then those of figures, which stand at the right of their column."""
    header = [[*texts, *figures], ["---"] * len(texts) + ["---:"] * len(figures)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*header, *lines])
