"""Levels against NumPy's own quantiles, and what they are for: units and dim channels do not matter."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sclvi.data.levels import Levels, measure_levels
from sclvi.data.light import normalise_light
from sclvi.data.preparing import prepare
from sclvi.errors import SclviError


def pictures(channels, count=5, side=40):
    return [np.random.default_rng(n).random((side, side, channels)).astype(np.float32) for n in range(count)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_rgb_of_whole_numbers_keep_their_full_scale(channels, dtype):
    assert measure_levels([(one * 200).astype(dtype) for one in pictures(channels)]) is None


def test_levels_are_the_median_of_the_quantiles():
    good = pictures(4)
    good[2] = good[2] * 1000  # one odd picture moves nothing
    levels = measure_levels(good)
    for channel in range(4):
        lows, highs = zip(*(np.percentile(one[..., channel], (0.1, 99.9)) for one in good), strict=True)
        assert levels.black[channel] == pytest.approx(np.median(lows))
        assert levels.white[channel] == pytest.approx(np.median(highs))
    whole = measure_levels([(one * 65535).astype(np.uint16) for one in pictures(4)])
    np.testing.assert_allclose(whole.white, measure_levels(pictures(4)).white, atol=1e-4)


@given(st.floats(1e-6, 1e6), st.floats(-100, 100), st.integers(1, 16))
def test_the_unit_of_a_channel_does_not_matter(factor, offset_in_spans, channels):
    """Millimetres or metres, kelvins or degrees: what is encoded is the same, to the digits that a float has."""
    good = pictures(channels, 3)
    other = [one.copy() for one in good]
    for one in other:
        one[..., 0] = one[..., 0] * factor + np.float32(offset_in_spans * factor)
    tensors = [normalise_light(prepare(one[0], (40, 40), channels, measure_levels(one))[None]) for one in (good, other)]
    torch.testing.assert_close(*tensors, atol=1e-3, rtol=1e-3)


def test_a_channel_without_contrast_stays_finite_and_has_the_widest_scale():
    good = pictures(3)
    for one in good:
        one[..., 1] = 7
        one[..., 2] *= 10
    levels = measure_levels(good)
    assert levels.black[1] == 7
    assert levels.white[1] - 7 == pytest.approx(levels.white[2] - levels.black[2])
    flat = measure_levels([np.full((20, 20, 2), 5, np.float32)])
    assert np.isfinite(flat.apply(np.zeros((20, 20, 2), np.float32))).all()


def test_whole_numbers_are_refused_where_float_was_learned():
    levels = measure_levels(pictures(3))
    with pytest.raises(SclviError, match=r"^holds uint8 numbers where float is expected$"):
        prepare(np.zeros((40, 40, 3), np.uint8), (40, 40), 3, levels)


@pytest.mark.parametrize("dead", [1e29, -1e29])
@pytest.mark.parametrize("levels", [None, Levels(np.zeros(1), np.ones(1), True)])
def test_a_dead_value_leaves_the_others_their_contrast(dead, levels):
    picture = np.random.default_rng(0).random((32, 32, 1), np.float32)
    with_dead = picture.copy()
    with_dead[3, 4] = dead
    found = prepare(with_dead, (32, 32), 1, levels)
    assert found[0, 3, 4] == (11 if dead > 0 else -10)
    found[0, 3, 4] = float(picture[3, 4, 0])
    np.testing.assert_allclose(found[0], picture[..., 0], rtol=1e-6)
