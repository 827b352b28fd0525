"""A second look at good pictures, by the scores that set the threshold: does one of them look defective after all?

The audit looks before anything is learned. A trained model sees more, and each good picture has been scored as if it
were new anyway. A defective one among them scores as defects do, and raises the threshold for all that come after.
"""

import numpy as np
from torch import Tensor

from sclvi.audit.robust import deviations, outlier_limit

_FAINTEST = 1e-6  # stands in for a score of 0, whose logarithm is wanted
_LEAST_SPREAD = 0.05  # of logarithms of scores


def standing_out(scores: Tensor) -> list[int]:
    """Which good pictures score so high among the others that it is no accident, by the rule of the audit's checks.

    N x K float >= 0, of N >= 1 pictures in K regions of interest -> numbers of pictures, in ascending order; at
    most half of them.
    """
    logarithms = np.log(scores.double().numpy().clip(_FAINTEST))
    exceeded = deviations(logarithms.T, _LEAST_SPREAD).max(0)
    limit = outlier_limit(exceeded, looks=logarithms.shape[1])
    return [int(number) for number in np.flatnonzero(exceeded > limit)]
