"""Drift: whether the camera or the light changed since training, with a stated false-alarm rate.

Each statistic of the pictures, and their score, is watched by a conformal test martingale (Vovk, Nouretdinov and
Gammerman: Testing exchangeability on-line, ICML 2003). A gambler bets on where the next picture will rank among all
before it, those learned from included. As long as pictures are exchangeable with the good ones each rank is as likely
as any other, the game is fair, and by Ville's inequality the chance that the capital ever grows c-fold is at most
1 / c, however long the run. With k statistics an alarm takes k / rate, so that all together keep the rate (Bonferroni:
a mean of the martingales would have to be fair jointly, which ranks of statistics that depend on each other do not
promise).
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FALSE_ALARM_RATE = 0.01  # share of undisturbed runs that may raise an alarm
SCORE = "score"
_BETS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])  # 2 is the most that keeps the capital from becoming negative
_JUMP = 1e-3  # share that changes its bet at each picture: a change after a thousand pictures is found nearly as soon
_RECENT = 20  # pictures that say what a statistic came to


@dataclass(frozen=True)
class Change:
    """A statistic that moved."""

    statistic: str  # as in `measure_appearance`, or SCORE
    higher: bool
    noticed: int  # pictures of the run until the alarm
    usual: float  # median of the good pictures
    now: float  # median of the last pictures before the alarm


@dataclass(frozen=True)
class Drift:
    """What a run of pictures says about the camera and the light."""

    changes: tuple[Change, ...]  # first noticed first; empty: nothing moved
    pictures: int
    fewest: int  # pictures that an alarm takes at least
    false_alarm_rate: float  # most of all undisturbed runs, of any length, that have a change

    @property
    def of_camera(self) -> bool:
        """Whether more moved than the score, which defects or another part move as well."""
        return any(change.statistic != SCORE for change in self.changes)


def find_drift(
    good: Mapping[str, Sequence[float]],
    seen: Sequence[Mapping[str, float]],
    rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
) -> Drift:
    """Watch a run of pictures.

    Args:
        good: each statistic's values in good pictures, in any order; how many may differ between statistics.
        seen: the statistics of each picture of the run, in the order they were taken; all that `good` names.
        rate: 0..1, exclusive.
        seed: of the draws between equal ranks.
    """
    limit = math.log(len(good) / rate)
    runs = {statistic: [picture[statistic] for picture in seen] for statistic in good}
    p_values = [
        conformal_p_values(good[statistic], values, np.random.default_rng((seed, number)))
        for number, (statistic, values) in enumerate(runs.items())
    ]
    changes = []
    for (statistic, values), capital, leaning in zip(runs.items(), *bet(p_values), strict=True):
        if (capital >= limit).any():
            noticed = 1 + int((capital >= limit).argmax())
            recent = float(np.median(values[max(0, noticed - _RECENT) : noticed]))
            usual = float(np.median(good[statistic]))
            changes.append(Change(statistic, bool(leaning[noticed - 1] > 0), noticed, usual, recent))
    changes.sort(key=lambda change: change.noticed)
    return Drift(tuple(changes), len(seen), _fewest(limit), rate)


def conformal_p_values(
    reference: Iterable[float], values: Iterable[float], draws: np.random.Generator
) -> NDArray[np.float64]:
    """Where each value ranks among the reference and the values before it: near 0 below them, near 1 above.

    p = (number that are smaller + u x (number that are equal, itself included)) / (number of all, itself included),
    u uniform. If reference and values are exchangeable the p are independent and uniform on 0..1, exactly and however
    small the reference is. Ranks within the reference alone would not do: they are dependent through it, and a long run
    would find out that a finite reference is not quite the distribution that it comes from.
    """
    known = sorted(reference)
    p_values = []
    for value in values:
        smaller, not_larger = bisect_left(known, value), bisect_right(known, value)
        p_values.append((smaller + draws.random() * (not_larger - smaller + 1)) / (len(known) + 1))
        insort(known, value)
    return np.array(p_values, np.float64)


def bet(p_values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The simple jumper (Vovk et al.: Retrain or not retrain, COPA 2021) with bets -2, -1, 0, 1, 2.

    A bet e multiplies its share of the capital by 1 + e (p - 1/2), which is 1 on average for uniform p; after each
    picture a share _JUMP of all capital is spread evenly over the bets. One picture at most doubles the capital, and
    bets as large as these lose where p is nearly uniform: far outliers in one of twenty pictures, such as defects,
    raise no alarm.

    Args:
        p_values: ... x T, in 0..1.

    Returns:
        The log of the capital after each picture, from a capital of 1, and the mean bet (> 0: on high ranks); ... x T.
    """
    p = np.asarray(p_values, np.float64)
    shares = np.full((*p.shape[:-1], len(_BETS)), 1 / len(_BETS))
    capital, leaning = np.empty_like(p), np.empty_like(p)
    log_capital = np.zeros(p.shape[:-1])
    for at in range(p.shape[-1]):
        shares = (1 - _JUMP) * shares + _JUMP / len(_BETS)
        shares = shares * (1 + _BETS * (p[..., at, None] - 0.5))
        growth = shares.sum(-1)  # > 0: the bet 0 keeps its share
        shares = shares / growth[..., None]
        log_capital = log_capital + np.log(growth)
        capital[..., at], leaning[..., at] = log_capital, shares @ _BETS
    return capital, leaning


def _fewest(limit: float) -> int:
    """Pictures that it takes to reach a log capital of `limit` when each ranks highest of all."""
    most = math.ceil(2 * limit) + 10  # the capital of the largest bet alone, a fifth, doubles at each picture
    return 1 + int((bet(np.ones(most))[0] >= limit).argmax())
