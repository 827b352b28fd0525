"""Nearness: where good parts show the same at a place, a patch is compared with good patches of about that place.

The place of a patch is two more numbers of its code, so the same search finds what is alike and near. A thread that
looks like the good thread of another place is then no longer good.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sclvi.memory.bank import Neighbours

PLACES = 8  # numbers: row, column, and zeros, as FAISS is several times slower at lengths that eight does not divide


def with_places(codes: Tensor, stride: int, weight: float) -> Tensor:
    """Append the place of each patch.

    Args:
        codes: B x h x w x D float.
        stride: px between the patches.
        weight: what one px of distance counts, in units of the codes.

    Returns:
        B x h x w x (D + PLACES) float.
    """
    batch, height, width, _ = codes.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = (weight * stride) * torch.stack([rows, columns], dim=-1).to(codes)
    places = F.pad(places, (0, PLACES - 2))
    return torch.cat([codes, places.expand(batch, -1, -1, -1)], dim=-1)


def without_places(queries: Tensor, found: Neighbours) -> Neighbours:
    """What was found for Q x (D + PLACES) float, of the codes alone: theirs, and the distances between them."""
    codes = found.codes[..., :-PLACES]
    distances = (queries[:, None, :-PLACES] - codes).norm(dim=-1)
    return Neighbours(torch.where(found.origins >= 0, distances, torch.inf), codes, found.origins)
