import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from sclvi.decision.defects import find_regions, scale_outline
from sclvi.decision.outline import trace_outline


def middles_inside(polygon, shape):
    """h x w bool: the pixels whose middle lies inside, by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def turns(a, b, c):
    return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def meets_itself(polygon):
    """Whether two edges that are not neighbours cross or touch, each pair looked at."""
    edges = list(zip(polygon, np.roll(polygon, -1, axis=0), strict=True))
    for i, (a, b) in enumerate(edges):
        for c, d in edges[i + 2 : len(edges) - (i == 0)]:
            apart = (np.maximum(a, b) < np.minimum(c, d)).any() or (np.maximum(c, d) < np.minimum(a, b)).any()
            if not apart and turns(a, b, c) * turns(a, b, d) <= 0 and turns(c, d, a) * turns(c, d, b) <= 0:
                return True
    return False


def some_region(seed):
    """A region of noise, rough or smooth, touching all sides of its mask."""
    rng = np.random.default_rng(seed)
    noise = rng.random((14, 14))
    above = noise < rng.choice([0.3, 0.45, 0.6]) if seed % 2 else ndimage.gaussian_filter(noise, 1.5) > 0.5
    labels, _ = ndimage.label(above, np.ones((3, 3)))
    largest = 1 + int(np.bincount(labels.ravel(), minlength=2)[1:].argmax())
    return labels[ndimage.find_objects(labels)[largest - 1]] == largest


@given(st.integers(0, 100_000))
def test_exactly_the_pixels_of_the_region_and_its_holes_lie_inside(seed):
    mask = some_region(seed)
    polygon = trace_outline(mask)
    filled = ndimage.binary_fill_holes(mask)
    np.testing.assert_array_equal(middles_inside(polygon, mask.shape), filled)
    assert polygon.min(0).tolist() == [0, 0] and polygon.max(0).tolist() == [mask.shape[1], mask.shape[0]]
    assert not meets_itself(polygon)


def test_by_hand():
    assert {tuple(corner) for corner in trace_outline(np.ones((1, 1), bool))} == {(0, 0), (1, 0), (1, 1), (0, 1)}
    assert {tuple(corner) for corner in trace_outline(np.ones((2, 5), bool))} == {(0, 0), (5, 0), (5, 2), (0, 2)}
    touching = trace_outline(np.eye(2, dtype=bool))  # by a corner: the waist stays open
    assert middles_inside(touching, (2, 2)).tolist() == [[True, False], [False, True]]
    assert len(touching) == 8


def test_a_slanted_edge_does_not_keep_its_steps():
    assert len(trace_outline(np.tri(40, dtype=bool))) <= 2 * 40  # four points a step as traced


def test_outline_is_in_pixels_of_the_original():
    scores = np.zeros((20, 30), np.float32)
    scores[2:5, 3:9] = 2
    (region,) = find_regions(scores, outline=1, threshold=1.5)
    assert set(scale_outline(region, (20, 30), (200, 90))) == {(9, 20), (27, 20), (27, 50), (9, 50)}


def test_two_regions_in_one_mask_are_refused():
    with pytest.raises(ValueError, match="unpack"):
        trace_outline(np.array([[True, False, True]]))
