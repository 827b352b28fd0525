"""Near-duplicates: pictures so alike that they show one part twice.

A copy in the folder is no second witness. The threshold is set with pictures that are taken out of the memory; one
whose copy stays there finds itself, scores too low, and pulls the threshold below what new good parts score. And two
copies of a bad picture vouch for each other.

Parts of one kind all look alike, so a fixed distance or a hash would find copies everywhere. A pair counts where it is
much closer than the folder's pictures are to their nearest ones. Shots that are shifted by pixels are not found.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from sclvi.audit.robust import FALSE_SHARE, centre_and_spread, deviation_of
from sclvi.data.images import Images, in_batches

_SIDE = 64  # px; finer would see noise, coarser no defects
_SAME = 1e-5  # correlation distance; rounding gives as much to equal pictures
_LEAST_SPREAD = 0.05  # of logarithms


def first_copies(images: Images) -> NDArray[np.int64]:
    """For each picture, the number of the first one that shows the same; its own where there is none before it.

    Takes time with the square of the number of pictures, but 4096 products a pair: a second for a thousand.

    Args:
        images: N x C x H x W float, N >= 3.
    """
    pooled = [F.adaptive_avg_pool2d(batch.mean(1), _SIDE).flatten(1) for batch in in_batches(images)]
    small = torch.cat(pooled).double().numpy()
    small = small - small.mean(1, keepdims=True)
    unit = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-12)
    neighbours = NearestNeighbors(algorithm="brute").fit(unit)
    nearest = neighbours.kneighbors(n_neighbors=1)[0][:, 0]
    links = neighbours.radius_neighbors_graph(radius=near_limit(nearest))
    return _first_of_group(links)


def near_limit(nearest: NDArray[np.float64]) -> float:
    """The distance below which two pictures are one, from the N distances to the nearest other picture.

    Logarithms of these are taken as normal; among all N (N - 1) / 2 pairs one falls below with probability FALSE_SHARE.
    """
    median, spread = centre_and_spread(np.log(np.maximum(nearest, _SAME)), _LEAST_SPREAD)
    count = len(nearest)
    below = deviation_of(FALSE_SHARE / (count * (count - 1) / 2), count)
    return max(np.exp(median - below * spread).item(), _SAME)


def _first_of_group(links: csr_array) -> NDArray[np.int64]:
    """N x N links -> for each the first that it is linked with, over however many links."""
    groups = connected_components(links, directed=False)[1]
    firsts = np.unique(groups, return_index=True)[1]
    return np.asarray(firsts[groups], np.int64)
