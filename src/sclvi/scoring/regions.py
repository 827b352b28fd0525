"""Maps and scores of regions of interest."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def region_scores(maps: Tensor, labels: NDArray[np.uint8], count: int) -> Tensor:
    """The maximum of each map in each region.

    Args:
        maps: B x H x W float.
        labels: H x W, the number of the region that a pixel belongs to, from 1; 0 is outside.
        count: K, of regions; each has a pixel.

    Returns:
        B x K float.
    """
    return torch.stack([maps[:, torch.from_numpy(labels == 1 + number)].amax(1) for number in range(count)], dim=1)


def focus(maps: Tensor, labels: NDArray[np.uint8], gains: Sequence[float]) -> Tensor:
    """Maps that are 0 outside and stretched by the gain of each region, so that one threshold holds in all.

    Args:
        maps: B x H x W float.
        labels: as of `region_scores`.
        gains: of each region; threshold of the first over its own.
    """
    gain = torch.from_numpy(np.array([0.0, *gains])[labels])
    # in double precision: what equals the threshold of its region then equals the common one
    return torch.where(gain == 0, 0.0, (maps.double() * gain).float())
