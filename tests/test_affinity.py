import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sclvi.scoring.affinity import LAMBDA, affinity, fuse_patterns, patch_scores


def affinity_by_the_text(distances, limit=LAMBDA):
    """Eq. 4 term by term, for distances that are not 0."""
    gammas = [min(sum(distances) / distance, limit) for distance in distances]
    total = sum(math.exp(gamma) for gamma in gammas)
    return [math.exp(gamma) / total for gamma in gammas]


lists_of_distances = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12)


@given(lists_of_distances)
def test_affinity_is_eq_4(distances):
    weights = affinity(torch.tensor(distances, dtype=torch.float64))
    torch.testing.assert_close(
        weights, torch.tensor(affinity_by_the_text(distances), dtype=torch.float64), rtol=1e-9, atol=1e-12
    )


@given(lists_of_distances)
def test_nearer_items_never_weigh_less(distances):
    weights = affinity(torch.tensor(sorted(distances)))
    assert (weights.diff() <= 1e-6).all()


def test_affinity_by_hand():
    # d = 1, 3: gamma = 4 and 4/3, no clipping
    expected = 1 / (1 + math.exp(4 / 3 - 4))
    assert affinity(torch.tensor([1.0, 3.0]))[0].item() == pytest.approx(expected)


@pytest.mark.parametrize("distances", [[0.0, 0.0, 0.0], [0.0, 1.0], [1e-30, 1.0], [0.0]])
def test_distance_zero_is_safe(distances):
    weights = affinity(torch.tensor(distances))
    assert torch.isfinite(weights).all()
    assert weights.sum().item() == pytest.approx(1)
    assert weights[0] == weights.max()


def test_missing_items_weigh_nothing():
    weights = affinity(torch.tensor([1.0, 2.0, torch.inf]))
    assert weights[2] == 0
    torch.testing.assert_close(weights[:2], affinity(torch.tensor([1.0, 2.0])))


def test_identical_items_fuse_to_themselves():
    item = torch.randn(64)
    fused = fuse_patterns(affinity(torch.full((10,), 0.7)), item.expand(10, 64))
    torch.testing.assert_close(fused, item)


def test_fused_pattern_and_score_by_hand():
    weights, items = torch.tensor([[0.25, 0.75]]), torch.tensor([[[4.0, 0.0], [0.0, 4.0]]])
    fused = fuse_patterns(weights, items)
    assert fused.tolist() == [[1.0, 3.0]]
    assert patch_scores(torch.tensor([[4.0, 7.0]]), fused).tolist() == [5.0]  # 3-4-5
