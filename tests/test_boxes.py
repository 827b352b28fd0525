"""Boxes in a picture as it was taken, and the patches of the aligned picture that they mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclvi.data.alignment import Alignment
from sclvi.data.box import Box
from sclvi.data.boxes import aligned_masks, check_boxes, parse_box, patches_inside
from sclvi.data.pose import scaling, turning
from sclvi.errors import SclviError

STILL = np.eye(2, 3)


def whole(size):
    return Alignment(size, size, size, None, STILL)


def test_a_box_of_a_picture_that_stays_as_it_is_covers_its_own_pixels():
    (mask,) = aligned_masks([Box(10, 20, 5, 3)], (64, 80), whole((64, 80)), STILL)
    expected = np.zeros((64, 80), bool)
    expected[20:23, 10:15] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_box_scales_with_the_picture():
    (mask,) = aligned_masks([Box(10, 20, 6, 4)], (64, 80), whole((128, 160)), STILL)
    expected = np.zeros((128, 160), bool)
    expected[40:48, 20:32] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_box_turns_with_its_part():
    size = (65, 65)
    pose = turning((32, 32), np.pi / 2, size)  # a quarter turn about the middle
    (mask,) = aligned_masks([Box(10, 20, 5, 3)], size, whole(size), pose)
    expected = np.zeros(size, bool)
    expected[20:23, 10:15] = True
    turned = [np.rot90(expected, quarter) for quarter in (1, 3)]
    assert sum(np.array_equal(mask, one) for one in turned) == 1
    corner = pose @ [10, 20, 1]
    assert mask[round(corner[1]), round(corner[0])]


def test_no_box_is_the_whole_picture_and_what_is_cut_away_is_no_place():
    cut = Alignment((64, 64), (64, 64), (32, 32), None, STILL)
    pose = np.array([[1, 0, -32], [0, 1, -32]], float)  # the lower right quarter is kept
    assert aligned_masks([], (64, 64), cut, pose)[0].all()
    assert not aligned_masks([Box(0, 0, 20, 20)], (64, 64), cut, pose)[0].any()
    (mask,) = aligned_masks([Box(28, 40, 8, 4)], (64, 64), cut, pose)
    expected = np.zeros((32, 32), bool)
    expected[8:12, :4] = True
    np.testing.assert_array_equal(mask, expected)


@given(st.integers(0, 199), st.integers(0, 149))
def test_however_much_a_picture_shrinks_a_single_pixel_is_somewhere(x, y):
    size = (30, 40)
    (mask,) = aligned_masks([Box(x, y, 1, 1)], (150, 200), whole(size), STILL)
    assert 1 <= mask.sum() <= 9
    column, row = scaling((150, 200), size) @ [x, y, 1]
    assert np.abs(np.argwhere(mask) - [row, column]).max() <= 1


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(8, 2), (6, 6), (12, 4)]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_patches_inside_are_those_that_slow_counting_finds(seed, patch_and_stride, grid):
    rng = np.random.default_rng(seed)
    patch, stride = patch_and_stride
    masks = []
    for _ in range(2):
        mask = np.zeros((30, 26), bool)
        top, left = rng.integers(0, 24, 2)
        mask[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = True
        masks.append(mask)
    expected = np.zeros(grid, bool)
    for row, column in np.ndindex(grid):
        for mask in masks:
            common = mask[row * stride : row * stride + patch, column * stride : column * stride + patch].sum()
            expected[row, column] |= common > 0 and 10 * common >= min(patch**2, mask.sum())
    np.testing.assert_array_equal(patches_inside(masks, patch, stride, grid), expected)


def test_boxes_that_do_not_lie_in_the_picture_are_refused():
    check_boxes([Box(0, 0, 80, 64), Box(79, 63, 1, 1)], (64, 80), "part.png")
    for box in (Box(-1, 0, 5, 5), Box(0, 0, 81, 5), Box(70, 60, 5, 5), Box(5, 5, 0, 4)):
        with pytest.raises(SclviError, match=r"part\.png: box .* 80x64 px"):
            check_boxes([box], (64, 80), "part.png")


def test_a_box_is_read_as_whole_pixels():
    assert parse_box("40,60, 24,12") == Box(40, 60, 24, 12)
    for text in ("1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", ""):
        with pytest.raises(SclviError, match="x,y,w,h"):
            parse_box(text)
