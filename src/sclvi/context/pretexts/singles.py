"""Single patches: what pretexts that change whole views ask about."""

import torch
from torch import Tensor

from sclvi.context.places import Frame, Places, draw_starts
from sclvi.context.pretexts.base import Questions


def draw_single_patches(count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
    """Draw `count` patches, anywhere on the views in turn; the answer is what was done to the patch's view.

    Args:
        changes: per view, int64 classes.
    """
    views = torch.arange(count) % frame.views
    extents = torch.zeros(count, dtype=torch.long)
    tops = draw_starts(extents, frame.height, frame, generator)
    lefts = draw_starts(extents, frame.width, frame, generator)
    return Questions((Places(views, tops, lefts),), changes[views])
