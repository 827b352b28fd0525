"""An even choice of pictures."""

import torch
from torch import Tensor


def evenly(count: int, most: int) -> Tensor:
    """At most `most` indices below `count`, evenly spread; int64."""
    return torch.linspace(0, count - 1, min(count, most)).long()
