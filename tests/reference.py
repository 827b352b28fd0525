"""The paper, slowly: every equation of section 3 as plain loops, to be read next to it.

No fast path and no code of the package; float64 throughout, except for the codes, which an encoder gives in float32 for
one patch at a time. Where the text is silent, the docstring says what was chosen.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

# Section 3.1 -------------------------------------------------------------------------------------

# Class y -> (rows, columns) from the first patch to the second, in grid steps. The paper draws the twelve positions but
# does not number them; this is the order of the authors' code (official-code.md).
RELATIVE_POSITIONS = (
    (0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2),
)  # fmt: skip


def absolute_pairs() -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Section 3.1: the 36 pairs of cells of the 3 x 3 grid, by the relative position that they share.

    Cells are numbered 0 to 8, row by row: only so do the text's "1 and 3, 2 and 4, 4 and 6, and 5 and 7" share one.
    """
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for first, second in combinations(range(9), 2):
        relative = (second // 3 - first // 3, second % 3 - first % 3)
        groups.setdefault(relative, []).append((first, second))
    return groups


def in_region(y: int, first: tuple[int, int], second: tuple[int, int], patch: int) -> bool:
    """Section 3.1: whether two patches, by their (top, left) in px, lie in relative position y.

    Along each axis the second lies d (3K/4 + r) px after the first: d the grid steps of class y, K the patch, r the
    dither, 0 to K/4 - 1. The text gives the dither (0 to 16 px), the authors' code the formula (official-code.md).
    """
    for axis in (0, 1):
        allowed = [RELATIVE_POSITIONS[y][axis] * (3 * patch // 4 + r) for r in range(patch // 4)]
        if second[axis] - first[axis] not in allowed:
            return False
    return True


def context_loss(logits: Sequence[Sequence[float]], classes: Sequence[int]) -> float:
    """Eq. 1: cross entropy of the predicted relative positions, from logits; the mean over the pairs (text silent)."""
    losses = []
    for pair, y in zip(logits, classes, strict=True):
        probability = math.exp(pair[y]) / sum(math.exp(logit) for logit in pair)
        losses.append(-math.log(probability))
    return sum(losses) / len(losses)


# Section 3.2 -------------------------------------------------------------------------------------

Code = Sequence[float]


def patch_svdd_loss(codes: Sequence[Code], moved: Sequence[Code]) -> float:
    """Eq. 2: the distances between the codes of patches and of the same patches moved, summed."""
    return sum(math.dist(code, other) for code, other in zip(codes, moved, strict=True))


def total_loss(context: float, patch_svdd: float, alpha: float = 1e-4) -> float:
    """Eq. 3; alpha from section 4.3."""
    return context + alpha * patch_svdd


# Section 3.3 -------------------------------------------------------------------------------------

Encode = Callable[[np.ndarray], np.ndarray]  # one patch C x K x K -> its code, D


@dataclass(frozen=True)
class Scale:
    """Patches of one size and what encodes them."""

    patch: int  # K, px
    stride: int  # px between patches
    encode: Encode


def places(size: tuple[int, int], patch: int, stride: int) -> list[tuple[int, int]]:
    """(top, left) in px of all patches of a picture of size (H, W), row by row."""
    tops, lefts = (range(0, length - patch + 1, stride) for length in size)
    return [(top, left) for top in tops for left in lefts]


def patch_codes(image: np.ndarray, scale: Scale) -> list[np.ndarray]:
    """E(p) of every patch p of a C x H x W picture, each cut out and encoded by itself."""
    codes = []
    for top, left in places(image.shape[1:], scale.patch, scale.stride):
        codes.append(scale.encode(image[:, top : top + scale.patch, left : left + scale.patch]))
    return codes


def memory_items(images: Sequence[np.ndarray], scale: Scale) -> list[np.ndarray]:
    """Section 3.3: the memory item, the codes of all patches of all good pictures, picture by picture."""
    return [code for image in images for code in patch_codes(image, scale)]


def nearest(code: Code, memory: Sequence[Code], count: int) -> tuple[list[float], list[Code]]:
    """Section 3.3: the N normal patterns nearest to a code, nearest first, and their distances d_i = |p_i - p|."""
    distances = [math.dist(item, code) for item in memory]
    order = sorted(range(len(memory)), key=distances.__getitem__)[:count]
    return [distances[i] for i in order], [memory[i] for i in order]


def affinity(distances: Sequence[float], limit: float = 20.0) -> list[float]:
    """Eq. 4: beta_i; `limit` is lambda. At d_i = 0 the ratio is infinite, so gamma_i is lambda."""
    gammas = [min(sum(distances) / d, limit) if d > 0 else limit for d in distances]
    return [math.exp(gamma) / sum(math.exp(other) for other in gammas) for gamma in gammas]


def fuse(weights: Sequence[float], items: Sequence[Code]) -> list[float]:
    """Eq. 5: p_fused."""
    return [sum(beta * item[k] for beta, item in zip(weights, items, strict=True)) for k in range(len(items[0]))]


def score(code: Code, memory: Sequence[Code], count: int, limit: float = 20.0) -> float:
    """Eq. 6: the distance of a patch's code to its fused pattern (which is a code already: E is not applied again)."""
    distances, items = nearest(code, memory, count)
    return math.dist(code, fuse(affinity(distances, limit), items))


def pixel_map(scores: Sequence[float], size: tuple[int, int], patch: int, stride: int) -> np.ndarray:
    """Eq. 7: each pixel's mean over the patches that it belongs to, H x W; NaN where it belongs to none (text silent).

    `scores` are in the order of `places`.
    """
    total, count = np.zeros(size), np.zeros(size)
    for (top, left), value in zip(places(size, patch, stride), scores, strict=True):
        for y in range(top, top + patch):
            for x in range(left, left + patch):
                total[y, x] += value
                count[y, x] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def anomaly_map(
    image: np.ndarray, memories: Sequence[tuple[Scale, Sequence[Code]]], count: int = 10, limit: float = 20.0
) -> np.ndarray:
    """Figure 1: the map of a picture, the product of the maps of all scales (authors' code; the text says "fused")."""
    size = image.shape[1:]
    product = np.ones(size)
    for scale, memory in memories:
        scores = [score(code, memory, count, limit) for code in patch_codes(image, scale)]
        product *= pixel_map(scores, size, scale.patch, scale.stride)
    return product


def image_score(pixels: np.ndarray) -> float:
    """The largest value of a map (authors' code; the text is silent), over the pixels that belong to a patch."""
    return float(np.nanmax(pixels))
