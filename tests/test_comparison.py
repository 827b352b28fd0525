"""Thumbnails of training pictures, and defects beside the good patch that they are nearest to."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from parts import SIDE as PART_SIDE
from parts import defective_part, good_part
from test_alignment import key_picture, keys

import sclvi
from sclvi.data.box import Box
from sclvi.data.good import TrainingPicture
from sclvi.data.thumbnails import decode_thumbnail, encode_thumbnail
from sclvi.decision.inspection import Defect, Inspection, NearestGood
from sclvi.report.comparison import GAP, MOST, SIDE, cut_comparison, draw_comparisons

SETTINGS = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=PART_SIDE, synthetic_steps=0)


def smooth_picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


# thumbnails


@pytest.mark.parametrize("size", [(1000, 700), (70, 900), (40, 30)])
def test_a_thumbnail_is_the_picture_made_small(size):
    picture = smooth_picture(*size)
    thumbnail = decode_thumbnail(encode_thumbnail(picture, 100_000))
    assert max(thumbnail.shape) == min(480, max(size))
    assert thumbnail.shape[0] / thumbnail.shape[1] == pytest.approx(size[0] / size[1], rel=0.02)
    small = cv2.resize(picture, thumbnail.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(thumbnail.astype(float) - small).mean() < 15  # colour is coarse in a JPEG; another picture is 70 away


@pytest.mark.parametrize("most", [0, 300, 2_000, 10_000, 40_000])
def test_a_thumbnail_is_as_large_as_its_bytes_allow(most):
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    encoded = encode_thumbnail(noise, most)
    assert len(encoded) <= most
    assert bool(encoded) == (most >= 2_000)
    sides = [len(decode_thumbnail(encode_thumbnail(noise, more))) for more in (2_000, 10_000, 40_000)]
    assert sides == sorted(set(sides))


def test_depths_and_channels_of_thumbnails():
    ramp = np.linspace(0, 1, 100 * 100, dtype=np.float32).reshape(100, 100, 1)
    for picture in ((ramp * 4095).astype(np.uint16), ramp, (ramp * 255).astype(np.uint8)):
        thumbnail = decode_thumbnail(encode_thumbnail(picture, 10_000))
        assert np.abs(thumbnail[..., 0] / 255.0 - ramp[..., 0]).max() < 0.05
    red = np.zeros((50, 50, 4), np.uint8)
    red[..., 0] = 200
    assert np.abs(decode_thumbnail(encode_thumbnail(red, 10_000))[25, 25].astype(int) - [200, 0, 0]).max() < 4


def test_what_is_no_picture_is_no_thumbnail():
    assert decode_thumbnail(b"") is None
    assert decode_thumbnail(b"no JPEG") is None


def test_a_model_keeps_its_thumbnails_within_the_budget(tmp_path):
    parts = [good_part(number) for number in range(6)]
    model = sclvi.train(parts, SETTINGS.model_copy(update={"thumbnails_kib": 24}))
    sizes = [len(picture.thumbnail) for picture in model.pictures]
    assert min(sizes) > 500 and sum(sizes) <= 24 * 1024
    sclvi.save(model, tmp_path / "part.sclvi")
    assert sclvi.load(tmp_path / "part.sclvi").pictures == model.pictures
    without = sclvi.train(parts, SETTINGS.model_copy(update={"thumbnails_kib": 0}))
    assert not any(picture.thumbnail for picture in without.pictures)
    sclvi.save(without, tmp_path / "without.sclvi")
    again = sclvi.load(tmp_path / "without.sclvi")
    assert again.pictures == without.pictures
    (inspection,) = again.inspect([defective_part(50)])
    assert draw_comparisons(defective_part(50), inspection, {one.name: one for one in again.pictures}) is None


# comparisons


def inspection_with(reasons, size):
    defects = tuple(Defect(Box(0, 0, 9, 9), 40, 2.5, 1.7, 2.5, reason) for reason in reasons)
    return Inspection("a.png", size, 3.0, 1.0, 1.0, defects, np.zeros((8, 8), np.float32), "m", 1.0, {}, 0.05, 0.01)


def halves(comparison):
    return comparison[:, :SIDE], comparison[:, SIDE + GAP :]


def test_each_half_shows_twice_the_patch_around_it():
    picture, good = smooth_picture(600, 800), smooth_picture(300, 400, seed=1)
    placing = ((0.5, 0.0, 30.0), (0.0, 0.5, -20.0))  # the good picture is half as large, and the patch lies elsewhere
    reason = NearestGood("good", Box(142, 102, 32, 32), 0.1, Box(224, 244, 64, 64), placing)
    known = TrainingPicture("good", (300, 400), np.eye(2, 3), {}, encode_thumbnail(good, 100_000))
    drawn = draw_comparisons(picture, inspection_with([reason], (600, 800)), {"good": known})
    assert drawn.shape == (SIDE, 2 * SIDE + GAP, 3)
    left, right = halves(drawn)
    np.testing.assert_array_equal(left, picture[212 : 212 + SIDE, 192 : 192 + SIDE])
    shown = cv2.resize(good[86 : 86 + SIDE // 2, 126 : 126 + SIDE // 2], (SIDE, SIDE))
    assert np.abs(right.astype(float) - shown)[4:-4, 4:-4].mean() < 4


def test_what_cannot_be_shown_is_grey_and_the_order_is_kept():
    picture = smooth_picture(600, 800)
    shown = NearestGood("good", Box(0, 0, 64, 64), 0.1, Box(0, 0, 64, 64), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    known = {"good": TrainingPicture("good", (600, 800), np.eye(2, 3), {}, encode_thumbnail(picture, 100_000))}
    reasons = [None, replace(shown, picture="unknown"), shown, replace(shown, placing=None)]
    drawn = draw_comparisons(picture, inspection_with(reasons, (600, 800)), known)
    assert len(drawn) == 4 * SIDE
    filled = [[bool((half != 128).any()) for half in halves(cut_comparison(drawn, row))] for row in range(4)]
    assert filled == [[False, False], [True, False], [True, True], [False, False]]
    left, _ = halves(cut_comparison(drawn, 2))
    assert (left[: SIDE // 4 - 1] == 128).all() and (left[:, : SIDE // 4 - 1] == 128).all()  # beyond the edge
    assert len(draw_comparisons(picture, inspection_with([shown] * 30, (600, 800)), known)) == MOST * SIDE
    assert draw_comparisons(picture, inspection_with([None], (600, 800)), known) is None
    broken = {"good": replace(known["good"], thumbnail=b"no JPEG")}
    left, right = halves(draw_comparisons(picture, inspection_with([shown], (600, 800)), broken))
    assert (left != 128).any() and (right == 128).all()


def likeness(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize("angle", [0.7, 2.5, 4.4])
def test_turned_parts_are_shown_turned_alike(angle):
    """The half of the good part looks like the inspected part without its defect, though they lie otherwise."""
    model = sclvi.train(keys(16), SETTINGS)
    assert model.alignment.template is not None
    (inspection,) = model.inspect([key_picture(angle, 60, 66, mark=(12, 0))])
    drawn = draw_comparisons(
        key_picture(angle, 60, 66), inspection, {picture.name: picture for picture in model.pictures}
    )
    left, right = (half.astype(float) for half in halves(cut_comparison(drawn, 0)))
    assert likeness(left, right) > 0.8
    assert likeness(left, np.rot90(right)) < 0.6


def test_the_placing_leads_from_patch_to_patch():
    model = sclvi.train([good_part(number) for number in range(5)], SETTINGS)
    (inspection,) = model.inspect([defective_part(50).repeat(3, axis=0).repeat(2, axis=1)])
    reason = inspection.defects[0].nearest_good
    for corner in (0, 1):
        there = [
            reason.compared.x + corner * reason.compared.width - 0.5,
            reason.compared.y + corner * reason.compared.height - 0.5,
            1,
        ]
        expected = [reason.box.x + corner * reason.box.width - 0.5, reason.box.y + corner * reason.box.height - 0.5]
        np.testing.assert_allclose(np.array(reason.placing) @ there, expected, atol=1e-6)
    defect = inspection.defects[0].box
    assert reason.compared.x < defect.x + defect.width and defect.x < reason.compared.x + reason.compared.width
