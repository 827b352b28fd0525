"""How a part lies in its picture, against cases worked out by hand and slow obvious ways."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from sclvi.data.alignment import measure_alignment
from sclvi.data.pose import SIDE, centre_of, contrast_picture, foreground, turn_between, unroll, warp

ANGLES, RADII = 512, 64


def on_ground(*boxes, ground=(0.1, 0.2, 0.3), size=(SIDE, SIDE)):
    """3 x H x W: ground of one colour, and boxes (top, bottom, left, right, what is added to each channel)."""
    image = torch.tensor(ground)[:, None, None].expand(3, *size).clone()
    for top, bottom, left, right, added in boxes:
        image[:, top:bottom, left:right] += torch.tensor(added)[:, None, None]
    return image


def test_contrast_is_that_of_the_channel_that_shows_most():
    contrast = contrast_picture(on_ground((100, 150, 100, 150, (0.0, 0.4, -0.1))))
    assert contrast[125, 125] == pytest.approx(0.4, abs=1e-6)
    assert contrast[20, 20] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("upright", [True, False])
def test_the_background_is_what_most_of_all_four_edges_shows(upright):
    """A bar that runs from edge to edge covers most of two of them, and less than half of all four."""
    image = on_ground((0, SIDE, 30, 226, (0.5, 0.5, 0.5)))
    contrast = contrast_picture(image if upright else image.mT)
    assert contrast[128, 128] == pytest.approx(0.5, abs=1e-6)
    assert (contrast[128, 10] if upright else contrast[10, 128]) == pytest.approx(0.0, abs=1e-6)


def test_every_large_piece_is_part_of_the_foreground_and_specks_are_not():
    contrast = np.zeros((100, 120), np.float32)
    contrast[10:40, 10:40] = contrast[60:80, 70:85] = 1  # 900 and 300 px
    contrast[90:92, 20:22] = 1
    expected = contrast.copy()
    expected[90:92, 20:22] = 0
    np.testing.assert_array_equal(foreground(contrast), expected > 0)


@pytest.mark.parametrize("small_first", [True, False])
def test_the_centre_is_that_of_the_largest_piece_wherever_it_lies(small_first):
    mask = np.zeros((100, 120), bool)
    mask[50:71, 30:61] = True
    small = slice(2, 6) if small_first else slice(90, 94)
    mask[small, 100:104] = True
    assert centre_of(mask) == pytest.approx((45, 60))


def rays(contrast, centre):
    """What `unroll` says, place by place: the picture along rays, each radius with the root of its circle's length."""
    reach = min(contrast.shape) / 2
    angles = 2 * np.pi * np.arange(ANGLES)[:, None] / ANGLES
    radii = reach * np.arange(RADII)[None] / RADII
    at = [centre[1] + radii * np.sin(angles), centre[0] + radii * np.cos(angles)]
    seen = map_coordinates(contrast, at, order=1)
    seen = (seen - seen.mean()) * np.sqrt(np.arange(RADII) + 0.5)
    return seen / np.linalg.norm(seen)


def test_unrolled_is_the_picture_along_rays():
    rows, columns = np.mgrid[:200, :256]
    contrast = np.exp(-((rows - 90) ** 2) / 900 - (columns - 140) ** 2 / 2500).astype(np.float32)
    unrolled = unroll(contrast, (130.0, 100.0))
    assert unrolled.shape == (ANGLES, RADII)
    np.testing.assert_allclose(unrolled, rays(contrast, (130.0, 100.0)), atol=1e-4)  # values reach 0.02


@pytest.mark.parametrize("steps", [0.0, 10.3, 100.5, 400.8, 511.7])
def test_turns_are_told_to_parts_of_a_step(steps):
    angles, radii = 2 * np.pi * np.arange(ANGLES)[:, None] / ANGLES, np.arange(RADII)[None] / RADII
    turn = 2 * np.pi * steps / ANGLES

    def part(angle):
        return (np.cos(3 * angle + radii) + 0.5 * np.sin(7 * angle) * radii + 0.3 * np.cos(angle)).astype(np.float32)

    found = turn_between(part(angles - turn), part(angles))
    apart = (found - turn + np.pi) % (2 * np.pi) - np.pi
    assert abs(apart) < 0.05 * 2 * np.pi / ANGLES


def test_outside_a_picture_its_nearest_pixel_or_its_mirror_image_or_nothing_is_drawn():
    image = torch.arange(1.0, 5.0).expand(1, 3, 4)
    there = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])  # two px to the right

    def drawn(outside):
        return warp(image, there, (3, 6), outside)[0, 1].tolist()

    assert drawn("edge") == [1, 1, 1, 2, 3, 4]
    assert drawn("mirror") == [3, 2, 1, 2, 3, 4]
    assert drawn("zero") == [0, 0, 1, 2, 3, 4]


def grain_in_a_box(side, box, count=6):
    """Pictures that nothing brings to lie alike, of grain in the middle of calm background."""
    rng = np.random.default_rng(3)
    images = torch.full((count, 3, side, side), 0.1)
    start = (side - box) // 2
    for image in images:
        image[:, start : start + box, start : start + box] = torch.from_numpy(
            rng.uniform(0.4, 1.0, (box, box)).astype(np.float32)
        )
    return images


@pytest.mark.parametrize(("box", "cut"), [(0.82, False), (0.75, True)])
def test_pictures_are_cut_where_more_than_a_fifth_is_left_out(box, cut):
    """With a margin of a twentieth of the side around the part, that is 0.85 and 0.72 of the picture."""
    assert measure_alignment(grain_in_a_box(SIDE, round(box * SIDE))).changes == cut


def test_small_parts_are_enlarged_to_twice_their_size_and_no_more():
    alignment = measure_alignment(grain_in_a_box(SIDE, 40))
    assert alignment.changes
    assert alignment.upright == (2 * SIDE, 2 * SIDE)


def test_a_box_that_reaches_beyond_the_picture_ends_where_it_does():
    alignment = measure_alignment(grain_in_a_box(SIDE, 40))
    pose = alignment.bring(np.full((SIDE, SIDE, 3), 25, np.uint8), 3).pose
    rows, columns = alignment.upright_box((-500, 1000), (-700, 60), pose)
    assert rows == (0, alignment.upright[0])
    assert columns[0] == 0 < columns[1] < alignment.upright[1]
