"""The threshold, from the scores of good pictures alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Threshold:
    """A score that good parts exceed no more often than promised."""

    value: float
    asked_rate: float
    promised_rate: float  # >= asked_rate; larger where too few pictures were scored
    pictures: int

    @property
    def is_kept(self) -> bool:
        """Whether the asked false-reject rate can be promised."""
        return self.promised_rate <= self.asked_rate + _ROUNDING


def conformal_threshold(scores: Sequence[float], rate: float) -> Threshold:
    """Split-conformal threshold: the k-th smallest score, k = ceil((n + 1)(1 - rate)) (Vovk et al. 2005).

    A new good picture that is exchangeable with the n scored ones exceeds it with probability at most `rate`. With too
    few pictures no score is high enough: then the highest is taken, which promises 1 / (n + 1).

    Args:
        scores: of n >= 1 good pictures, new or as if they were.
        rate: 0..1, exclusive.
    """
    count = len(scores)
    rank = min(math.ceil((count + 1) * (1 - rate) - _ROUNDING), count)
    return Threshold(sorted(scores)[rank - 1], rate, promise_of(count, rate), count)


def promise_of(count: int, rate: float) -> float:
    """The rate that `count` scored pictures can promise where `rate` is asked: that, or more where they are too few."""
    return max(rate, 1 / (count + 1))


def together(regions: Sequence[Threshold]) -> Threshold:
    """The threshold of a part that is rejected where any of its regions is, in the unit of the first region.

    The rates add up: the regions' rejections are not taken to fall on the same parts.
    """
    asked, promised = (
        sum(rates) for rates in zip(*((one.asked_rate, one.promised_rate) for one in regions), strict=True)
    )
    return Threshold(regions[0].value, asked, min(promised, 1.0), regions[0].pictures)


def promise_without(threshold: Threshold, left_out: int) -> float:
    """What holds if pictures that were left out of the scored ones are good after all: to leave out the highest lowers
    the threshold, and the promise is then of parts like those that stayed only.

    (p (n + 1) + d) / (n + d + 1), the share of good pictures that may exceed if all d that were left out do.
    """
    scored = threshold.pictures + 1
    return (threshold.promised_rate * scored + left_out) / (scored + left_out)


def p_value(score: float, scores: Sequence[float]) -> float:
    """Conformal p-value: a good picture that is exchangeable with the scored ones gets p or less with probability <= p.

    (1 + number of `scores` that are no less) / (n + 1); a score that is no number counts as above all.
    """
    return (1 + sum(other >= score for other in scores)) / (len(scores) + 1)


def images_needed(rate: float) -> int:
    """How many scored pictures it takes to promise `rate`."""
    return math.ceil(1 / rate - _ROUNDING) - 1
