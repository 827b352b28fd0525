"""Outliers among a folder's own values: robust deviations, and the limit above which a value is no accident.

Medians, because what is looked for is among the values it is measured against: up to half of them may be wrong.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]

FALSE_SHARE = 0.1  # of the outliers, that may be none: the false discovery rate
_CONSISTENT = 1.4826  # median absolute deviation -> standard deviation, for normal values
_EFFICIENCY = 0.37  # of that estimate: N values tell the deviation as well as 0.37 N would by squares


def deviations(values: Values, least: float) -> Values:
    """How many robust standard deviations each value lies above the median.

    Args:
        values: ... x N; each row by itself.
        least: the standard deviation counts as this at least, added in squares: values that happen to agree.
    """
    median, spread = centre_and_spread(values, least)
    return (values - median) / spread


def centre_and_spread(values: Values, least: float) -> tuple[Values, Values]:
    """Median and robust standard deviation over the last axis, ... x 1 each; arguments as of `deviations`."""
    median = np.median(values, axis=-1, keepdims=True)
    spread = _CONSISTENT * np.median(np.abs(values - median), axis=-1, keepdims=True)
    return median, np.hypot(spread, least)


def chance(exceeded: Values, count: int) -> Values:
    """The probability that a normal value lies so many robust deviations of `count` values above their median.

    By Student's distribution, since the deviation itself is known no better than from 0.37 `count` values (Rousseeuw
    and Croux 1993): of eight pictures, one must stand out far more than of two hundred.
    """
    return np.asarray(stats.t.sf(exceeded, max(_EFFICIENCY * (count - 1), 1)))


def deviation_of(probability: float, count: int) -> float:
    """The inverse of `chance`."""
    return float(stats.t.isf(probability, max(_EFFICIENCY * (count - 1), 1)))


def outlier_limit(exceeded: Values, looks: int) -> float:
    """The limit above which values are outliers, by the rule of Benjamini and Hochberg (1995).

    Were the values normal, a folder without outliers would have one above its limit with probability FALSE_SHARE, and
    of many outliers that share would be false. The more there are, the lower the limit: what is rare among a hundred
    good pictures is expected among ten bad ones.

    Args:
        exceeded: N deviations, N >= 1, each the largest of `looks` (kinds of map, or both sides of a median).
    """
    count = len(exceeded)
    probabilities = np.minimum(looks * chance(exceeded, count), 1)
    outliers = int((stats.false_discovery_control(probabilities) <= FALSE_SHARE).sum())
    return deviation_of(FALSE_SHARE * max(outliers, 1) / (looks * count), count)
