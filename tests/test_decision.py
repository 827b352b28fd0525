import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from sclvi.data.box import Box
from sclvi.decision.defects import find_regions, scale_box, to_defect
from sclvi.decision.threshold import conformal_threshold, images_needed, promise_without, together


def test_threshold_by_hand():
    threshold = conformal_threshold(list(range(1, 100)), 0.05)  # n = 99: k = ceil(100 * 0.95) = 95
    assert threshold.value == 95
    assert threshold.promised_rate == 0.05
    assert threshold.is_kept


def test_too_few_pictures_promise_what_they_can():
    threshold = conformal_threshold([3.0, 1.0, 2.0], 0.01)
    assert threshold.value == 3.0
    assert threshold.promised_rate == 0.25
    assert not threshold.is_kept


@given(st.floats(0.001, 0.5))
def test_images_needed_is_the_smallest_number_that_keeps_the_rate(rate):
    needed = images_needed(rate)
    assert conformal_threshold([0.0] * needed, rate).promised_rate <= rate * (1 + 1e-6)
    if needed > 1:
        assert not conformal_threshold([0.0] * (needed - 1), rate).is_kept


@given(st.floats(0.001, 0.5), st.integers(1, 9))
def test_what_is_needed_for_a_share_of_the_rate_keeps_it(rate, regions):
    scores = [0.0] * images_needed(rate / regions)
    assert together([conformal_threshold(scores, rate / regions)] * regions).is_kept


def test_promise_without_is_what_counting_gives_where_all_that_was_left_out_would_be_rejected():
    rng, rate, left_out = np.random.default_rng(0), 0.2, 5
    rejected = []
    for _ in range(4000):
        scores = rng.lognormal(size=25)  # of 24 scored pictures, the five highest left out, and a new one
        threshold = conformal_threshold(sorted(scores[:-1])[:-left_out], rate)
        rejected.append(scores[-1] > threshold.value)
    assert promise_without(threshold, left_out) == pytest.approx((0.2 * 20 + 5) / 25)
    assert np.mean(rejected) == pytest.approx((0.2 * 20 + 5) / 25, abs=0.03)  # 4 sigma
    assert promise_without(threshold, 0) == threshold.promised_rate


def test_promised_rate_is_kept_on_average():
    rng = np.random.default_rng(0)
    rejected = []
    for _ in range(4000):
        scores = rng.lognormal(size=30)
        rejected.append(scores[-1] > conformal_threshold(scores[:-1], 0.1).value)
    assert np.mean(rejected) == pytest.approx(0.1, abs=0.02)  # 4 sigma


def test_regions_against_labelling_by_hand():
    scores = np.zeros((20, 30), np.float32)
    scores[2:5, 3:9] = 2.0
    scores[3, 4] = 5.0  # a defect: peak over 4, outline at 1
    scores[10:12, 10:12] = 3.0  # never reaches the threshold: none
    scores[15, 20], scores[16, 21] = 4.5, 1.5  # touches by a corner: one region
    first, second = find_regions(scores, outline=1.0, threshold=4.0)
    assert (first.rows, first.columns, first.area, first.peak) == (slice(2, 5), slice(3, 9), 18, 5.0)
    assert first.peak_at == (3, 4)
    assert first.mean == pytest.approx((17 * 2 + 5) / 18)
    assert (second.area, second.peak) == (2, 4.5)


@given(st.integers(0, 10_000))
def test_a_picture_has_regions_exactly_when_its_maximum_exceeds_the_threshold(seed):
    scores = np.random.default_rng(seed).random((12, 12)).astype(np.float32)
    for threshold in (0.5, 0.99, float(scores.max())):
        regions = find_regions(scores, outline=0.4, threshold=threshold)
        assert bool(regions) == (scores.max() > threshold)
        labels, _ = label(scores > 0.4, np.ones((3, 3)))
        hot = set(labels[scores > threshold].tolist())
        assert len(regions) == len(hot)
        assert sum(region.area for region in regions) == sum(int((labels == one).sum()) for one in hot)


def test_box_covers_the_region_in_original_pixels():
    assert scale_box((0, 256), (0, 256), (256, 256), (900, 700)) == Box(0, 0, 700, 900)
    assert scale_box((10, 20), (30, 31), (100, 100), (200, 400)) == Box(120, 20, 4, 20)
    assert scale_box((1, 2), (1, 2), (256, 256), (100, 100)) == Box(0, 0, 1, 1)


def test_more_than_all_cannot_be_rejected():
    assert together([conformal_threshold([1.0], 0.01)] * 3).promised_rate == 1.0


def test_what_is_said_of_a_defect_by_hand():
    scores = np.zeros((20, 30), np.float32)
    scores[2:4, 3:9], scores[10:14, 5:8] = 2.0, 6.0
    scores[10, 5] = 3.0
    worst, other = find_regions(scores, 1.0, 1.5)
    assert (worst.peak, other.peak) == (6.0, 2.0)  # the worst first, though it lies below
    defect = to_defect(worst, (20, 30), (200, 90), 1.5, None, "rim")
    assert (defect.area, defect.severity, defect.peak, defect.mean) == (12 * 30, 4.0, 6.0, 5.75)
    assert defect.region == "rim"
