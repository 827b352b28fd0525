"""Maps of different kinds brought to one measure and fused into the anomaly map."""

import math
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor

from sclvi.scoring.pixels import mean_of, sharpened

_BESIDE = 8  # px from a line at which filters for lines still answer
_FAINTEST = 1e-6  # stands in for a map value of 0, whose logarithm is wanted
_OWN_SPREAD = 0.05  # in logarithms; pictures of another day agree less well than those at hand happen to do
_UNUSUAL = 0.75  # a region whose patches all score less could not be rejected; half of it costs twice the lookups


@dataclass(frozen=True)
class Role:
    """What a map has a say in."""

    ranks: float = 1.0  # its weight in the mean of the maps, >= 0
    surprises: bool = True  # it raises the mean
    caution: float = 1.0  # so many times the deviation of good pictures counts as one: more makes it less surprised


@dataclass(frozen=True)
class Usual:
    """What one map shows on good pictures that the memory does not hold."""

    level: float  # mean over all pixels, > 0
    peak: float  # median over the pictures of log(maximum / level)
    spread: float  # deviation of the same, robust, and no less than what pictures of another day differ by
    ranks: float = 1.0  # see `Role`
    surprises: bool = True

    @property
    def unusual(self) -> float:
        """Three quarters of the way, in logarithms, from the usual level to the worst place of a usual good picture."""
        return self.level * math.exp(_UNUSUAL * self.peak)

    @classmethod
    def measure(cls, maps: Tensor, role: Role = Role()) -> "Usual":  # a value, never changed
        """From the maps of good pictures, N x H x W float >= 0."""
        return cls.of_summaries(maps.mean().item(), maps.amax((1, 2)), role)

    @classmethod
    def of_summaries(cls, mean: float, maxima: Tensor, role: Role = Role()) -> "Usual":
        """As `measure`, from the mean of all pixels and each map's maximum, N."""
        level = max(mean, _FAINTEST)
        peaks = _logarithm(maxima, level)
        peak = peaks.quantile(0.5)  # `median` takes the lower of two middle values
        spread = 1.4826 * (peaks - peak).abs().quantile(0.5).item()
        return cls(level, peak.item(), role.caution * math.hypot(spread, _OWN_SPREAD), role.ranks, role.surprises)


def fuse_scales(maps: list[Tensor]) -> Tensor:
    """Geometric mean of the scales' maps, which ranks as their product in the authors' code does.

    B x H x W float >= 0 each -> B x H x W.
    """
    return mean_of([_logarithm(one, 1.0) for one in maps]).exp_()


def fuse_maps(maps: list[Tensor], usual: tuple[Usual, ...], raised: bool) -> Tensor:
    """Geometric mean of the maps, raised where a map shows more than the worst places of good pictures do.

    Each map counts in units of its usual level, so that 1 means "as usual" on every map and part. The mean, in which
    some maps weigh more than others, ranks places well, but a defect that one map sees and the others do not is
    averaged away. So it is multiplied by 1 + s, s the sum of the surprises: how far a map lies above the maxima of good
    pictures, in deviations of these. What several maps see adds up, and a map that is always a little surprised alone
    does not decide. A map that does not rank places, as that of lines, surprises at its ridges alone, or it would tell
    of defects where there are none.

    Args:
        maps: B x H x W float >= 0 each.
        usual: of each map. One at least ranks, one surprises.
        raised: False gives the mean alone.
    """
    pairs = [  # logarithms are most of the work: each is taken once
        (_logarithm(one if known.ranks else sharpened(one, _BESIDE), known.level), known)
        for one, known in zip(maps, usual, strict=True)
        if known.ranks or (raised and known.surprises)
    ]
    mean = _weighted_mean([(one, known.ranks) for one, known in pairs if known.ranks]).exp_()
    if not raised:
        return mean
    surprises = [_surprise(one, known) for one, known in pairs if known.surprises]
    return mean * (1 + _together(surprises))


def _weighted_mean(maps: list[tuple[Tensor, float]]) -> Tensor:
    """Of maps of one shape, each with its weight, > 0; one map at least."""
    total = torch.zeros_like(maps[0][0])
    for one, weight in maps:
        total.add_(one, alpha=weight)
    return total.div_(sum(weight for _, weight in maps))


def _surprise(logarithms: Tensor, usual: Usual) -> Tensor:
    """How far one map lies above the maxima of good pictures, in deviations of these; 0 where it does not."""
    return (logarithms - usual.peak).div_(usual.spread).clamp_min_(0)


def _together(surprises: list[Tensor]) -> Tensor:
    """Of each map, B x H x W -> B x H x W."""
    return reduce(add, surprises)


def image_scores(maps: Tensor) -> Tensor:
    """Score of each picture: the maximum of its map; B x H x W -> B."""
    return maps.amax((1, 2))


def _logarithm(maps: Tensor, level: float) -> Tensor:
    return (maps / level).clamp_min_(_FAINTEST).log_()
