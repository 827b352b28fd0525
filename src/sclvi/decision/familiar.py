"""What makes up for a network that learned from the pictures that set the threshold.

Memory and surface can leave a picture out; a network that learned from it cannot. Such pictures score lower than new
ones: by 0.05 to 0.1 deviations of the logarithm of the score, by up to 0.2 where few pictures were shown often
(`benchmarks.learned`, docs/experiments.md). A threshold taken from them would reject 1.3 % where 1 % is promised.
"""

import math

import numpy as np
import torch
from torch import Tensor

from sclvi.synthetic.detector import FRESH

_FAMILIAR = 0.1  # deviations of the logarithm of a score, by which it is raised after `FRESH` showings or fewer


def familiarity(scores: Tensor, showings: float) -> Tensor:
    """How many times as high good pictures would score if the network had not learned from them.

    Args:
        scores: N x K float64 >= 0, of N pictures in K regions of interest, of which none is 0 in all pictures. A score
            of 0, of a region that was cut away in a picture, says nothing.
        showings: of each pixel to the network, > 0; what is known by heart grows as their root.

    Returns:
        K float64 >= 1.
    """
    deviations = _FAMILIAR * math.sqrt(max(1.0, showings / FRESH))
    seen = np.where(scores > 0, scores, np.nan)
    return torch.from_numpy(np.exp(deviations * np.nanstd(np.log(seen), axis=0)))
