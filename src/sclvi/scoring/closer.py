"""Where to look closer: some patches are searched first, those between them only where these look worst.

What looks as usual everywhere around is not looked up: what its neighbours score stands for it. Neighbouring patches
show much the same, as a patch is several times as wide as it is far from the next.
"""

import torch
from torch import Tensor


def first_patches(grid: tuple[int, int, int]) -> Tensor:
    """Every second patch of every second row; (B, h, w) -> B x h x w bool."""
    first = torch.zeros(grid, dtype=torch.bool)
    first[:, ::2, ::2] = True
    return first


def estimated(values: Tensor) -> Tensor:
    """Values of the first patches, drawn on: a patch between two or four gets their mean, one past the last its value.

    Args:
        values: B x h x w float; only those of the first patches are looked at.

    Returns:
        B x h x w float; those of the first patches are theirs.
    """
    return _drawn_on(_drawn_on(values).mT).mT


def _drawn_on(values: Tensor) -> Tensor:
    """The same along the second axis alone, B x h x w float; every second row is known."""
    known = values[:, ::2]
    following = torch.cat([known[:, 1:], known[:, -1:]], 1)
    pairs = torch.stack([known, (known + following) / 2], 2)
    return pairs.flatten(1, 2)[:, : values.shape[1]]


def worth_a_look(estimates: Tensor, share: float) -> Tensor:
    """Of the patches that are not first, the share of each picture with the highest estimates.

    B x h x w float -> B x h x w bool.
    """
    between = ~first_patches((1, estimates.shape[1], estimates.shape[2]))[0]
    wanted = torch.zeros_like(estimates, dtype=torch.bool)
    ranked = estimates[:, between]
    chosen = ranked.topk(round(share * ranked.shape[1]), 1).indices
    wanted[:, between] = torch.zeros_like(ranked, dtype=torch.bool).scatter(1, chosen, True)
    return wanted


def nearest_known(place: tuple[float, float], known: Tensor, patch: int, stride: int) -> tuple[int, int] | None:
    """Row and column of the known patch whose middle is nearest to a place.

    Args:
        place: row and column, px.
        known: h x w bool.
        patch, stride: px, of patches and between them.

    Returns:
        None: no patch is known.
    """
    at = known.nonzero()
    if not len(at):
        return None
    apart = stride * at + patch / 2 - torch.tensor(place)
    row, column = at[apart.square().sum(1).argmin()].tolist()
    return row, column
