import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sclvi.scoring.maps import Role, Usual, fuse_maps, fuse_scales, image_scores

AS_USUAL = Usual(level=1.0, peak=math.log(2), spread=0.5)


def good_maps(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).gamma(3, 0.2, (count, 6, 7)).astype(np.float32))


@pytest.mark.parametrize("count", [2, 4, 15])
def test_usual_is_level_median_and_robust_deviation(count):
    maps = good_maps(count)
    usual = Usual.measure(maps)
    peaks = np.log(maps.numpy().max((1, 2)) / maps.numpy().mean())
    middle = np.median(peaks)
    own = 1.4826 * np.median(np.abs(peaks - middle))
    assert usual.level == pytest.approx(maps.numpy().mean(), rel=1e-5)
    assert usual.peak == pytest.approx(middle, rel=1e-4)
    assert usual.spread == pytest.approx(math.sqrt(own**2 + 0.05**2), rel=1e-3)


def test_one_good_picture_and_empty_maps_give_a_finite_measure():
    for maps in (good_maps(1), torch.zeros(3, 4, 4)):
        usual = Usual.measure(maps)
        assert usual.level > 0 and usual.spread > 0 and math.isfinite(usual.peak)
        assert torch.isfinite(fuse_maps([maps, maps], (usual, usual), raised=True)).all()


def test_fusion_by_hand():
    # geometric mean of 8 and 0.5 is 2; the first map is log(8 / 2) / 0.5 deviations over its peaks
    maps = [torch.full((1, 1, 1), 8.0), torch.full((1, 1, 1), 0.5)]
    fused = fuse_maps(maps, (AS_USUAL, AS_USUAL), raised=True)
    assert fused.item() == pytest.approx(2 * (1 + math.log(4) / 0.5), rel=1e-5)
    assert fuse_maps(maps, (AS_USUAL, AS_USUAL), raised=False).item() == pytest.approx(2, rel=1e-5)


def test_caution_makes_a_map_less_easily_surprised():
    maps = good_maps(15)
    assert Usual.measure(maps, Role(caution=2.0)).spread == pytest.approx(2 * Usual.measure(maps).spread)


def test_surprises_add_up_and_a_map_below_its_peaks_takes_nothing_away():
    # log(8 / 2) / 0.5 and log(4 / 2) / 0.5 deviations over the peaks; the third map lies below its own
    maps = [torch.full((1, 1, 1), value) for value in (8.0, 4.0, 0.25)]
    expected = 2 * (1 + math.log(4) / 0.5 + math.log(2) / 0.5)
    assert fuse_maps(maps, (AS_USUAL,) * 3, raised=True).item() == pytest.approx(expected, rel=1e-5)


def test_a_map_that_ranks_does_not_surprise_and_one_that_surprises_does_not_rank():
    maps = [torch.full((1, 1, 1), value) for value in (8.0, 4.0, 0.5)]
    usual = (replace(AS_USUAL, surprises=False), replace(AS_USUAL, ranks=0.0), AS_USUAL)
    mean = math.sqrt(8 * 0.5)
    assert fuse_maps(maps, usual, raised=True).item() == pytest.approx(mean * (1 + math.log(2) / 0.5), rel=1e-5)
    assert fuse_maps(maps, usual, raised=False).item() == pytest.approx(mean, rel=1e-5)


def test_a_map_that_ranks_less_counts_less_in_the_mean():
    maps = [torch.full((1, 1, 1), value) for value in (0.5, 2.0, 1.5)]
    usual = tuple(replace(AS_USUAL, ranks=weight) for weight in (0.5, 0.5, 1.0))
    assert fuse_maps(maps, usual, raised=True).item() == pytest.approx(math.sqrt(1.5), rel=1e-5)  # (0.5 * 2)^(1/4) is 1


@given(st.lists(st.floats(0.01, 2.0), min_size=2, max_size=4))
def test_what_no_map_is_surprised_by_is_the_geometric_mean(values):
    maps = [torch.full((1, 1, 1), value) for value in values]
    usual = tuple([AS_USUAL] * len(values))
    expected = float(np.exp(np.mean(np.log(values))))
    assert fuse_maps(maps, usual, raised=True).item() == pytest.approx(expected, rel=1e-4)


@given(st.floats(2.1, 100), st.floats(1.05, 2))
def test_more_surprise_in_one_map_never_scores_less(value, factor):
    quiet = torch.full((1, 1, 1), 0.7)
    lower, higher = (
        fuse_maps([torch.full((1, 1, 1), v), quiet], (AS_USUAL, AS_USUAL), raised=True).item()
        for v in (value, value * factor)
    )
    assert higher > lower


def test_the_unit_of_a_map_does_not_matter():
    first, second, test = good_maps(9), good_maps(9, 1), good_maps(2, 2)
    plain = fuse_maps([test, test], (Usual.measure(first), Usual.measure(second)), raised=True)
    scaled = fuse_maps([test * 50, test], (Usual.measure(first * 50), Usual.measure(second)), raised=True)
    torch.testing.assert_close(plain, scaled, rtol=1e-4, atol=1e-5)


def test_scales_are_fused_in_the_order_of_their_product():
    maps = [good_maps(2, seed) for seed in (3, 4)]
    product = (maps[0].double() * maps[1]).sqrt()
    torch.testing.assert_close(fuse_scales(maps).double(), product, rtol=1e-5, atol=1e-6)


def test_image_score_is_the_maximum():
    maps = good_maps(3)
    assert torch.equal(image_scores(maps), torch.stack([one.max() for one in maps]))


def test_a_map_that_ranks_nothing_surprises_at_its_ridges_alone():
    """Beside a line of 8 times the usual, 4 times says nothing more than its share of a half, squared, leaves."""
    quiet, lines = torch.ones(1, 1, 40), torch.ones(1, 1, 40)
    lines[0, 0, 10], lines[0, 0, 12], lines[0, 0, 30] = 8, 4, 4
    usual = Usual(1, 0, 1), Usual(1, 0, 1, ranks=0.0)
    fused = fuse_maps([quiet, lines], usual, raised=True)[0, 0]
    assert [fused[place].item() for place in (10, 12, 30)] == pytest.approx(
        [1 + math.log(8), 1 + math.log(4 * 0.5**2), 1 + math.log(4)], rel=1e-5
    )
