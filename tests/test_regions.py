"""Regions of interest: what lies outside has no part in anything, what lies inside is judged by its own threshold."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sclvi
from sclvi.data.alignment import measure_alignment
from sclvi.data.good import read_good
from sclvi.data.reading import read_picture
from sclvi.data.region_files import read_regions
from sclvi.data.regions import WHOLE, RegionOfInterest, Regions, fill_polygon
from sclvi.decision.threshold import conformal_threshold, images_needed, p_value, together
from sclvi.errors import SclviError
from sclvi.learn import _split
from sclvi.progress import silent
from sclvi.report.overlay import draw_overlay
from sclvi.scoring.regions import focus
from tests.parts import SIDE, defective_part, good_part

SETTINGS = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
LEFT = {"name": "left", "polygon": [[0, 0], [70, 0], [70, 128], [0, 128]]}
RIGHT = {"name": "right", "polygon": [[70, 0], [128, 0], [128, 128], [70, 128]]}


def box_region(name, left, top, right, bottom, kind="include", rate=None, size=(SIDE, SIDE)):
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return RegionOfInterest(name, kind, size, corners, rate)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def ours(*regions, side=SIDE):
    return {"width": side, "height": side, "regions": list(regions)}


coordinates = st.integers(-40, 200).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_polygons_hold_the_pixels_whose_middle_opencv_finds_inside(corners):
    mask = fill_polygon(np.array(corners), (14, 17))
    contour = np.array(corners, np.float32)[:, None]
    for row, column in np.ndindex(14, 17):
        distance = cv2.pointPolygonTest(contour, (column + 0.5, row + 0.5), True)
        if abs(distance) > 1e-3:  # on the edge either answer is right
            assert mask[row, column] == (distance > 0), (row, column)


def test_a_rectangle_on_the_grid_of_pixels_holds_just_these():
    mask = fill_polygon(np.array([(1, 2), (4, 2), (4, 5), (1, 5)]), (6, 6))
    expected = np.zeros((6, 6), bool)
    expected[2:5, 1:4] = True
    assert np.array_equal(mask, expected)


def test_neighbours_share_no_pixel_and_leave_none():
    corners = [(0, 0), (7.3, 2.1), (20, 20), (0, 20)], [(0, 0), (20, 0), (20, 20), (7.3, 2.1)]
    first, second = (fill_polygon(np.array(one), (20, 20)) for one in corners)
    assert np.array_equal(first, ~second)


def test_the_first_of_overlapping_regions_has_the_pixel_and_what_is_ignored_belongs_to_none():
    items = (box_region("a", 0, 0, 60, 60), box_region("b", 30, 30, 90, 90), box_region("c", 0, 40, 50, 50, "ignore"))
    regions = Regions(items)
    labels = regions.labels((SIDE, SIDE))
    assert regions.names == ("a", "b")
    assert [labels[at] for at in ((10, 10), (35, 35), (70, 70), (45, 45), (100, 100), (45, 70))] == [1, 1, 2, 0, 0, 2]


def test_without_included_regions_all_is_inspected_that_is_not_ignored():
    regions = Regions((box_region("label", 0, 0, 64, 128, "ignore"),))
    assert regions.names == ("",)
    assert np.array_equal(regions.labels((4, 4)), [[0, 0, 1, 1]] * 4)


def test_regions_scale_with_the_picture(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 6:24] = 255
    Image.fromarray(mask).save(tmp_path / "rim.png")
    drawn = read_regions([tmp_path / "rim.png"])
    polygon = Regions((box_region("rim", 6, 10, 24, 30, size=(40, 60)),))
    assert drawn.names == ("rim",)
    for size in ((40, 60), (80, 120), (400, 600), (20, 30)):
        expected = np.zeros(size, np.uint8)
        rows, columns = (slice(round(a * size[0] / 40), round(b * size[0] / 40)) for a, b in ((10, 30), (6, 24)))
        expected[rows, columns] = 1
        assert np.array_equal(drawn.labels(size), expected)
        assert np.array_equal(polygon.labels(size), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_lies_outside_is_painted_with_the_median_of_the_rim(dtype):
    rng = np.random.default_rng(0)
    picture = (rng.integers(0, 200, (20, 20, 2)) * 1.0).astype(dtype)
    before = picture.copy()
    filled = Regions((box_region("", 0, 5, 10, 15, size=(20, 20)),)).fill(picture)
    # the box touches the left edge of the picture, which is no rim
    rim = [*picture[5, :10], *picture[14, :10], *picture[6:14, 9]]
    assert filled.dtype == dtype and np.array_equal(picture, before)
    assert np.array_equal(filled[5:15, :10], picture[5:15, :10])
    outside = np.ones((20, 20), bool)
    outside[5:15, :10] = False
    assert (filled[outside] == np.median(rim, axis=0).astype(dtype)).all()


def test_without_regions_pictures_are_not_even_copied():
    picture = good_part(0)
    assert WHOLE.fill(picture) is picture
    assert Regions((box_region("all", 0, 0, SIDE, SIDE),)).fill(picture) is picture


def with_noise_outside(part, labels, seed):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, part.shape, np.uint8)
    return np.where((labels > 0)[..., None], part, noise)


def enlarged(part):
    """At another size than the model works at: resizing must not let the outside bleed in."""
    return part.repeat(3, axis=0).repeat(3, axis=1)[:-7]


def same_results(first, second):
    for one, other in zip(first, second, strict=True):
        assert replace(one, image="") == replace(other, image="")
        assert np.array_equal(one.anomaly_map, other.anomaly_map)
        assert one.appearance == other.appearance


@pytest.mark.parametrize("align", [True, False])
def test_noise_outside_changes_no_bit_of_the_model_nor_of_what_it_says(align):
    diamond = RegionOfInterest("diamond", "include", (128, 128), ((64, 10), (115, 60), (60, 110), (8, 64)))
    regions = Regions((diamond, box_region("hole", 70, 50, 90, 70, "ignore")))
    settings = SETTINGS.model_copy(update={"align": align, "audit": "warn"})
    parts = [enlarged(good_part(number)) for number in range(6)]
    labels = regions.labels(parts[0].shape[:2])
    noisy = [with_noise_outside(part, labels, number) for number, part in enumerate(parts)]
    clean_model = sclvi.train(parts, settings, regions=regions)
    noisy_model = sclvi.train(noisy, settings, regions=regions)
    assert noisy_model.fingerprint == clean_model.fingerprint
    assert noisy_model.pictures == clean_model.pictures
    assert noisy_model.good_statistics == clean_model.good_statistics
    assert noisy_model.metadata["audit"] == clean_model.metadata["audit"]
    assert noisy_model.metadata["data_fingerprint"] == clean_model.metadata["data_fingerprint"]
    new = [enlarged(good_part(20)), enlarged(defective_part(21))]
    new_noisy = [with_noise_outside(part, labels, 50 + number) for number, part in enumerate(new)]
    said = list(clean_model.inspect(new))
    same_results(said, noisy_model.inspect(new_noisy))
    assert [inspection.verdict for inspection in said] == ["good", "defective"]
    # the test can fail: without regions noise does change the model
    assert sclvi.train(noisy, settings).fingerprint != sclvi.train(parts, settings).fingerprint


@pytest.fixture(scope="module")
def halves():
    """Both sides of the part, judged by themselves; the right one also has a corner that is ignored."""
    regions = Regions(
        (
            box_region("left", 0, 0, 70, 128),
            box_region("right", 70, 0, 128, 128, rate=0.2),
            box_region("corner", 100, 0, 128, 40, "ignore"),
        )
    )
    return sclvi.train([good_part(number) for number in range(10)], SETTINGS, regions=regions)


def blotched(number, row, column):
    part = good_part(number)
    part[row : row + 20, column : column + 20] = 20
    return part


def test_defects_are_found_inside_named_by_their_region_and_ignored_outside(halves):
    left, right, corner = halves.inspect([blotched(30, 60, 20), blotched(31, 80, 100), blotched(32, 5, 105)])
    assert (left.verdict, right.verdict, corner.verdict) == ("defective", "defective", "good")
    assert {defect.region for defect in left.defects} == {"left"}
    assert {defect.region for defect in right.defects} == {"right"}
    box = right.defects[0].box
    assert box.x < 120 and box.x + box.width > 100 and box.y < 100 and box.y + box.height > 80
    assert (corner.anomaly_map[:40, 100:] == 0).all() and not corner.defects


def test_a_defect_across_a_border_is_one_in_each_region_and_ends_there(halves):
    (inspection,) = halves.inspect([blotched(33, 70, 60)])
    edges = {defect.region: defect.box for defect in inspection.defects[:2]}
    assert edges["left"].x + edges["left"].width == edges["right"].x == 70
    assert [defect.severity for defect in inspection.defects] == sorted(
        (defect.severity for defect in inspection.defects), reverse=True
    )
    assert inspection.defects[0].peak == inspection.score


def test_a_saved_model_keeps_its_regions(halves, tmp_path):
    regions = Regions((*halves.regions.items, RegionOfInterest("dot", "ignore", (24, 24), np.eye(24, dtype=bool))))
    model = replace(halves, regions=regions)
    sclvi.save(model, tmp_path / "part.sclvi")
    again = sclvi.load(tmp_path / "part.sclvi")
    parts = [blotched(40, 60, 20), good_part(41)]
    same_results(model.inspect(parts), again.inspect(parts))
    assert np.array_equal(again.regions.labels((90, 90)), regions.labels((90, 90)))
    assert again.regions.rates(0.01) == regions.rates(0.01) == (0.01, 0.2)
    assert again.calibration == model.calibration


def raw_scores(model, parts):
    """Of each part the maxima in both regions before they are stretched, N x 2."""
    unstretched = replace(model.calibration, regions=(model.calibration.regions[0],) * 2)
    maps = [inspection.anomaly_map for inspection in replace(model, calibration=unstretched).inspect(parts)]
    return np.array([(one[:, :70].max(), one[:, 70:].max()) for one in maps], np.float64)


def test_each_region_has_its_own_conformal_threshold_and_any_of_them_rejects(halves):
    calibrated = sclvi.calibrate(halves, [good_part(number) for number in range(50, 70)], 0.1)
    scores = raw_scores(halves, [good_part(number) for number in range(50, 70)])
    # ceil(21 * 0.9) = 19 of the left, ceil(21 * 0.8) = 17 of the right
    expected = [sorted(scores[:, 0])[18], sorted(scores[:, 1])[16]]
    assert [one.value for one in calibrated.calibration.regions] == pytest.approx(expected, rel=1e-6)
    assert [one.asked_rate for one in calibrated.calibration.regions] == [0.1, 0.2]
    assert calibrated.calibration.threshold.asked_rate == pytest.approx(0.3)
    parts = [good_part(number) for number in range(80, 95)] + [blotched(95, 60, 20), blotched(96, 80, 100)]
    raw = raw_scores(halves, parts)
    said = list(calibrated.inspect(parts))
    rejects = (raw > expected).any(1)
    assert [inspection.verdict == "defective" for inspection in said] == rejects.tolist()
    np.testing.assert_allclose(
        [inspection.score / inspection.threshold for inspection in said], (raw / expected).max(1), rtol=1e-5
    )
    assert 2 <= rejects.sum() < len(parts)


def test_the_threshold_of_training_is_kept_by_the_pictures_that_set_it(halves):
    calibration = halves.calibration
    assert calibration.threshold == together(calibration.regions)
    # of ten pictures: the highest score of the left, of which 1 % was asked; ceil(11 * 0.8) = the 9th of the right
    rejected = [score for score in calibration.scores if score > calibration.threshold.value]
    assert len(calibration.scores) == 10 and len(rejected) == 1
    assert p_value(rejected[0], calibration.scores) <= calibration.threshold.promised_rate


def test_one_region_over_the_whole_picture_is_as_no_region():
    parts = [good_part(number) for number in range(5)]
    settings = SETTINGS.model_copy(update={"align": False})
    plain = sclvi.train(parts, settings)
    whole = sclvi.train(parts, settings, regions=Regions((box_region("all", 0, 0, SIDE, SIDE),)))
    assert whole.calibration == plain.calibration
    said = [replace(one, defects=(), model="") for one in plain.inspect([defective_part(9)])]
    assert said == [replace(one, defects=(), model="") for one in whole.inspect([defective_part(9)])]


def test_rates_are_shared_by_the_regions_without_their_own():
    items = (box_region("a", 0, 0, 9, 9), box_region("b", 9, 0, 18, 9, rate=0.002), box_region("c", 18, 0, 27, 9))
    assert Regions(items).rates(0.01) == (0.005, 0.002, 0.005)
    assert WHOLE.rates(0.01) == (0.01,)
    thresholds = [conformal_threshold([1.0, 2.0, 3.0], rate) for rate in (0.005, 0.5)]
    part = together(thresholds)
    assert (part.value, part.asked_rate, part.promised_rate) == (3.0, 0.505, 0.75)


@pytest.mark.parametrize(("rates", "held"), [((None, None), 200), ((None, 0.004), 249), ((0.001, None), 600)])
def test_as_many_pictures_set_the_threshold_as_the_strictest_region_takes(rates, held):
    regions = Regions(tuple(box_region(str(rate), 0, 0, 9, 9, rate=rate) for rate in rates))
    settings = sclvi.Settings(false_reject_rate=0.02)  # half of it is 1 %, for which 99 do
    needed = images_needed(min(regions.rates(settings.false_reject_rate)))
    assert len(_split(600, settings, needed)[0]) == held


def test_pictures_are_cut_to_the_regions():
    regions = Regions((box_region("a", 32, 16, 96, 80),))
    data = read_good([good_part(number) for number in range(4)], None, SIDE, True, silent, None, regions=regions)
    inside = regions.labels((SIDE, SIDE)) > 0
    alignment = measure_alignment(data.images, inside)
    assert data.alignment.upright == (2 * SIDE, 2 * SIDE) and data.alignment.aligned == (SIDE, SIDE)
    assert alignment.template is None
    # what is cut out is what lies in the box: patches of the aligned picture map back onto it
    rows, columns = data.alignment.upright_box((0, SIDE), (0, SIDE), data.pictures[0].pose)
    assert rows == pytest.approx((32, 160)) and columns == pytest.approx((64, 192))


def lying_anyhow(number):
    """A bolt on calm ground, turned by any angle."""
    rng = np.random.default_rng(number)
    picture = np.full((SIDE, SIDE), 60, np.uint8)
    picture[58:70, 34:94] = good_part(number, 1)[:12, :60, 0] + 60
    picture[50:78, 84:94] = 230
    turn = cv2.getRotationMatrix2D((63.5, 63.5), rng.uniform(0, 360), 1)
    return cv2.warpAffine(picture, turn, (SIDE, SIDE), borderValue=60) + rng.integers(0, 4, picture.shape, np.uint8)


def test_parts_are_turned_unless_a_region_ends_on_them():
    parts = [lying_anyhow(number) for number in range(12)]

    def template(*items):
        data = read_good(parts, None, SIDE, True, silent, None, regions=Regions(items))
        return data.alignment.template

    assert template() is not None
    assert template(box_region("corner", 0, 0, 30, 25, "ignore")) is not None
    assert template(box_region("all around", 12, 12, 118, 118)) is not None
    assert template(box_region("half", 0, 0, 64, 128)) is None


def test_a_picture_of_another_shape_than_the_regions_is_left_out():
    parts = [good_part(number) for number in range(5)]
    skipped = []
    regions = Regions((box_region("a", 0, 0, 90, 90),))
    model = sclvi.train(
        [*parts, parts[0][:80]], SETTINGS, on_skip=lambda name, error: skipped.append(str(error)), regions=regions
    )
    assert len(model.pictures) == 5
    assert skipped == [
        "array 5: is 128x80 px, but region 'a' was drawn on 128x128 px, which is another shape",
    ]
    with pytest.raises(SclviError, match="another shape"):
        list(model.inspect([parts[0][:80]]))


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ((box_region("thin", 60, 0, 60.4, 128),), "region 'thin' has no pixel at 128x128 px"),
        ((box_region("a", 0, 0, 50, 50), box_region("b", 9, 9, 20, 20)), "region 'b' has no pixel"),
        ((box_region("most", 0, 0, 127.6, 128, "ignore"),), "what is not ignored has no pixel"),
    ],
)
def test_regions_of_which_nothing_is_left_are_refused(items, says):
    with pytest.raises(SclviError, match=says):
        read_good(
            [enlarged(good_part(number)) for number in range(2)],
            None,
            SIDE,
            False,
            silent,
            None,
            regions=Regions(items),
        )


def test_labelme_polygons_and_rectangles_are_read(tmp_path):
    shapes = [
        {"label": "rim", "points": [[0, 0], [50, 0], [50, 50], [0, 50]], "shape_type": "polygon", "flags": {}},
        {"label": "rim", "points": [[100, 90], [60, 60]], "shape_type": "rectangle", "group_id": None},
        {"label": "Ignore", "points": [[10, 10], [20, 10], [20, 20], [10, 20]], "shape_type": "polygon"},
    ]
    content = {"version": "5.0.1", "shapes": shapes, "imageHeight": 128, "imageWidth": 128, "imageData": None}
    regions = read_regions([write(tmp_path / "a.json", content)])
    expected = np.zeros((128, 128), np.uint8)
    expected[:50, :50] = expected[60:90, 60:100] = 1
    expected[10:20, 10:20] = 0
    assert regions.names == ("rim",)
    assert np.array_equal(regions.labels((128, 128)), expected)


def test_a_rectangle_may_have_four_corners(tmp_path):
    corners = [[10, 20], [50, 20], [50, 40], [10, 40]]
    shapes = [{"label": "rim", "shape_type": "rectangle", "points": corners}]
    content = {"shapes": shapes, "imageHeight": SIDE, "imageWidth": SIDE}
    labels = read_regions(write(tmp_path / "a.json", content)).labels((SIDE, SIDE))
    assert labels.sum() == labels[20:40, 10:50].sum() == 20 * 40


@pytest.mark.parametrize(
    ("width", "corner", "why"), [(1280000, 50, "at most 1.. million are read"), (640, 1e308, "corner at 1e.308 px")]
)
def test_what_no_picture_can_have_is_one_line(tmp_path, width, corner, why):
    polygon = [[0, 0], [corner, 0], [50, 50]]
    content = {"width": width, "height": 960000 if width > 640 else 640, "regions": [{"name": "a", "polygon": polygon}]}
    with pytest.raises(SclviError, match=why):
        read_regions(write(tmp_path / "a.json", content))


def test_one_file_needs_no_list_and_may_be_marked_as_utf_8(tmp_path):
    content = {"shapes": [{"label": "rim", "shape_type": "rectangle", "points": [[10, 20], [50, 40]]}]}
    path = tmp_path / "regions.json"
    path.write_text(json.dumps({**content, "imageHeight": SIDE, "imageWidth": SIDE}), "utf-8-sig")
    assert read_regions(path).names == read_regions(str(path)).names == ("rim",)


def test_masks_named_in_json_lie_beside_it_and_may_be_ignored(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    Image.fromarray(mask).save(tmp_path / "logo.png")
    path = write(tmp_path / "a.json", {"regions": [{"name": "logo", "kind": "ignore", "mask": "logo.png"}]})
    assert np.array_equal(read_regions([path]).labels((32, 32)), mask == 0)


BAD_REGIONS = [
    (ours({"name": "a", "polygon": [[0, 0], [9, 9]]}), "regions.0.polygon"),
    (ours({"name": "a", "polygon": [[0, 0], [9, 9], [18, 18]]}), "region 'a' encloses no pixel"),
    (ours({"name": "a", "polygon": [[200, 0], [300, 0], [300, 9]]}), "region 'a' encloses no pixel"),
    (ours({"name": "a"}), "a polygon or a mask is needed"),
    (ours({**LEFT, "kind": "exclude"}), "regions.0.kind"),
    (ours({**LEFT, "rate": 0.1}), "regions.0.rate"),
    (ours({**LEFT, "false_reject_rate": 1.5}), "regions.0.false_reject_rate"),
    (ours({**LEFT, "kind": "ignore", "false_reject_rate": 0.5}), "what is ignored has no false_reject_rate"),
    (ours({**LEFT, "false_reject_rate": 0.1}, {**LEFT, "false_reject_rate": 0.2}), "different false-reject rates"),
    (ours(), "regions"),
    (ours({"name": "all", "kind": "ignore", "polygon": [[0, 0], [128, 0], [128, 128], [0, 128]]}), "nothing is left"),
    ({"regions": [LEFT]}, "width and height"),
    ({"shapes": []}, "imageHeight"),
    ({"imageHeight": 9, "imageWidth": 9, "shapes": [{"label": "a", "points": [[0, 0], [1, 1]]}]}, "3 are needed"),
    (
        {"imageHeight": 9, "imageWidth": 9, "shapes": [{"label": "a", "points": [[0, 0]] * 9, "shape_type": "circle"}]},
        "shape_type",
    ),
    ([1, 2], "valid dictionary|object"),
]


@pytest.mark.parametrize(("content", "says"), BAD_REGIONS)
def test_what_is_no_region_is_said_in_one_line(tmp_path, content, says):
    path = write(tmp_path / "bad.json", content)
    with pytest.raises(SclviError, match=says) as caught:
        read_regions([path])
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or says in ("different false-reject rates", "nothing is left")


def test_files_that_hold_no_regions_are_said_in_one_line(tmp_path):
    (tmp_path / "half.json").write_text('{"regions": [')
    Image.fromarray(np.ones((20, 20), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "words.png").write_text("no picture")
    says = {
        "half.json": "not JSON",
        "black.png": "without a white pixel; the brightest is 1, white is 255",
        "words.png": "not a PNG",
        "none.json": "cannot be read",
    }
    for name, problem in says.items():
        with pytest.raises(SclviError, match=problem) as caught:
            read_regions([tmp_path / name])
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_overlays_show_the_edges_of_regions_and_change_nothing_else(halves):
    part = good_part(70)
    (inspection,) = halves.inspect([part])
    plain = draw_overlay(part, inspection)[:512, :512]
    drawn = draw_overlay(part, inspection, halves.regions)[:512, :512]
    changed = (plain != drawn).any(axis=2)
    expected = np.zeros((512, 512), bool)  # four px of the overlay for one of the part
    expected[:, 279] = True
    expected[:160, 399] = expected[159, 400:] = True
    assert not changed[~expected].any() and changed[expected].mean() > 0.9
    assert set(map(tuple, drawn[changed])) == {(0, 0, 0), (255, 255, 255)}


def test_from_file_to_report(sclvi, tmp_path):
    good, new = tmp_path / "good", tmp_path / "new"
    good.mkdir()
    new.mkdir()
    for number in range(6):
        Image.fromarray(good_part(number)).save(good / f"{number}.png")
    Image.fromarray(blotched(7, 60, 20)).save(new / "left.png")
    Image.fromarray(blotched(8, 60, 100)).save(new / "outside.png")
    path = write(tmp_path / "region.json", ours(LEFT))
    model, out = tmp_path / "part.sclvi", tmp_path / "results"
    code, said, _ = sclvi("train", good, "--out", model, "--steps", 1, "--size", SIDE, "--region", path)
    assert code == 0 and "region left: threshold" in said
    code, said, _ = sclvi("inspect", model, new, "--out", out, "--fail-on-defect")
    assert code == 3 and "1 good, 1 defective" in said
    records = {
        record["image"][-8:-4]: record for record in map(json.loads, (out / "results.jsonl").read_text().splitlines())
    }
    assert {defect["region"] for defect in records["left"]["defects"]} == {"left"}
    assert records["side"]["defects"] == []
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert sorted(row["worst_region"] for row in rows) == ["", "left"]
    assert "in left" in (out / "report.html").read_text()
    code, _, problem = sclvi("train", good, "--out", model, "--region", tmp_path / "none.png")
    assert code == 2 and "none.png" in problem and problem.count("\n") == 1


def test_real_parts_with_noise_outside_teach_the_same(real_data):
    files = sorted((real_data / "bottle/train/good").iterdir())[:4]
    parts = [read_picture(file) for file in files]
    regions = Regions((box_region("mouth", 30, 30, 98, 98),))
    labels = regions.labels(parts[0].shape[:2])
    noisy = [with_noise_outside(part, labels, number) for number, part in enumerate(parts)]
    first, second = (sclvi.train(some, SETTINGS, regions=regions) for some in (parts, noisy))
    assert first.fingerprint == second.fingerprint
    same_results(first.inspect(parts[:1]), second.inspect(noisy[:1]))


def test_what_was_learned_is_known_again_where_something_is_ignored(halves):
    with pytest.raises(SclviError, match="trained on it"):
        sclvi.calibrate(halves, [good_part(0)])


def test_what_rejects_in_a_region_with_a_low_threshold_is_shown(halves):
    left, right = halves.calibration.regions
    lower = replace(right, value=0.6 * left.value)
    strict = replace(halves, calibration=replace(halves.calibration, regions=(left, lower)))
    fused = 1.5 * strict.threshold * torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rejecting = focus(fused, strict.regions.labels(strict.size), strict.calibration.gains) > strict.threshold
    assert rejecting.any() and not (rejecting & ~strict.shown(fused)).any()


def test_the_order_of_regions_is_a_matter_of_the_unit_alone():
    items = (box_region("left", 0, 0, 70, 128), box_region("right", 70, 0, 128, 128, rate=0.4))
    parts = [good_part(number) for number in range(8)]
    one, two = (sclvi.train(parts, SETTINGS, regions=Regions(some)).calibration for some in (items, items[::-1]))
    assert one.gains[1] > 1.05
    assert one.outline / one.threshold.value == pytest.approx(two.outline / two.threshold.value, rel=1e-5)


@pytest.mark.parametrize("size", [(80, 128, 3), (128, 80, 3)])
def test_a_picture_of_another_shape_is_refused_whichever_way(size):
    regions = Regions((RegionOfInterest("a", "include", (100, 100), ((0, 0), (50, 0), (50, 50), (0, 50))),))
    with pytest.raises(SclviError, match="another shape"):
        regions.fill(np.zeros(size, np.uint8))


def test_white_is_white_in_every_channel(tmp_path):
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[:8] = 255
    mask[8:16, :, 0] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert read_regions(tmp_path / "a.png").labels((32, 32))[:, 0].tolist() == [1] * 8 + [0] * 24


def test_more_regions_than_can_be_told_apart_are_refused(tmp_path):
    stripes = [{"name": str(n), "polygon": [[n, 0], [n + 1, 0], [n + 1, 9], [n, 9]]} for n in range(256)]
    with pytest.raises(SclviError, match="256 regions; 255 at most"):
        read_regions(write(tmp_path / "a.json", {"width": 300, "height": 9, "regions": stripes}))
