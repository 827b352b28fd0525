"""How far a response lies from what is usual at its place."""

import torch
from torch import Tensor


def mahalanobis(responses: Tensor, means: Tensor, whiteners: Tensor) -> Tensor:
    """Mahalanobis distance of each response to the Gaussian of its place, over the root of the number of channels.

    A good response has a mean square of 1, whatever the number of channels.

    Args:
        responses: B x h x w x K float.
        means: h x w x K float, or B x h x w x K: what each response is compared with.
        whiteners: h x w x K x K float, W with W W^T the inverse covariance.

    Returns:
        B x h x w float >= 0.
    """
    white = torch.einsum("bhwk,hwkl->bhwl", responses - means, whiteners)
    return white.square().mean(-1).sqrt()
