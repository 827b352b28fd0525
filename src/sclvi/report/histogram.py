"""The scores of all pictures as bars, with the threshold at an edge between two of them."""

import math
from dataclasses import dataclass

_BINS = 48
_LOG_FROM = 20.0  # ratio of the largest to the smallest score above which a linear axis would crush the good ones

_FARTHEST = 1e100  # beyond this the arithmetic of the axis would overflow


@dataclass(frozen=True)
class Bar:
    """One bar, in percent of the plot."""

    left: float
    width: float
    height: float
    count: int
    low: float  # scores it counts
    high: float
    defective: bool


@dataclass(frozen=True)
class Histogram:
    """What the template draws; positions in percent of the plot from the left."""

    bars: list[Bar]
    ticks: list[tuple[float, float]]  # position and value of the axis labels
    marks: list[float]  # one per score
    threshold: float  # position
    logarithmic: bool


def histogram(scores: list[float], threshold: float) -> Histogram:
    """Count scores in equal steps of a linear axis, or of a logarithmic one where scores span a wide range.

    Args:
        scores: finite, at least one.
        threshold: finite; scores above it are defective, as in `Inspection.verdict`.
    """
    scores = [min(max(score, -_FARTHEST), _FARTHEST) for score in scores]
    low, high = min(*scores, threshold), max(*scores, threshold)
    logarithmic = low > 0 and high / low > _LOG_FROM
    forward, back = (math.log, math.exp) if logarithmic else (float, float)
    start, end, middle = forward(low), forward(high), forward(threshold)
    margin = (end - start) * 0.03
    if margin <= abs(end) * 1e-9:  # all the same: give them a width that a float can still divide
        margin = abs(end) * 0.1 or 1.0
    start, end = start - margin, end + margin

    step = (end - start) / _BINS
    below = math.ceil((middle - start) / step)  # bins left of the threshold; the edge between two is the threshold
    first = middle - below * step
    counts: dict[int, int] = {}
    for score in scores:
        place = math.floor((forward(score) - first) / step)
        place = max(place, below) if score > threshold else min(place, below - 1)  # rounding does not change a verdict
        counts[place] = counts.get(place, 0) + 1
    start, end = min(start, first), max(end, first + (max(counts) + 1) * step)

    def percent(position: float) -> float:
        return 100 * (position - start) / (end - start)

    most = max(counts.values())
    bars = [
        Bar(
            left=percent(first + place * step),
            width=100 * step / (end - start),
            height=100 * count / most,
            count=count,
            low=back(first + place * step),
            high=back(first + (place + 1) * step),
            defective=place >= below,
        )
        for place, count in sorted(counts.items())
    ]
    return Histogram(
        bars=bars,
        ticks=[(percent(forward(value)), value) for value in _round_values(back(start), back(end), logarithmic)],
        marks=[percent(forward(score)) for score in scores],
        threshold=percent(middle),
        logarithmic=logarithmic,
    )


def _round_values(low: float, high: float, logarithmic: bool) -> list[float]:
    """About five values from low to high that people like to read: 1, 2 or 5 times a power of ten, or steps of it."""
    if logarithmic:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if high / low < 1000 else (1,)
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        values = values[:: math.ceil(len(values) / 12)]
    else:
        rough = (high - low) / 7
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        values = [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [value for value in values if low <= value <= high]
