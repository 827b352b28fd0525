"""Pairs of extremely similar patches for the patch-SVDD loss (eq. 2)."""

import torch

from sclvi.encoders.places import Frame, Places, draw_starts


def draw_moved_pairs(count: int, frame: Frame, generator: torch.Generator) -> tuple[Places, Places]:
    """`count` patches anywhere in the first views, and each of them moved by some pixels, never by (0, 0).

    Where patches can be cut anywhere, the move is up to patch / 32 px along each axis, in the same view (the authors'
    sampling). Where they lie on a coarser map, the second patch is read from the second view, which shows the picture
    moved by less than the map's step (see `two_views`).
    """
    pictures = torch.arange(count) % (frame.view_count // 2)
    tops, lefts = (
        draw_starts(torch.zeros(count, dtype=torch.long), length, frame, generator)
        for length in (frame.height, frame.width)
    )
    first = Places(pictures, tops, lefts)
    if frame.placement > 1:
        return first, Places(pictures + frame.view_count // 2, tops, lefts)
    reach = frame.patch // 32
    width = 2 * reach + 1
    moves = torch.randint(width**2 - 1, (count,), generator=generator)
    moves = moves + (moves >= width**2 // 2)  # the middle one is (0, 0)
    return first, Places(
        pictures,
        _inside(tops, moves // width - reach, frame.height - frame.patch),
        _inside(lefts, moves % width - reach, frame.width - frame.patch),
    )


def _inside(start: torch.Tensor, move: torch.Tensor, last: int) -> torch.Tensor:
    """start + move, or start - move where that lies outside 0..last, or as far as it goes in a view without room."""
    moved = start + move
    return torch.where((moved < 0) | (moved > last), start - move, moved).clamp(0, last)
