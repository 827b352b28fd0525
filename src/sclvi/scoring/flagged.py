"""Flagged codes: near what a person called a defect, less is tolerated."""

from torch import Tensor

RATIO = 0.8  # of Lowe's test (IJCV 2004): a patch is like the flagged one only if that is clearly nearer than any good
MOST = (
    10.0  # times; enough to reject a patch that looks as good as any, and finite where the flagged patch itself is seen
)
_SMALLEST = 1e-6  # in code units; stands in for distance 0


def raise_flagged(scores: Tensor, good: Tensor, flagged: Tensor) -> Tensor:
    """Multiply the score of each patch by how many times nearer a flagged patch is than any good one.

    The factor is 1 (nothing changes) unless flagged < RATIO * good, then RATIO * good / flagged, at most MOST: a patch
    twice as near to a flagged patch scores 1.6 times as much. A patch that is as near to a good patch is left alone.

    Args:
        scores: ... float >= 0.
        good: distance to the nearest good patch, ... float >= 0; +inf where none was found.
        flagged: distance to the nearest flagged patch, ... float >= 0.
    """
    return scores * (RATIO * good / flagged.clamp_min(_SMALLEST)).clamp(1.0, MOST)
