"""Exemplars: codes that a person pointed at, so few that each is looked at."""

from dataclasses import dataclass
from typing import Any

import faiss as _faiss
import torch
from torch import Tensor

from sclvi.memory.bank import Neighbours

faiss: Any = _faiss  # its stubs describe the C++ functions, not the Python ones laid over them


@dataclass(frozen=True)
class Exemplars:
    """M codes in the order they were pointed at, searched exactly; M >= 1."""

    codes: Tensor  # M x D float32
    origins: Tensor  # M int64, increasing by picture, as of `MemoryBank`

    def search(self, queries: Tensor, eta: int) -> Neighbours:
        """The eta nearest of all; Q x D float32 -> as `MemoryBank.search`, but at most M columns."""
        squared, items = faiss.knn(queries.numpy(), self.codes.numpy(), min(eta, len(self.codes)))
        found = torch.from_numpy(items)
        return Neighbours(torch.from_numpy(squared).clamp_min(0).sqrt(), self.codes[found], self.origins[found])


@dataclass(frozen=True)
class Taught:
    """Exemplars of what is good, and which patches need them."""

    exemplars: Exemplars
    above: float  # score; patches (or responses) that score no more are as usual and are not looked up

    @classmethod
    def of(cls, exemplars: Exemplars | None, above: float) -> "Taught | None":
        return None if exemplars is None else cls(exemplars, above)


def exemplars_of(taught: Taught | None) -> Exemplars | None:
    return None if taught is None else taught.exemplars


def joined(first: Exemplars | None, second: Exemplars | None) -> Exemplars | None:
    """Those of both, in this order; None: there are none."""
    if first is None:
        return second
    if second is None:
        return first
    return Exemplars(torch.cat([first.codes, second.codes]), torch.cat([first.origins, second.origins]))


def without(exemplars: Exemplars | None, first: int, stop: int) -> Exemplars | None:
    """Those whose origin is not in [first, stop); None: none is left."""
    if exemplars is None:
        return None
    kept = (exemplars.origins < first) | (exemplars.origins >= stop)
    return Exemplars(exemplars.codes[kept], exemplars.origins[kept]) if kept.any() else None


def nearest_of_both(first: Neighbours, second: Neighbours) -> Neighbours:
    """For each query the nearest of two sets of neighbours, nearest first; as many as the first set has."""
    distances = torch.cat([first.distances, second.distances], dim=1)
    distances, order = distances.sort(dim=1, stable=True)
    order = order[:, : first.distances.shape[1]]
    codes = torch.cat([first.codes, second.codes], dim=1)
    chosen = codes.gather(1, order[..., None].expand(-1, -1, codes.shape[2]))
    origins = torch.cat([first.origins, second.origins], dim=1).gather(1, order)
    return Neighbours(distances[:, : order.shape[1]], chosen, origins)
