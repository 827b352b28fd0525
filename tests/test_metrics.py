"""Metrics against scikit-learn, and AUPRO against a slow loop over every threshold and region."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sclvi.evaluation.metrics import (
    aupro,
    evaluate_scores,
    f1_max,
    image_auroc,
    image_average_precision,
    pixel_auroc,
    pixel_average_precision,
)

SHAPE = (3, 5, 6)
some_masks = arrays(bool, SHAPE)
tied_maps = arrays(np.float32, SHAPE, elements=st.integers(-2, 2).map(float))
free_maps = arrays(np.float32, SHAPE, elements=st.floats(-1e6, 1e6, width=32))


def slow_aupro(masks, maps, limit):
    """Every distinct threshold, every region, one by one; then thin trapezia up to the limit."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        shares = []
        for mask, scores in zip(masks, maps, strict=True):
            regions, count = ndimage.label(mask, np.ones((3, 3)))
            shares += [float((scores[regions == region] >= threshold).mean()) for region in range(1, count + 1)]
        points.append((float((maps[~masks] >= threshold).mean()), sum(shares) / len(shares)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


def sample(rng, levels):
    """Masks with a few regions and maps that know a little about them; fewer `levels`, more ties; None: no ties."""
    noise = ndimage.gaussian_filter(rng.standard_normal((3, 16, 14)), (0, 2, 2))
    masks = noise > 0.25
    maps = (noise + rng.normal(0, 0.2, noise.shape)).astype(np.float32)
    if levels:
        maps = np.round(maps * levels).astype(np.float32)
    return masks, maps


@pytest.mark.parametrize("levels", [None, 20, 3, 1])
@pytest.mark.parametrize("seed", range(3))
def test_pixel_metrics_equal_the_references(seed, levels):
    masks, maps = sample(np.random.default_rng(seed), levels)
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    expected = average_precision_score(masks.ravel(), maps.ravel())
    assert pixel_average_precision(masks, maps) == pytest.approx(expected, abs=1e-12)
    for limit in (0.05, 0.3, 1):
        assert aupro(masks, maps, limit) == pytest.approx(slow_aupro(masks, maps, limit), abs=1e-12)


@settings(max_examples=150)
@given(some_masks, tied_maps | free_maps, st.floats(0.01, 1))
def test_pixel_metrics_on_any_small_case(masks, maps, limit):
    if masks.all() or not masks.any():
        assert aupro(masks, maps) is pixel_auroc(masks, maps) is pixel_average_precision(masks, maps) is None
        return
    assert aupro(masks, maps, limit) == pytest.approx(slow_aupro(masks, maps, limit), abs=1e-9)
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    expected = average_precision_score(masks.ravel(), maps.ravel())
    assert pixel_average_precision(masks, maps) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_image_metrics_equal_scikit_learn(rows):
    labels, scores = np.array([label for label, _ in rows]), np.array([score for _, score in rows], float)
    if labels.all() or not labels.any():
        assert image_auroc(labels, scores) is image_average_precision(labels, scores) is f1_max(labels, scores) is None
        return
    assert image_auroc(labels, scores) == roc_auc_score(labels, scores)
    assert image_average_precision(labels, scores) == average_precision_score(labels, scores)
    best = max(f1_score(labels, scores >= threshold) for threshold in scores)
    assert f1_max(labels, scores) == pytest.approx(best, abs=1e-12)


def test_aupro_by_hand():
    # 13 good pixels, two regions: one pixel, and two that touch only by a corner.
    masks = np.array([[[1, 0, 0, 0], [0, 0, 0, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]]], bool)
    maps = np.zeros((2, 2, 4), np.float32)
    maps[0, 0, 0], maps[1, 0, 0], maps[1, 1, 1] = 9, 7, 5
    maps[0, 1, 3], maps[1, 0, 2] = 8, 6  # good pixels that score in between
    # Overlap 1/2 up to rate 1/13, 3/4 up to 2/13, then 1: with the limit at 3/13 the mean is 3/4.
    assert aupro(masks, maps, 3 / 13) == pytest.approx((1 / 2 + 3 / 4 + 1) / 3)
    assert aupro(masks, maps, 1) == pytest.approx((1 / 2 + 3 / 4 + 11) / 13)
    assert pixel_auroc(masks, maps) == pytest.approx((13 + 12 + 11) / 39)


def test_a_constant_map_is_the_diagonal():
    masks = np.zeros((1, 4, 4), bool)
    masks[0, :2] = True
    assert aupro(masks, np.zeros((1, 4, 4), np.float32)) == pytest.approx(0.15)
    assert pixel_auroc(masks, np.zeros((1, 4, 4), np.float32)) == 0.5


def test_perfect_is_one_and_reversed_is_zero():
    masks, _ = sample(np.random.default_rng(0), None)
    labels = np.array([True, False, True])
    assert list(evaluate_scores(labels, labels * 2.0, masks, masks.astype(np.float32)).values()) == pytest.approx(
        [1] * 6
    )
    assert pixel_auroc(masks, -masks.astype(np.float32)) == 0
    assert aupro(masks, -masks.astype(np.float32)) == 0


@pytest.mark.parametrize("levels", [None, 3])
def test_only_the_order_of_the_scores_counts(levels):
    masks, maps = sample(np.random.default_rng(5), levels)
    labels, scores = masks[:, 8, 7], maps[:, 8, 7]
    labels[:2] = True, False
    expected = evaluate_scores(labels, scores, masks, maps)
    _, ranks = np.unique(maps, return_inverse=True)
    assert evaluate_scores(labels, np.exp(scores), masks, (ranks.reshape(maps.shape) * 3 - 7).astype(np.float32)) == (
        pytest.approx(expected, abs=1e-12)
    )


def test_the_value_holds_the_single_metrics_and_none_without_masks():
    masks, maps = sample(np.random.default_rng(1), None)
    labels, scores = [0, 1, 1, 0], [0.1, 0.4, 0.2, 0.3]
    assert evaluate_scores(labels, scores, masks, maps) == {
        "image_auroc": image_auroc(labels, scores),
        "image_ap": image_average_precision(labels, scores),
        "image_f1_max": f1_max(labels, scores),
        "pixel_auroc": pixel_auroc(masks, maps),
        "aupro": aupro(masks, maps),
        "pixel_ap": pixel_average_precision(masks, maps),
    }
    without = evaluate_scores(labels, scores, None, maps)
    assert without["image_auroc"] == 0.75
    assert without["pixel_auroc"] is without["aupro"] is without["pixel_ap"] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad):
    masks, maps = np.eye(3, dtype=bool)[None], np.zeros((1, 3, 3), np.float32)
    maps[0, 0, 0] = bad
    for metric in (pixel_auroc, pixel_average_precision, aupro):
        with pytest.raises(ValueError, match="NaN"):
            metric(masks, maps)
    for metric in (image_auroc, image_average_precision, f1_max):
        with pytest.raises(ValueError, match="NaN"):
            metric([True, False], [bad, 0.0])


def test_shapes_and_limits_are_checked():
    with pytest.raises(ValueError, match="shape"):
        image_auroc([True, False], [1.0])
    with pytest.raises(ValueError, match="N x H x W"):
        pixel_auroc(np.eye(3, dtype=bool), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="limit"):
        aupro(np.eye(3, dtype=bool)[None], np.zeros((1, 3, 3)), 0)


def test_zero_and_minus_zero_tie():
    masks = np.array([[[True, False]]])
    assert pixel_auroc(masks, np.array([[[-0.0, 0.0]]], np.float32)) == 0.5


def test_rounding_carries_no_perfect_map_above_one():
    rng = np.random.default_rng(0)
    for _ in range(100):
        masks = rng.random((3, 24, 24)) < 0.2
        assert aupro(masks, masks.astype(np.float32)) <= 1
