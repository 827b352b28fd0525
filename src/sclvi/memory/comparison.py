"""Every query compared with every item, in torch: the search that suits a GPU."""

import torch
from torch import Tensor

_AT_ONCE = 2**28  # distances that are held at once


def nearest_of_all(queries: Tensor, codes: Tensor, eta: int, hidden: range) -> tuple[Tensor, Tensor]:
    """The eta nearest codes of each query, nearest first.

    Args:
        queries: Q x D float32, on any device.
        codes: N x D float, on the device that compares.
        eta: how many.
        hidden: items that are not looked at.

    Returns:
        Squared distances, Q x eta float32, and items, Q x eta int64, on the device of the codes; +inf and -1 where
        there are too few.
    """
    queries = queries.to(codes.device)
    best = torch.full((len(queries), eta), torch.inf, device=codes.device)
    items = torch.full((len(queries), eta), -1, device=codes.device)
    start = 0
    for chunk in codes.split(max(1, _AT_ONCE // max(1, len(queries)))):
        wide = chunk.float()
        apart = torch.addmm(wide.square().sum(1), queries, wide.T, alpha=-2)  # but for the square of the query
        apart[:, max(0, hidden.start - start) : max(0, hidden.stop - start)] = torch.inf
        near, places = apart.topk(min(eta, len(chunk)), largest=False)
        both, which = torch.cat([best, near], 1), torch.cat([items, places + start], 1)
        best, order = both.topk(eta, largest=False)
        items = which.gather(1, order)
        start += len(chunk)
    items[best.isinf()] = -1
    # The difference of large squares is rough: distances are taken again from the codes that were found.
    squared = (queries[:, None] - codes[items.clamp_min(0)].float()).square().sum(2)
    squared[items < 0] = torch.inf
    squared, order = squared.sort(1)
    return squared, items.gather(1, order)
