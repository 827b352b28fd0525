"""The losses of context learning, eq. 1 to 3."""

import torch.nn.functional as F
from torch import Tensor

ALPHA = 1e-4  # section 4.3


def context_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """L_SSL, eq. 1: cross entropy of the predicted relative position; logits N x 12 float, classes N -> scalar."""
    return F.cross_entropy(logits, classes)


def patch_svdd_loss(codes: Tensor, moved: Tensor) -> Tensor:
    """L_pSVDD, eq. 2: distance between the codes of a patch and of the same patch moved by a few pixels.

    N x D float each -> scalar. The paper sums over the N patches; so does this.
    """
    return (codes - moved).norm(dim=1).sum()


def total_loss(context: Tensor, patch_svdd: Tensor, alpha: float = ALPHA) -> Tensor:
    """L = L_SSL + alpha L_pSVDD, eq. 3."""
    return context + alpha * patch_svdd
