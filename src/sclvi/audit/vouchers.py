"""Vouching: a patch is usual when patches of several other pictures are like it, not when one other picture's are."""

import torch
from torch import Tensor


def nth_picture_distance(distances: Tensor, pictures: Tensor, nth: int) -> Tensor:
    """Distance to the nearest patch of the nth nearest picture.

    Up to nth - 1 pictures with the same defect cannot vouch for each other.

    Args:
        distances: Q x K float, ascending; +inf marks a missing item.
        pictures: Q x K int64, which picture each item is of.
        nth: >= 1.

    Returns:
        Q float; where fewer than nth pictures are among the K, the distance of the last item that is there.
    """
    earlier = torch.ones(pictures.shape[1], pictures.shape[1], dtype=torch.bool).tril(-1)
    is_new = ~((pictures[:, :, None] == pictures[:, None, :]) & earlier).any(-1)
    there = torch.isfinite(distances)
    enough = (is_new & there).cumsum(1) >= nth  # Q x K
    last = there.sum(1) - 1
    place = torch.where(enough.any(1), enough.int().argmax(1), last)
    return distances.gather(1, place[:, None])[:, 0]
