"""From result rows to the figures that tables and plots show: percent, averaged over what can be compared.

A row is what `csv.DictReader` gives: `image_auroc` and `pixel_auroc` are fractions of 1, empty where undefined. A mean
takes in only what all its columns have, so that like stands beside like.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean

from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.published import SUMMARIES, published

Rows = Sequence[Mapping[str, str]]
Seeds = Mapping[str, float]  # percent by seed

FUSIONS = {"affinity": "affinity", "mean": "plain average"}  # eq. 5, and what Figure 3 sets against it
COLUMN = {"detection": "image_auroc", "segmentation": "pixel_auroc"}
_WAY = {  # columns that tell how a row was made, and how a caption says so; a file may lack some
    "encoder": "encoder {}",
    "light": "light {}",
    "batch": "batches of {}",
    "memory_strides": "memory strides {} px",
    "budget_minutes": "a budget of {} minutes for each training",
    "steps": "{} steps",
}


def eta_curves(rows: Rows, metric: str) -> dict[str, dict[str, dict[int, float]]]:
    """Percent by category, fusion and rising eta, mean over seeds.

    Only categories and seeds that every eta and both fusions have are in it.
    """
    figures = percentages(rows, metric, ("category", "seed", "fusion", "eta"))
    etas = sorted({int(eta) for *_, eta in figures})
    found: dict[tuple[str, str], dict[tuple[str, int], float]] = defaultdict(dict)
    for (category, seed, fusion, eta), value in figures.items():
        found[category, seed][fusion, int(eta)] = value
    wanted = {(fusion, eta) for fusion in FUSIONS for eta in etas}
    whole: dict[str, list[dict[tuple[str, int], float]]] = defaultdict(list)
    for (category, _), values in found.items():
        if wanted <= values.keys():
            whole[category].append(values)
    return {
        category: {
            fusion: {eta: fmean(values[fusion, eta] for values in whole[category]) for eta in etas}
            for fusion in FUSIONS
        }
        for category in in_order(whole, categories_of(published(2, "detection")))
    }


def by_way(rows: Rows) -> dict[str, Rows]:
    """The rows by the way they were made, in words."""
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        # where a budget was given, the steps follow from the machine's speed on that day
        names = [name for name in _WAY if row.get(name) and not (name == "steps" and row.get("budget_minutes"))]
        found[", ".join(_WAY[name].format(row[name]) for name in names)].append(row)
    return dict(found)


def percentages(rows: Rows, metric: str, keys: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Percent by the values of the key columns; rows whose figure is empty are left out."""
    figures: dict[tuple[str, ...], float] = {}
    for row in rows:
        if not row[COLUMN[metric]]:
            continue
        key = tuple(row[name] for name in keys)
        if key in figures:  # to pick one, or to count it as one more seed, would both be wrong
            raise SclviError("two result rows of " + ", ".join(map(" ".join, zip(keys, key, strict=True))))
        figures[key] = 100 * float(row[COLUMN[metric]])
    return figures


def by_seed(figures: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], Seeds]:
    """The last part of the key, the seed, becomes that of an inner dictionary."""
    cells: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (*key, seed), value in figures.items():
        cells[tuple(key)][seed] = value
    return dict(cells)


def by_category(rows: Rows, metric: str) -> dict[str, Seeds]:
    return {category: seeds for (category,), seeds in by_seed(percentages(rows, metric, ("category", "seed"))).items()}


def of_our_method(rows: Rows) -> Rows:
    return [row for row in rows if row.get("pretext", "twelve") == "twelve"]


def of_method(of_paper: Mapping[tuple[str, str], float], method: str) -> dict[str, float]:
    """One column of a table of the paper, by category."""
    return {category: value for (category, name), value in of_paper.items() if name == method}


def over_seeds(cells: Mapping[str, Seeds]) -> dict[str, float]:
    return {category: fmean(seeds.values()) for category, seeds in cells.items()}


def seed_means(categories: Collection[str], cells: Mapping[str, Seeds]) -> Seeds:
    """For each seed that all categories have, its mean over them."""
    if not categories:
        return {}
    seeds = set.intersection(*(set(cells[category]) for category in categories))
    return {seed: fmean(cells[category][seed] for category in categories) for seed in seeds}


def mean_over(categories: Collection[str], values: Mapping[str, float]) -> float | None:
    """None where there is nothing to average, or not all of it."""
    if not categories or not all(category in values for category in categories):
        return None
    return fmean(values[category] for category in categories)


def spread(seeds: Seeds) -> float | None:
    return max(seeds.values()) - min(seeds.values()) if len(seeds) > 1 else None


def categories_of(of_paper: Mapping[tuple[str, str], float]) -> list[str]:
    """The categories of a table of the paper, in its order."""
    return list(dict.fromkeys(category for category, _ in of_paper if category not in SUMMARIES))


def in_order(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """The known names in the given order, then the others by the alphabet."""
    rank = {name: i for i, name in enumerate(order)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))
