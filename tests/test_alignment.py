"""Alignment: made-up parts at known angles, textures that have no pose, and the way back to the picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import good_part

import sclvi
from sclvi.data.alignment import Alignment, Template, have_many_shapes, measure_alignment
from sclvi.data.appearance import measure_appearance
from sclvi.data.good import read_good
from sclvi.data.pose import centre_of, chain, contrast_picture, foreground, inverse, make_exact, scaling, turning
from sclvi.model_file import load, save
from sclvi.progress import silent

SIDE = 128
ANGLES = st.floats(-7, 7)


def key_picture(angle, x=64.0, y=64.0, mark=None, side=SIDE):
    """A key with a round bow and one tooth, light on dark, turned by `angle` radians about (x, y); side x side x 3."""
    key = np.full((side, side), 30, np.uint8)
    there = np.array([[np.cos(angle), -np.sin(angle), x], [np.sin(angle), np.cos(angle), y]])

    def at(points):
        return np.round(np.asarray(points) @ there[:, :2].T * 16 + there[:, 2] * 16).astype(np.int32)

    cv2.fillPoly(key, [at([(-20, -4), (40, -4), (40, 14), (32, 14), (32, 4), (-20, 4)])], 200, cv2.LINE_AA, 4)
    cv2.circle(key, at([(-26, 0)])[0], 12 * 16, 200, -1, cv2.LINE_AA, 4)
    if mark is not None:
        cv2.circle(key, at([mark])[0], 3 * 16, 90, -1, cv2.LINE_AA, 4)
    return np.repeat(key[..., None], 3, axis=2)


def as_tensor(picture):
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)


def keys(count, seed=0):
    rng = np.random.default_rng(seed)
    return [key_picture(rng.uniform(0, 2 * np.pi), *rng.uniform(58, 70, 2)) for _ in range(count)]


def textures(count):
    rng = np.random.default_rng(1)
    return [np.repeat(rng.integers(0, 255, (SIDE, SIDE, 1), np.uint8), 3, axis=2) for _ in range(count)]


@pytest.fixture(scope="module")
def alignment():
    return measure_alignment(torch.stack([as_tensor(key) for key in keys(30)]))


def test_turned_parts_come_to_lie_alike(alignment):
    brought = torch.stack([alignment.bring(key, 3).aligned for key in keys(12, seed=5)])
    apart = torch.stack([as_tensor(key) for key in keys(12, seed=5)])
    assert alignment.template is not None
    assert brought.shape[2:] == alignment.aligned
    assert brought.var(0).mean() < 0.2 * apart.var(0).mean()


@pytest.mark.parametrize("angle", [0.3, 2.0, 4.5])
def test_a_part_with_a_piece_broken_off_lies_as_a_whole_one(alignment, angle):
    """What is missing moves the middle of the foreground by px, and the pose by less than one."""
    whole = key_picture(angle)
    broken = whole.copy()
    x, y = 64 - 34 * np.cos(angle), 64 - 34 * np.sin(angle)
    cv2.circle(broken, (round(x), round(y)), 7, (30, 30, 30), -1, cv2.LINE_AA)
    middles = [centre_of(foreground(contrast_picture(as_tensor(one)))) for one in (whole, broken)]
    assert np.hypot(*np.subtract(*middles)) > 3
    corners = np.array([[0, SIDE, 0, SIDE], [0, 0, SIDE, SIDE], [1, 1, 1, 1]])
    poses = [alignment.bring(one, 3).pose @ corners for one in (whole, broken)]
    assert np.abs(poses[0] - poses[1]).max() < 1.5 * alignment.upright[0] / SIDE


def test_where_nothing_is_seen_the_pose_stays(alignment):
    there = turning((100.0, 120.0), 0.5, (256, 256))
    assert make_exact(there, np.zeros((256, 256), np.float32), alignment.template.picture, True) is there
    far = turning((100.0, 120.0), 2.5, (256, 256))
    assert make_exact(far, contrast_picture(as_tensor(key_picture(0.5))), alignment.template.picture, True) is far


def test_the_part_fills_the_aligned_picture_lengthwise(alignment):
    image = alignment.bring(key_picture(1.0), 3).aligned
    rows, columns = np.nonzero(image[0].numpy() > 0.4)
    height, width = image.shape[1:]
    assert width > height
    assert columns.max() - columns.min() > 0.6 * width
    assert columns.min() > 0 and columns.max() < width - 1 and rows.min() > 0 and rows.max() < height - 1


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5, 4.0, 6.0])
def test_what_is_seen_goes_back_to_where_it_lies(alignment, angle):
    picture = key_picture(angle, mark=(20, 0))
    image, pose, *_ = alignment.bring(picture, 3)
    back = alignment.upright_map(image[0], pose)
    upright = as_tensor(picture)[0]
    assert back.shape == upright.shape
    inside = cv2.erode((back.numpy() > 0).astype(np.uint8), np.ones((5, 5))) > 0
    differences = np.abs(back.numpy() - upright.numpy())[inside]
    assert np.quantile(differences, 0.99) < 0.25  # edges are drawn twice; a pose one degree off gives more
    assert differences.mean() < 0.02
    x, y = 64 + 20 * np.cos(angle), 64 + 20 * np.sin(angle)
    row, column = alignment.aligned_place((round(y), round(x)), pose)
    assert image[0, round(row), round(column)] == pytest.approx(90 / 255, abs=0.05)


def test_a_picture_is_taken_up_at_the_size_of_maps_and_enlarged(alignment):
    picture = key_picture(1.2)
    brought = alignment.bring(picture, 3)
    assert alignment.upright > alignment.size == (SIDE, SIDE)
    torch.testing.assert_close(brought.whole, as_tensor(picture))
    np.testing.assert_array_equal(brought.contrast, contrast_picture(brought.whole))
    enlarged = as_tensor(np.asarray(cv2.resize(picture, alignment.upright[::-1], interpolation=cv2.INTER_LINEAR)))
    torch.testing.assert_close(brought.aligned, alignment.draw(enlarged, brought.pose))
    assert measure_appearance(brought.whole, brought.contrast) == measure_appearance(brought.whole)


def test_a_learned_picture_lies_as_it_does_when_it_is_inspected(tmp_path):
    for number, key in enumerate(keys(12)):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), key)
    good = read_good(tmp_path, None, SIDE, True, silent, None)
    assert good.alignment.turns
    for place, known in enumerate(good.pictures):
        brought = good.alignment.bring(cv2.imread(str(tmp_path / known.name))[..., ::-1], 3)
        np.testing.assert_allclose(brought.pose, known.pose)
        torch.testing.assert_close(brought.aligned, good.images[torch.tensor([place])][0])
        assert known.appearance == pytest.approx(measure_appearance(brought.whole, brought.contrast))


def test_a_box_goes_back_with_its_content(alignment):
    pose = alignment.bring(key_picture(0.5, mark=(20, 0)), 3).pose
    row, column = alignment.aligned_place((round(64 + 20 * np.sin(0.5)), round(64 + 20 * np.cos(0.5))), pose)
    (top, bottom), (left, right) = alignment.upright_box((row - 8, row + 8), (column - 8, column + 8), pose)
    zoom = alignment.upright[0] / SIDE
    assert (top + bottom) / 2 == pytest.approx((64 + 20 * np.sin(0.5)) * zoom, abs=2 * zoom)
    assert (left + right) / 2 == pytest.approx((64 + 20 * np.cos(0.5)) * zoom, abs=2 * zoom)
    assert 16 <= right - left <= 16 * np.sqrt(2) + 1e-6


def ring_picture(rng, jitter, details=6):
    """A ring around (64, 64) +- jitter px, which fills the picture and shows spots that differ; side x side x 3."""
    picture = np.full((SIDE, SIDE), 30, np.uint8)
    x, y = 64 + rng.uniform(-jitter, jitter, 2)

    def disc(at, radius, grey):
        cv2.circle(picture, tuple(round(16 * place) for place in at), 16 * radius, grey, -1, cv2.LINE_AA, 4)

    for radius, grey in ((58, 200), (44, 80), (20, 160)):
        disc((x, y), radius, grey)
    for angle, away in zip(rng.uniform(0, 2 * np.pi, details), rng.uniform(22, 40, details), strict=True):
        disc((x + away * np.cos(angle), y + away * np.sin(angle)), 4, int(rng.integers(60, 140)))
    return np.repeat(picture[..., None], 3, axis=2), (x, y)


def test_round_parts_that_lie_nearly_alike_are_moved_and_not_turned():
    rng = np.random.default_rng(0)
    rings = [ring_picture(rng, 3)[0] for _ in range(20)]
    alignment = measure_alignment(torch.stack([as_tensor(ring) for ring in rings]))
    assert alignment.template is not None and not alignment.turns
    middles = []
    for number in range(8):
        ring, middle = ring_picture(np.random.default_rng(100 + number), 3)
        pose = alignment.bring(ring, 3).pose
        assert pose[1, 0] == pose[0, 1] == 0  # whatever the spots tell
        middles.append(chain(scaling((SIDE, SIDE), alignment.upright), pose) @ [*middle, 1])
    assert np.std(middles, axis=0).max() < 0.2


def test_parts_in_a_fixture_with_some_play_are_moved_and_turned_a_little(tmp_path):
    rng = np.random.default_rng(0)

    def play():
        return key_picture(rng.normal(0.5, 0.03), *rng.normal(64, 1.5, 2))

    model = sclvi.train([play() for _ in range(15)], sclvi.Settings(steps=0, short_side=SIDE, synthetic_steps=0))
    alignment = model.alignment
    assert alignment.template is not None and alignment.template.may_turn and not alignment.turns
    brought = torch.stack([alignment.bring(play(), 3).aligned for _ in range(8)])
    apart = torch.stack([as_tensor(play()) for _ in range(8)])
    assert brought.var(0).mean() < 0.3 * apart.var(0).mean()
    save(model, tmp_path / "key.sclvi")
    picture = play()
    (before,), (after,) = model.inspect([picture]), sclvi.load(tmp_path / "key.sclvi").inspect([picture])
    assert np.array_equal(before.anomaly_map, after.anomaly_map)


def test_round_parts_that_lie_alike_stay_as_they_are():
    rings = [ring_picture(np.random.default_rng(number), 0)[0] for number in range(20)]
    assert measure_alignment(torch.stack([as_tensor(ring) for ring in rings])).template is None


def test_textures_stay_as_they_are():
    alignment = measure_alignment(torch.stack([as_tensor(one) for one in textures(8)]))
    assert not alignment.changes
    image, pose, *_ = alignment.bring(textures(1)[0], 3)
    assert torch.equal(image, as_tensor(textures(1)[0]))
    assert torch.equal(alignment.upright_map(image[0], pose), image[0])
    (top, bottom), (left, right) = alignment.upright_box((3, 7), (10, 30), pose)
    assert (top, bottom, left, right) == pytest.approx((3, 7, 10, 30))
    assert alignment.aligned_place((3, 17), pose) == pytest.approx((3, 17))


def test_parts_that_lie_alike_are_cut_but_not_turned():
    rng = np.random.default_rng(0)
    pictures = [key_picture(0.0) + rng.integers(0, 9, (SIDE, SIDE, 1), np.uint8) for _ in range(10)]
    alignment = measure_alignment(torch.stack([as_tensor(one) for one in pictures]))
    assert alignment.template is None
    assert alignment.aligned[1] > alignment.aligned[0]
    assert min(alignment.upright) > SIDE


def test_busy_background_is_not_cut_away():
    rng = np.random.default_rng(0)
    pictures = [key_picture(0.0) // 2 + rng.integers(0, 120, (SIDE, SIDE, 1), np.uint8) for _ in range(6)]
    assert measure_alignment(torch.stack([as_tensor(one) for one in pictures])).aligned == (SIDE, SIDE)


@pytest.mark.parametrize("side", [64, 96, 320])
def test_large_patches_fit_into_the_aligned_picture_at_any_size(side):
    bars = []
    for number in range(6):
        bar = np.zeros((side, side, 3), np.uint8)
        bar[side // 2 - 3 : side // 2 + 3, side // 8 : -side // 8] = 200 + number
        bars.append(as_tensor(bar))
    alignment = measure_alignment(torch.stack(bars))
    assert alignment.changes
    assert min(alignment.aligned) >= 64


def test_a_weave_is_not_turned_though_its_repeats_could_lie_alike():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE]
    weaves = []
    for _ in range(6):
        dy, dx = rng.integers(0, 16, 2)
        weave = 100 + 60 * np.sin((x + dx) * np.pi / 8) * np.sin((y + dy) * np.pi / 8)
        weaves.append(np.repeat(weave.astype(np.uint8)[..., None], 3, axis=2))
    assert not measure_alignment(torch.stack([as_tensor(weave) for weave in weaves])).changes


def test_flat_pictures_stay_as_they_are():
    assert not measure_alignment(torch.zeros(3, 3, SIDE, SIDE)).changes


def test_one_picture_is_enough():
    alone = measure_alignment(as_tensor(key_picture(0.3))[None])
    assert alone.template is None and alone.changes  # nothing to turn it onto, but calm background to cut away


@given(ANGLES, st.floats(0, 100), st.floats(0, 100))
def test_turning_brings_the_centre_to_the_middle_and_is_undone_by_its_inverse(angle, x, y):
    there = turning((x, y), angle, (80, 120))
    assert there @ [x, y, 1] == pytest.approx((59.5, 39.5))
    assert chain(there, inverse(there)) == pytest.approx(np.eye(2, 3), abs=1e-9)
    there_of_right = there @ [x + np.cos(angle), y + np.sin(angle), 1]
    assert there_of_right == pytest.approx((60.5, 39.5))


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_scaling_maps_edges_to_edges(height, width, other_height, other_width):
    there = scaling((height, width), (other_height, other_width))
    assert there @ [-0.5, -0.5, 1] == pytest.approx((-0.5, -0.5))
    assert there @ [width - 0.5, height - 0.5, 1] == pytest.approx((other_width - 0.5, other_height - 0.5))


def test_foreground_is_the_part_without_dirt():
    picture = key_picture(0.0)
    picture[10:12, 10:12] = 220
    mask = foreground(contrast_picture(as_tensor(picture)))
    assert mask.shape == (256, 256)
    assert not mask[:40].any()
    assert mask[2 * 64, 2 * 64]


def test_of_many_small_pieces_the_largest_are_the_part():
    y, x = np.mgrid[:SIDE, :SIDE]
    dots = ((x % 8 < 4) & (y % 8 < 4)).astype(np.uint8) * 200
    dots[:, [0, -1]] = dots[[0, -1]] = 0
    picture = np.repeat(dots[..., None], 3, axis=2)
    mask = foreground(contrast_picture(as_tensor(picture)))
    lit = np.kron(dots, np.ones((2, 2))) > 0  # the contrast picture is twice as large
    assert mask[lit].mean() > 0.8 and mask[~lit].mean() < 0.5
    assert measure_alignment(torch.stack([as_tensor(picture)] * 3)).aligned == (SIDE, SIDE)


def test_a_model_turns_parts_and_reports_where_they_lie(tmp_path):
    settings = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
    model = sclvi.train(keys(12), settings)
    assert model.alignment.template is not None
    assert model.calibration.usual[2].ranks
    picture = key_picture(2.0, mark=(10, 0))
    inspection = next(iter(model.inspect([picture])))
    assert inspection.anomaly_map.shape == (SIDE, SIDE)
    row, column = np.unravel_index(inspection.anomaly_map.argmax(), (SIDE, SIDE))
    assert np.hypot(column - (64 + 10 * np.cos(2.0)), row - (64 + 10 * np.sin(2.0))) < 20
    nearest = inspection.defects[0].nearest_good
    assert nearest is not None and nearest.box.width > 0 and nearest.box.height > 0
    path = tmp_path / "key.sclvi"
    save(model, path)
    again = next(iter(sclvi.load(path).inspect([picture])))
    assert again.score == inspection.score
    assert again.defects == inspection.defects


def test_without_alignment_pictures_stay_upright():
    settings = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0, align=False)
    assert sclvi.train(keys(4), settings).alignment.template is None


def test_none_changes_nothing():
    assert not Alignment.none((64, 96)).changes


def disc_picture(height, width, at, radius=12):
    picture = np.full((height, width, 3), 60, np.uint8)
    cv2.circle(picture, at[::-1], radius, (220, 220, 220), -1, cv2.LINE_AA)
    return picture


@given(st.integers(60, 400), st.integers(0, 10))
def test_cut_alike_or_enlarged_pictures_have_one_shape(side, more):
    assert not have_many_shapes([(side, 2 * side), (2 * side, 4 * side), (100 + more, 200)])


def test_a_few_odd_pictures_among_many_do_not_make_many_shapes():
    assert not have_many_shapes([(100, 100)] * 98 + [(100, 300), (300, 100)])
    assert have_many_shapes([(100, 100)] * 10 + [(100, 150)] * 10)


@pytest.mark.parametrize(("height", "width"), [(96, 240), (240, 96), (160, 160), (96, 96), (300, 700)])
def test_pictures_of_many_shapes_keep_one_scale(height, width):
    alignment = Alignment.at_one_scale((128, 160), [(96, 240), (240, 96), (160, 160)] * 20)
    shrunk = min(1, alignment.aligned[0] / (alignment.scale * height), alignment.aligned[1] / (alignment.scale * width))
    at = (height // 3, width // 2)
    brought, pose, *_ = alignment.bring(disc_picture(height, width, at), 3)
    assert brought.shape[1:] == alignment.aligned
    # a map of the aligned disc comes back around where the disc was, in the map's stretched px, and nothing is cut away
    bright = (brought[0] > 0.55).float()
    back = alignment.upright_map(bright + 1, pose)
    assert back.shape == alignment.size
    assert back.min() > 0.49  # half of a pixel at the very edge may lie outside
    rows, columns = np.nonzero(back.numpy() > 1.5)
    assert rows.mean() == pytest.approx((at[0] + 0.5) * 128 / height - 0.5, abs=1)
    assert columns.mean() == pytest.approx((at[1] + 0.5) * 160 / width - 0.5, abs=1)
    # the disc, of which the canvas shows one or, mirrored, more, is as large in every picture
    count, _, statistics, _ = cv2.connectedComponentsWithStats(bright.numpy().astype(np.uint8))
    assert count > 1
    area = np.pi * (12.5 * alignment.scale * shrunk) ** 2
    assert statistics[1:, cv2.CC_STAT_AREA].max() == pytest.approx(area, rel=0.25)


def test_the_surface_does_not_rank_where_a_place_of_the_canvas_is_another_place_of_each_picture(monkeypatch):
    monkeypatch.setattr("sclvi.synthetic.learning._LEAST_STEPS", 1)
    monkeypatch.setattr("sclvi.synthetic.learning._FEWEST", 1)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(100, 120, (*shape, 3), np.uint8) for shape in [(96, 200), (200, 96), (130, 140)]]
    model = sclvi.train(pictures, sclvi.Settings(short_side=128, steps=0, synthetic_steps=2))
    assert [one.ranks for one in model.calibration.usual] == [0.5, 0.5, 0, 0, 1]


def test_a_model_of_pictures_of_many_shapes_comes_back_from_its_file(tmp_path):
    shapes = [(96, 200), (200, 96), (130, 140), (96, 200)]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(100, 120, (*shape, 3), np.uint8) for shape in shapes]
    model = sclvi.train(pictures, sclvi.Settings(short_side=128, steps=0))
    assert model.alignment.scale is not None
    assert model.inspector.detector is None and [one.ranks for one in model.calibration.usual] == [1, 1, 1, 0]
    save(model, tmp_path / "many.sclvi")
    again = sclvi.load(tmp_path / "many.sclvi")
    (before,), (after,) = model.inspect(pictures[1:2]), again.inspect(pictures[1:2])
    assert before.score == after.score
    assert np.array_equal(before.anomaly_map, after.anomaly_map)
    assert before.anomaly_map.shape == model.size


def test_what_was_cut_away_says_nothing_of_where_defects_end(monkeypatch):
    monkeypatch.setattr("sclvi.self_calibration._OUTLINE_QUANTILE", 0.0)
    settings = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
    model = sclvi.train(keys(12), settings)
    assert model.alignment.template is not None and model.calibration.outline > 0


def test_one_huge_picture_among_many_shapes_does_not_set_the_canvas():
    usual = [(96, 240), (240, 96), (160, 160)] * 20
    alone, beside = (Alignment.at_one_scale((128, 160), [*usual, *more]) for more in ([], [(3000, 3000)]))
    assert beside.aligned == alone.aligned and beside.scale == alone.scale


def test_around_a_picture_smaller_than_the_canvas_it_is_mirrored():
    alignment = Alignment.at_one_scale((128, 160), [(96, 240), (240, 96), (160, 160)] * 20)
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (96, 96, 3))
    row = alignment.bring(np.ascontiguousarray(ramp), 3).aligned[0, alignment.aligned[0] // 2]
    dark, bright = int(row.argmin()), int(row.argmax())
    assert 8 < dark < bright < len(row) - 8
    assert (row[:dark].diff() < 0).all() and (row[bright + 1 :].diff() < 0).all()  # on: brighter, and darker again


@pytest.mark.parametrize("may_turn", [False, True])
def test_whether_parts_may_be_turned_comes_back_from_the_file(tmp_path, may_turn):
    settings = sclvi.Settings(steps=0, short_side=SIDE, synthetic_steps=0)
    model = sclvi.train([good_part(number) for number in range(3)], settings)
    template = Template(None, np.ones((128, 128), np.float32), may_turn)
    save(replace(model, alignment=replace(model.alignment, template=template)), tmp_path / "m.sclvi")
    again = load(tmp_path / "m.sclvi").alignment.template
    assert again is not None and again.may_turn is may_turn and again.polar is None
    assert np.array_equal(again.picture, template.picture)
