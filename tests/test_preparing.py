"""Preparing against block means and NumPy, and the rules for channels, arrays and sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sclvi.data.arrays import as_picture
from sclvi.data.preparing import parse_size, prepare, scale_to_unit, working_size
from sclvi.errors import SclviError

DTYPES = (np.uint8, np.uint16, np.float32)
FULL = {np.uint8: 255, np.uint16: 65535, np.float32: 1}


def picture(height, width, channels, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random((height, width, channels))
    return (values * FULL[dtype]).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_is_scaled_to_its_fraction(dtype):
    top = FULL[dtype]
    every = np.arange(top + 1, dtype=dtype).reshape(-1, 1, 1)
    unit = scale_to_unit(every)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit.ravel(), np.arange(top + 1) / top, rtol=1e-7, atol=0)
    assert (np.diff(unit.ravel()) > 0).all()
    assert (unit.min(), unit.max()) == (0, 1)


def test_float_is_taken_as_it_is_in_a_new_array():
    values = np.array([[[-3.0], [0.5], [700.0]]], np.float32)
    unit = scale_to_unit(values)
    np.testing.assert_array_equal(unit, values)
    assert not np.shares_memory(unit, values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4, 9])
def test_shrinking_by_whole_factors_is_the_mean_of_each_block(channels, dtype):
    array = picture(24 * 5, 32 * 3, channels, dtype)
    mean = array.reshape(24, 5, 32, 3, channels).mean((1, 3), dtype=np.float64) / FULL[dtype]
    step = 1e-6 if dtype == np.float32 else 0.51 / FULL[dtype]  # resized at the picture's own depth: rounded once
    prepared = prepare(array, (24, 32), channels)
    np.testing.assert_allclose(prepared.numpy(), mean.transpose(2, 0, 1), atol=step, rtol=0)


def test_shrinking_one_side_and_growing_the_other_still_averages():
    array = picture(64, 20, 1, np.float32)
    prepared = prepare(array, (16, 40), 1).numpy()[0]
    columns = array.reshape(16, 4, 20).mean(1)
    at = np.clip((np.arange(40) + 0.5) / 2 - 0.5, 0, 19)
    expected = np.stack([np.interp(at, np.arange(20), row) for row in columns])
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


def test_a_fitting_picture_is_not_touched_and_shares_no_memory():
    for dtype in DTYPES:
        for channels in (1, 3):
            array = picture(20, 30, channels, dtype)
            prepared = prepare(array, (20, 30), channels)
            np.testing.assert_array_equal(prepared.numpy(), scale_to_unit(array).transpose(2, 0, 1))
            before = array.copy()
            prepared.zero_()
            np.testing.assert_array_equal(array, before)


def test_views_and_read_only_arrays():
    array = picture(80, 60, 3)
    expected = prepare(np.ascontiguousarray(array[::-1, ::2]), (32, 32), 3)
    view = array[::-1, ::2]
    view.flags.writeable = False
    assert torch.equal(prepare(view, (32, 32), 3), expected)


@settings(max_examples=60)
@given(
    st.integers(16, 90),
    st.integers(16, 90),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
    st.sampled_from([1, 3, 4, 6, 16]),
    st.sampled_from(DTYPES),
)
def test_shape_and_range_hold_for_any_size(height, width, size, channels, dtype):
    array = picture(height, width, channels, dtype)
    prepared = prepare(array, size, channels)
    assert prepared.shape == (channels, *size)
    assert prepared.dtype == torch.float32
    assert prepared.is_contiguous()
    low, high = array.min() / FULL[dtype], array.max() / FULL[dtype]
    assert low - 1e-6 <= prepared.min() <= prepared.max() <= high + 1e-6


@settings(max_examples=30)
@given(st.integers(0, 1000), st.tuples(st.integers(1, 60), st.integers(1, 60)), st.sampled_from(DTYPES))
def test_a_brighter_picture_stays_brighter_everywhere(seed, size, dtype):
    dark = picture(30, 40, 1, dtype, seed) // 2 if dtype != np.float32 else picture(30, 40, 1, dtype, seed) / 2
    bright = dark + picture(30, 40, 1, dtype, seed + 1) // 2 if dtype != np.float32 else dark + np.float32(0.1)
    slack = 1e-6 if dtype == np.float32 else 1.01 / FULL[dtype]  # interpolation may round the two apart by one step
    assert (prepare(bright, size, 1) - prepare(dark, size, 1)).min() >= -slack


def test_colour_with_equal_channels_fits_a_grey_model():
    grey = picture(40, 50, 1)
    assert torch.equal(prepare(np.repeat(grey, 3, 2), (20, 20), 1), prepare(grey, (20, 20), 1))
    colour = np.repeat(grey, 3, 2)
    colour[3, 4, 2] ^= 1
    with pytest.raises(SclviError, match=r"^has 3 channels where 1 is expected$"):
        prepare(colour, (20, 20), 1)


@pytest.mark.parametrize(
    ("has", "wants"), [(1, 3), (4, 3), (2, 3), (3, 4), (4, 1), (1, 4), (5, 3), (1, 2), (3, 2), (16, 3), (3, 16)]
)
def test_other_channels_are_refused(has, wants):
    words = "1 channel" if has == 1 else f"{has} channels"
    with pytest.raises(SclviError, match=f"^has {words} where {wants} (is|are) expected$"):
        prepare(picture(40, 50, has), (20, 20), wants)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((20, 30), 7, np.uint8), np.full((20, 30, 1), 7, np.uint8)),
        (np.full((20, 30, 3), 7, np.uint16), np.full((20, 30, 3), 7, np.uint16)),
        (np.full((20, 30), 700, ">u2"), np.full((20, 30, 1), 700, np.uint16)),
        (np.full((20, 30), 0.25, np.float64), np.full((20, 30, 1), 0.25, np.float32)),
        (np.full((20, 30), 0.25, ">f4"), np.full((20, 30, 1), 0.25, np.float32)),
        (np.eye(20, 30, dtype=bool), np.eye(20, 30, dtype=np.uint8)[..., None] * 255),
        ([[7.0] * 30] * 20, np.full((20, 30, 1), 7, np.float32)),
    ],
)
def test_arrays_become_pictures(array, expected):
    got = as_picture(array)
    assert got.dtype == expected.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(20, np.uint8), "array is 20;"),
        (np.zeros((2, 20, 30, 3), np.uint8), "array is 2 x 20 x 30 x 3;"),
        (np.zeros((3, 200, 300), np.uint8), "array is 3 x 200 x 300; height x width"),
        (np.zeros((20, 15), np.uint8), "array is 20 x 15; .* at least 16"),
        (np.zeros((20, 30, 0), np.uint8), "array is 20 x 30 x 0"),
        (np.zeros((20, 30, 17), np.uint8), "array is 20 x 30 x 17; .* at most 16 channels"),
        (np.zeros((16, 200, 300), np.float32), "array is 16 x 200 x 300; height x width"),
        (np.uint8(3), "a single number"),
        (np.zeros((20, 30), np.int64), "holds int64"),
        (np.zeros((20, 30), np.int16), "holds int16"),
        (np.zeros((20, 30), np.float16), "holds float16"),
        (np.zeros((20, 30), complex), "holds complex128"),
        (np.full((20, 30), "x"), "holds <U1"),
        (np.where(np.eye(20) > 0, np.nan, 0), "NaN, infinite or no-data"),
        (np.where(np.eye(20) > 0, -np.inf, 0).astype(np.float32), "NaN, infinite or no-data"),
        (np.full((20, 30), 1e300), "NaN, infinite or no-data"),
    ],
)
def test_other_arrays_are_refused(array, why):
    with pytest.raises(SclviError, match=why):
        as_picture(array)


@pytest.mark.parametrize(
    ("sizes", "short_side", "expected"),
    [
        ([(1024, 1024)], 256, (256, 256)),
        ([(100, 110)], 256, (256, 256)),
        ([(110, 100)], 256, (256, 256)),
        ([(100, 111)], 256, (256, 284)),
        ([(111, 100)], 256, (284, 256)),
        ([(480, 640)], 256, (256, 340)),
        ([(640, 480)], 256, (340, 256)),
        ([(100, 200)], 128, (128, 256)),
        ([(100, 1000)], 256, (256, 1024)),
        ([(9000, 100)], 256, (1024, 256)),
        ([(100, 200), (100, 200), (100, 100)], 256, (256, 512)),
        ([(100, 100), (200, 200), (100, 900)], 256, (256, 256)),
    ],
)
def test_working_size(sizes, short_side, expected):
    assert working_size(sizes, short_side) == expected


@given(
    st.lists(st.tuples(st.integers(16, 9000), st.integers(16, 9000)), min_size=1),
    st.integers(16, 128).map(lambda n: 4 * n),
)
def test_working_size_keeps_its_promises(sizes, short_side):
    height, width = working_size(sizes, short_side)
    assert min(height, width) == short_side
    assert max(height, width) % 4 == 0
    assert max(height, width) <= 4 * short_side
    aspect = np.median([w / h for h, w in sizes])
    if 1.1 < max(aspect, 1 / aspect) < 4:
        assert abs(width / height / aspect - 1) < 0.04  # a multiple of 4 is at most 2 px off in 64


def test_working_size_of_nothing():
    with pytest.raises(SclviError, match="no picture"):
        working_size([], 256)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("256", 256),
        (" 64 ", 64),
        ("4096", 4096),
        ("640x256", (256, 640)),
        ("640X256", (256, 640)),
        ("300 × 200", (200, 300)),
    ],
)
def test_sizes_that_can_be_read(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "63", "4097", "0", "-256", "256x", "x256", "63x256", "256x5000", "1e3", "256x256x3", "big"]
)
def test_sizes_that_are_refused(text):
    with pytest.raises(SclviError, match=r"^size '"):
        parse_size(text)
