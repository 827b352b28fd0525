"""Where patches lie: the one way in which pretexts ask an encoder for codes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frame:
    """Where patches of one size can be taken from in one training step."""

    view_count: int  # 2 B: the first views of all B pictures, then their second views
    height: int  # px of a view
    width: int
    patch: int  # px
    placement: int  # px: patches lie at multiples of this (4 on the dense encoder's map, 1 where patches are cut)


@dataclass(frozen=True)
class Places:
    """N patches on the views of one step; all fields are N int64."""

    views: Tensor  # 0..2B-1
    tops: Tensor  # px, 0 <= top <= height - patch, a multiple of the frame's placement; lefts likewise
    lefts: Tensor


CodeReader = Callable[[Places], Tensor]  # N places -> codes N x D float, with gradient


def draw_starts(extents: Tensor, length: int, frame: Frame, generator: torch.Generator) -> Tensor:
    """Where along one axis groups of patches start, uniform over where they fit.

    Args:
        extents: N int64, px from the start of a group's first patch to the start of its last one, multiples of the
            placement, <= length - patch.
        length: of the view along the axis, px.

    Returns:
        N int64 px, multiples of the placement.
    """
    room = (length - frame.patch - extents) // frame.placement + 1
    return (torch.rand(len(extents), generator=generator) * room).long() * frame.placement


def largest_step(steps: int, length: int, frame: Frame) -> int:
    """The largest px between neighbouring patches such that `steps` such steps fit along an axis of `length` px."""
    return (length - frame.patch) // steps // frame.placement * frame.placement
