"""Exemplars beside the memory, and what flagged ones do to scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from sclvi.memory.bank import MemoryBank
from sclvi.memory.exemplars import Exemplars, joined, nearest_of_both, without
from sclvi.memory.scale import ScaleMemory
from sclvi.scoring.flagged import MOST, raise_flagged


def some(count, first, seed, length=8):
    generator = torch.Generator().manual_seed(seed)
    return Exemplars(torch.randn(count, length, generator=generator), torch.arange(first, first + count))


def test_search_is_exact():
    exemplars, queries = some(50, 1000, 0), torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    near = exemplars.search(queries, 5)
    distances, items = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(exemplars.codes).kneighbors(queries)
    np.testing.assert_allclose(near.distances, distances, rtol=1e-4)
    np.testing.assert_array_equal(near.origins, 1000 + items)
    np.testing.assert_array_equal(near.codes, exemplars.codes[items])
    assert exemplars.search(queries, 80).distances.shape == (20, 50)


def test_nearest_of_two_sets_is_that_of_all_together():
    first, second = some(30, 0, 0), some(3, 1000, 1)
    queries = torch.randn(20, 8, generator=torch.Generator().manual_seed(2))
    merged = nearest_of_both(first.search(queries, 5), second.search(queries, 5))
    together = joined(first, second).search(queries, 5)
    np.testing.assert_allclose(merged.distances, together.distances, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(merged.origins, together.origins)
    np.testing.assert_array_equal(merged.codes, together.codes)
    assert (merged.origins >= 1000).any()


def test_what_is_taken_out_leaves_the_rest_as_it_was():
    first, second = some(4, 10, 0), some(3, 20, 1)
    both = joined(first, second)
    left = without(both, 10, 14)
    assert torch.equal(left.codes, second.codes) and torch.equal(left.origins, second.origins)
    assert without(left, 20, 23) is None and without(None, 0, 99) is None
    assert joined(None, first) is first and joined(first, None) is first


def test_places_decide_among_the_taught_as_they_do_in_the_memory():
    """A memory that holds the taught codes from the start finds what one finds beside which they lie."""
    generator = torch.Generator().manual_seed(3)
    grid, stride, nearness = (6, 5), 4, 0.05
    codes = torch.randn(3, *grid, 8, generator=generator)
    plain = ScaleMemory(32, stride, None, MemoryBank.build(torch.zeros(1, 16), torch.tensor([0]), 0), grid, nearness)
    rows = plain.placed(codes, stride).half().float()  # as the memory keeps them
    origins = torch.arange(len(rows))
    known = 2 * grid[0] * grid[1]
    apart = ScaleMemory(32, stride, None, MemoryBank.build(rows[:known], origins[:known], 0), grid, nearness)
    together = ScaleMemory(32, stride, None, MemoryBank.build(rows, origins, 0), grid, nearness)
    encoded = torch.randn(1, *grid, 8, generator=generator).permute(0, 3, 1, 2)
    near = apart.nearest_with(Exemplars(rows[known:], origins[known:]), apart.rows_of(encoded, stride), 4)
    _, expected = together.search(encoded, stride, 4, None)
    np.testing.assert_array_equal(near.origins, expected.origins)
    np.testing.assert_allclose(near.distances, expected.distances, rtol=1e-4)


@pytest.mark.parametrize(
    ("good", "flagged", "factor"),
    [
        (1.0, 2.0, 1.0),  # nearer to good
        (1.0, 1.0, 1.0),  # as near to either
        (1.0, 0.9, 1.0),  # hardly nearer to what was flagged
        (1.0, 0.5, 1.6),
        (1.0, 0.2, 4.0),
        (1.0, 0.0, MOST),
        (0.0, 0.0, 1.0),  # good and flagged: good
        (float("inf"), 1.0, MOST),
    ],
)
def test_a_score_is_raised_by_how_much_nearer_a_flagged_patch_is(good, flagged, factor):
    (raised,) = raise_flagged(torch.tensor([3.0]), torch.tensor([good]), torch.tensor([flagged]))
    assert raised.item() == pytest.approx(3 * factor)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10), st.floats(1.01, 5))
def test_nearer_to_what_was_flagged_never_scores_less(score, good, flagged, times):
    values = torch.tensor([score]), torch.tensor([good])
    further = raise_flagged(*values, torch.tensor([flagged * times]))
    nearer = raise_flagged(*values, torch.tensor([flagged]))
    assert score * 0.999 <= further <= nearer <= score * MOST * 1.001
