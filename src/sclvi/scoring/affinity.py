"""Affinity-augmented fusion (section 3.3): a patch is compared with a blend of the memory items nearest to it."""

from typing import Literal

import torch
from torch import Tensor

Fusion = Literal["affinity", "mean", "nearest"]

LAMBDA = 20.0  # section 3.3: lambda is set to 20, [15, 30] is recommended
_SMALLEST = 1e-12  # stands in for distance 0: its gamma is clipped to lambda all the same


def affinity(distances: Tensor, limit: float = LAMBDA) -> Tensor:
    """Weight of each memory item, eq. 4: softmax of gamma_i = min(sum(d) / d_i, lambda).

    Args:
        distances: ... x N float >= 0, N >= 1; +inf marks a missing item (fewer than N were found) and weighs nothing.
        limit: lambda.

    Returns:
        ... x N float, each row sums to 1. Identical items and distances of 0 are allowed.
    """
    found = torch.isfinite(distances)
    safe = torch.where(found, distances, 0.0).clamp_min(_SMALLEST)
    total = torch.where(found, safe, 0.0).sum(-1, keepdim=True)
    gamma = (total / safe).clamp_max(limit)
    return torch.where(found, gamma, -torch.inf).softmax(-1)


def fusion_weights(distances: Tensor, fusion: Fusion, limit: float = LAMBDA) -> Tensor:
    """Weight of each memory item, nearest first: eq. 4, or one of the two ways it is compared with in Figure 3.

    `mean` weighs all found items alike; `nearest` (Patch-SVDD) gives the first all the weight; ... x N -> ... x N.
    """
    if fusion == "affinity":
        return affinity(distances, limit)
    if fusion == "mean":
        found = torch.isfinite(distances).to(distances.dtype)
        return found / found.sum(-1, keepdim=True)
    weights = torch.zeros_like(distances)
    weights[..., 0] = 1
    return weights


def fuse_patterns(weights: Tensor, items: Tensor) -> Tensor:
    """The fused pattern, eq. 5: sum of beta_i p_i; weights ... x N, items ... x N x D -> ... x D."""
    return (weights[..., None] * items).sum(-2)


def patch_scores(codes: Tensor, fused: Tensor) -> Tensor:
    """Score of each patch, eq. 6: Euclidean distance to its fused pattern; ... x D each -> ... float >= 0."""
    return (codes - fused).norm(dim=-1)
