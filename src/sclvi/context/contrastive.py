"""Contrastive task: a patch in one view must be told from all other patches by its code in another view."""

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.1


def contrastive_loss(first: Tensor, second: Tensor) -> Tensor:
    """InfoNCE over cosines (van den Oord et al. 2018): row i of `first` belongs to row i of `second`.

    N x D float each -> scalar.
    """
    cosines = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    return F.cross_entropy(cosines / TEMPERATURE, torch.arange(len(first), device=first.device))


def views_loss(codes: Tensor, patches: int, generator: torch.Generator) -> Tensor:
    """The contrastive loss over `patches` patches of each picture, all told from one another.

    2B x D x h x w float, the first views of all pictures before the second ones -> scalar.
    """
    batch = len(codes) // 2
    first, second = [], []
    for picture in range(batch):
        rows, columns = sample_positions(patches, codes.shape[2], codes.shape[3], 2, generator)
        first.append(codes[picture][:, rows, columns].T)
        second.append(codes[batch + picture][:, rows, columns].T)
    return contrastive_loss(torch.cat(first), torch.cat(second))


def sample_positions(
    count: int, height: int, width: int, stride: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`count` different (row, column) positions of a h x w map, `stride` apart at least, so that no two are twins."""
    rows, columns = -(-height // stride), -(-width // stride)
    cells = torch.randperm(rows * columns, generator=generator)[:count]
    return cells // columns * stride, cells % columns * stride
