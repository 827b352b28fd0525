import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parts import SIDE, defective_part, good_part
from PIL import Image

import sclvi
from sclvi.data.regions import RegionOfInterest, Regions
from sclvi.data.sources import listed
from sclvi.errors import SclviError
from sclvi.learn import build_model, learn_good
from sclvi.model_file import fingerprint_of
from sclvi.scoring.maps import Usual, fuse_maps, image_scores
from sclvi.scoring.strangers import Stranger
from sclvi.settings import preset

SETTINGS = sclvi.Settings(steps=2, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
COUNT = 10


@pytest.fixture(scope="module")
def model():
    return sclvi.train([good_part(number) for number in range(COUNT)], SETTINGS)


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "part.sclvi"
    sclvi.save(model, path)
    return path


def test_defect_is_found_where_it_is_and_good_parts_pass(model):
    good = list(model.inspect(good_part(number) for number in range(100, 104)))
    (bad,) = model.inspect([defective_part(104)])
    assert bad.verdict == "defective"
    assert bad.score > 1.5 * max(inspection.score for inspection in good)
    box = bad.defects[0].box
    assert box.x < 64 and box.x + box.width > 40 and box.y < 84 and box.y + box.height > 60
    assert bad.defects[0].nearest_good.picture.startswith("array ")


def test_arrays_and_files_give_the_same(model, tmp_path):
    path = tmp_path / "part.png"
    Image.fromarray(defective_part(1)).save(path)
    (from_file,) = model.inspect([path])
    (from_array,) = model.inspect([defective_part(1)])
    assert from_file.score == from_array.score
    assert np.array_equal(from_file.anomaly_map, from_array.anomaly_map)
    assert from_file.image == str(path)


def test_one_picture_and_a_folder_need_no_list(model, tmp_path):
    parts = [good_part(40), defective_part(50)]
    for number, part in enumerate(parts):
        Image.fromarray(part).save(tmp_path / f"{number}.png")
    scores = [inspection.score for inspection in model.inspect(parts)]
    assert [inspection.score for inspection in model.inspect(str(tmp_path))] == pytest.approx(scores)
    assert [inspection.score for inspection in model.inspect(tmp_path / "1.png")] == pytest.approx(scores[1:])
    assert [inspection.score for inspection in model.inspect(parts[0])] == pytest.approx(scores[:1])
    with pytest.raises(SclviError, match="gone: does not exist"):
        model.inspect(tmp_path / "gone")


def test_a_camera_may_use_its_buffer_again(model):
    parts = [good_part(40), defective_part(50), *(good_part(number) for number in range(41, 60))]

    def camera():
        buffer = np.empty_like(parts[0])
        for part in parts:
            buffer[:] = part
            yield buffer

    seen = [inspection.verdict == "defective" for inspection in model.inspect(camera())]
    assert seen == [inspection.verdict == "defective" for inspection in model.inspect(parts)]
    assert seen[1]


def test_an_array_of_paths_is_no_picture_and_no_batch_is_no_answer(model, tmp_path):
    for number in range(2):
        Image.fromarray(good_part(number)).save(tmp_path / f"{number}.png")
    names = np.array([str(tmp_path / "0.png"), str(tmp_path / "1.png")])
    assert [inspection.image for inspection in model.inspect(names)] == names.tolist()
    with pytest.raises(ValueError, match="batches of 0"):
        list(model.inspect([good_part(0)], batch=0))


def test_order_and_batches_do_not_matter(model):
    parts = [good_part(number) for number in range(20, 31)]  # more than a batch
    together = [inspection.score for inspection in model.inspect(parts)]
    alone = [next(model.inspect([part])).score for part in parts]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_brightness_and_contrast_of_the_lamp_hardly_matter(model):
    part = good_part(50).astype(np.float32) / 255
    (usual,), (dim,) = model.inspect([part]), model.inspect([part * 0.6 + 0.05])
    assert dim.score == pytest.approx(usual.score, rel=0.02)


def test_score_is_the_maximum_of_the_map_and_decides_the_verdict(model):
    for inspection in model.inspect([good_part(60), defective_part(60)]):
        assert inspection.score == pytest.approx(float(inspection.anomaly_map.max()))
        assert (inspection.verdict == "defective") == (inspection.score > model.threshold) == bool(inspection.defects)


def test_boxes_are_in_pixels_of_the_original_picture(model):
    part = defective_part(70)
    large = part.repeat(3, axis=0).repeat(2, axis=1)
    (inspection,) = model.inspect([large])
    box = inspection.defects[0].box
    assert inspection.size == (3 * SIDE, 2 * SIDE)
    assert box.x < 128 and box.x + box.width > 80 and box.y < 252 and box.y + box.height > 180


def test_a_bad_picture_does_not_stop_a_batch(model, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    skipped = []
    done = list(model.inspect([good_part(0), broken, good_part(1)], lambda name, error: skipped.append((name, error))))
    assert len(done) == 2
    ((name, error),) = skipped
    assert name == str(broken)
    assert str(broken) in str(error)
    with pytest.raises(SclviError):
        list(model.inspect([broken]))


def test_pictures_are_told_of_in_order_good_or_bad_however_many_batches_they_fill(model, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    told = []
    pictures = [good_part(0), good_part(1), broken, broken, broken, good_part(2), good_part(3)]
    for inspection in model.inspect(pictures, lambda name, _: told.append(name), batch=2):
        told.append(inspection.image)
    assert told == ["array 0", "array 1", *[str(broken)] * 3, "array 5", "array 6"]
    until = model.inspect(pictures, batch=2)
    assert [next(until).image, next(until).image] == ["array 0", "array 1"]
    with pytest.raises(SclviError):
        next(until)


def test_saved_model_gives_bit_for_bit_the_same(model, saved):
    again = sclvi.load(saved)
    parts = [good_part(80), defective_part(81)]
    for before, after in zip(model.inspect(parts), again.inspect(parts), strict=True):
        assert np.array_equal(before.anomaly_map, after.anomaly_map)
        assert before == after
    assert again.pictures == model.pictures
    assert again.calibration == model.calibration


def test_same_seed_same_model_bit_for_bit():
    parts = [good_part(number) for number in range(6)]
    settings = SETTINGS.model_copy(update={"steps": 3})
    first, second = sclvi.train(parts, settings), sclvi.train(parts, settings)
    assert first.fingerprint == second.fingerprint
    for (name, a), b in zip(
        first.inspector.encoder.state_dict().items(), second.inspector.encoder.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    other = sclvi.train(parts, settings.model_copy(update={"seed": 1}))
    assert other.fingerprint != first.fingerprint


@pytest.mark.parametrize("tile", [None, SIDE])
@pytest.mark.parametrize("pictures", [0, 2.5])
def test_calibration_is_the_same_whether_maps_are_kept_or_made_twice(monkeypatch, tile, pictures):
    parts = [np.tile(good_part(number), (1, 2, 1)) for number in range(6)]
    settings = SETTINGS.model_copy(update={"tile": tile, "align": False})
    kept = sclvi.train(parts, settings).calibration
    maps = len(kept.usual) * 4 * SIDE * 2 * SIDE / 2**20
    monkeypatch.setattr("sclvi.self_calibration._KEPT_MIB", pictures * maps)
    assert sclvi.train(parts, settings).calibration == kept


@pytest.mark.parametrize(("folds", "most", "length"), [(40, 10, 1), (3, 10, 2), (2, 2, 2)])
def test_pictures_that_follow_each_other_are_left_out_together(monkeypatch, folds, most, length):
    monkeypatch.setattr("sclvi.self_calibration._FOLDS", folds)
    monkeypatch.setattr("sclvi.self_calibration._FOLD", most)
    count = 7  # two folds of three hold two pictures, and the fourth the one that is over
    settings = SETTINGS.model_copy(update={"set_aside": 0.5, "align": False})
    lesson = learn_good([good_part(number) for number in range(count)], settings)
    trained = build_model(lesson, settings, 0.0)
    expected = []
    for number in lesson.held.tolist():
        first = number // length * length
        fold = range(first, min(first + length, count))
        stranger = Stranger.to(trained.inspector, lesson.moments, lesson.images, fold)
        (maps,) = stranger.score(lesson.images, range(number, number + 1))
        expected.append(image_scores(fuse_maps(maps, trained.calibration.usual, raised=True)).item())
    assert trained.calibration.scores == pytest.approx(tuple(expected), rel=1e-5)


def test_set_aside_pictures_are_scored_against_a_memory_without_themselves(model):
    """Calibration scores are like those of new good pictures, not like those of remembered ones."""
    new = [inspection.score for inspection in model.inspect(good_part(number) for number in range(200, 220))]
    remembered = [inspection.score for inspection in model.inspect(good_part(number) for number in range(COUNT))]
    calibrated = np.mean(model.calibration.scores)
    assert abs(np.mean(new) - calibrated) < abs(np.mean(remembered) - calibrated)


def test_memory_stays_within_its_budget():
    parts = [good_part(number) for number in range(8)]
    small = sclvi.train(parts, SETTINGS.model_copy(update={"memory_mib": 0.25}))
    banks = [memory.bank for memory in small.inspector.memories]
    assert 0.2 < sum(len(bank.to_bytes()) + bank.origins.nbytes for bank in banks) / 2**20 <= 0.25
    (bad,), (good,) = small.inspect([defective_part(90)]), small.inspect([good_part(90)])
    assert bad.score > good.score


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_of_the_training_pictures_are_kept(channels):
    model = sclvi.train([good_part(number, channels) for number in range(5)], SETTINGS)
    assert model.channels == channels
    (inspection,) = model.inspect([defective_part(0, channels)])
    assert inspection.score > model.threshold


@pytest.mark.parametrize("count", [2, 4])
def test_a_handful_of_pictures_still_makes_a_model(count):
    model = sclvi.train([good_part(number) for number in range(count)], SETTINGS)
    good, bad = model.inspect([good_part(9), defective_part(9)])
    assert bad.score > good.score and bad.verdict == "defective"


def test_one_picture_is_refused():
    with pytest.raises(SclviError, match="one good picture is too few"):
        sclvi.train([good_part(0)], SETTINGS)


def test_surface_arrays_that_do_not_fit_are_refused(saved, monkeypatch):
    model = sclvi.load(saved)
    level = model.inspector.surface.levels[1]
    cut = replace(
        model.inspector.surface, levels=(*model.inspector.surface.levels[:1], replace(level, means=level.means[:2]))
    )
    spoilt = replace(model, inspector=replace(model.inspector, surface=cut))
    sclvi.save(spoilt, saved)
    with pytest.raises(SclviError, match="damaged model file") as caught:
        sclvi.load(saved)
    assert str(saved) in str(caught.value)


def test_scores_of_equal_pictures_without_contrast_are_finite():
    model = sclvi.train([np.full((SIDE, SIDE), 128 + number, np.uint8) for number in range(5)], SETTINGS)
    (inspection,) = model.inspect(np.full((SIDE, SIDE), 128, np.uint8))
    assert np.isfinite(inspection.score)


def test_copies_of_one_picture_are_one_picture():
    left_out = []
    with pytest.raises(SclviError, match="one good picture is too few"):
        sclvi.train([good_part(0)] * 3, SETTINGS, on_skip=lambda name, error: left_out.append(name))
    assert left_out == ["array 1", "array 2"]


def with_content(data, change):
    """The file with its JSON changed, everything else as it was."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    content = json.loads(header["__metadata__"]["sclvi"])
    change(content)
    header["__metadata__"]["sclvi"] = json.dumps(content, sort_keys=True)
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + length :]


def flip_bit(data):
    middle = len(data) - 1000
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:5], "truncated"),
        (lambda data: b"", "truncated"),
        (lambda data: b"these are not weights at all, only words", "not an sclvi model"),
        (flip_bit, "altered"),
        (lambda data: with_content(data, lambda content: content.update(format_version=99)), "format 99"),
        (lambda data: with_content(data, lambda content: content["calibration"].update(outline=0.0)), "altered"),
    ],
)
def test_spoiled_model_files_are_refused_in_one_line(saved, spoil, says):
    saved.write_bytes(spoil(saved.read_bytes()))
    with pytest.raises(SclviError, match=says) as caught:
        sclvi.load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_from_before_maps_had_weights_inspects_as_it_did(model, tmp_path):
    usual = tuple(replace(one, ranks=bool(one.ranks)) for one in model.calibration.usual)
    old = replace(model, calibration=replace(model.calibration, usual=usual))
    sclvi.save(replace(old, fingerprint=fingerprint_of(old)), tmp_path / "old.sclvi")
    assert b'\\"ranks\\": true' in (tmp_path / "old.sclvi").read_bytes()
    (before,), (after,) = (one.inspect([defective_part(0)]) for one in (model, sclvi.load(tmp_path / "old.sclvi")))
    assert np.array_equal(before.anomaly_map, after.anomaly_map)


def test_missing_model_is_said(tmp_path):
    with pytest.raises(SclviError, match=r"none\.sclvi"):
        sclvi.load(tmp_path / "none.sclvi")


def test_a_model_of_the_paper_preset_is_trained_saved_loaded_and_inspects(tmp_path):
    settings = preset("paper", size=(64, 64), steps=1, batch=2, memory_strides=(32, 32))
    parts = [good_part(number, 1)[:64, :64] for number in range(5)]
    model = sclvi.train(parts, settings)
    sclvi.save(model, tmp_path / "paper.sclvi")
    again = sclvi.load(tmp_path / "paper.sclvi")
    (before,), (after,) = (
        model.inspect([defective_part(0, 1)[30:94, 30:94]]),
        again.inspect([defective_part(0, 1)[30:94, 30:94]]),
    )
    assert np.array_equal(before.anomaly_map, after.anomaly_map) and before == after
    mean = torch.stack([torch.from_numpy(part).permute(2, 0, 1) / 255 for part in parts]).mean(0)
    torch.testing.assert_close(again.light.mean, mean)


def test_nearest_item_alone_is_the_affinity_of_one_item():
    parts = [good_part(number) for number in range(5)]
    one = sclvi.train(parts, SETTINGS.model_copy(update={"eta": 1}))
    nearest = sclvi.train(parts, SETTINGS.model_copy(update={"fusion": "nearest"}))
    (a,), (b,) = one.inspect([defective_part(3)]), nearest.inspect([defective_part(3)])
    np.testing.assert_allclose(a.anomaly_map, b.anomaly_map, rtol=1e-5)


def test_appearance_is_measured_before_alignment_alike_in_training_and_inspection(tmp_path):
    # a part in calm background, which is cut away: where it lies still shows in the appearance
    def part(number, column):
        picture = np.full((SIDE, SIDE, 3), 60, np.uint8)
        picture[40:80, column : column + 40] = good_part(number)[:40, :40]
        return picture

    parts = [part(number, 30) for number in range(6)]
    aligning = sclvi.train(parts, SETTINGS)
    assert aligning.alignment.changes
    sclvi.save(aligning, tmp_path / "part.sclvi")
    loaded = sclvi.load(tmp_path / "part.sclvi")
    for inspection, known in zip(loaded.inspect(parts), loaded.pictures, strict=True):
        assert inspection.appearance == known.appearance
    (moved,) = loaded.inspect([part(0, 46)])
    assert moved.appearance["across"] - loaded.pictures[0].appearance["across"] == pytest.approx(16 / SIDE, abs=0.02)
    statistics = loaded.good_statistics
    assert statistics["score"] == aligning.calibration.scores
    assert {len(values) for name, values in statistics.items() if name != "score"} == {6}


def test_what_is_usual_for_a_picture_is_said_by_the_others_alone():
    settings = SETTINGS.model_copy(update={"align": False})
    lesson = learn_good([good_part(number) for number in range(5)], settings)
    trained = build_model(lesson, settings, 0.0)
    shown = []
    for number in range(5):
        own = range(number, number + 1)
        (maps,) = Stranger.to(trained.inspector, lesson.moments, lesson.images, own).score(lesson.images, own)
        shown.append(maps)
    roles, expected = trained.inspector.roles(lesson.data.alignment.places_alike), []
    for number, own in enumerate(shown):
        others = zip(*(maps for other, maps in enumerate(shown) if other != number), strict=True)
        usual = tuple(Usual.measure(torch.cat(kind), role) for kind, role in zip(others, roles, strict=True))
        expected.append(image_scores(fuse_maps(own, usual, raised=True)).item())
    assert trained.calibration.scores == pytest.approx(expected, rel=1e-4)


def test_a_stranger_sees_what_a_model_that_never_saw_the_fold_sees():
    """With an encoder that learns nothing, so that only memory and surface can know a picture."""
    changes = {"steps": 0, "align": False, "nearness": 0.0, "softness": None, "closer": 1.0}
    settings = SETTINGS.model_copy(update=changes)
    parts = [good_part(number) for number in range(6)]
    whole, rest = learn_good(parts, settings), learn_good(parts[2:], settings)
    stranger = Stranger.to(build_model(whole, settings, 0.0).inspector, whole.moments, whole.images, range(2))
    expected, _ = build_model(rest, settings, 0.0).inspector.score(whole.images[torch.arange(2)])
    (maps,), (alone,) = stranger.score(whole.images, range(2)), stranger.score(whole.images, range(1))
    for one, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=3e-2, atol=1e-3)
    torch.testing.assert_close(alone[0][0], expected[0][0], rtol=3e-2, atol=1e-3)


def test_maps_that_few_pictures_tell_of_are_taken_with_caution(model):
    assert [role.caution for role in model.inspector.roles(places_alike=True)] == [1, 1, 2, 2]


def test_what_changes_a_verdict_changes_the_fingerprint_though_all_that_was_learned_is_the_same(model):
    settings = model.inspector.settings
    other_settings = settings.model_copy(update={"smoothing": settings.smoothing + 1})
    threshold = replace(model.calibration.threshold, value=model.calibration.threshold.value + 1)
    masks = [np.zeros((SIDE, SIDE), bool) for _ in range(2)]
    masks[0][:, :60], masks[1][:, :70] = True, True
    corners = [((0, 0), (right, 0), (right, 90), (0, 90)) for right in (60, 70)]
    regions = [Regions((RegionOfInterest("a", "include", (SIDE, SIDE), outline),)) for outline in (*masks, *corners)]
    others = [
        replace(model, inspector=replace(model.inspector, settings=other_settings)),
        replace(model, calibration=replace(model.calibration, threshold=threshold)),
        *(replace(model, regions=one) for one in regions),
    ]
    prints = [fingerprint_of(one) for one in (model, *others)]
    assert prints[0] == model.fingerprint
    assert len(set(prints)) == len(prints)


def test_arrays_of_names_and_of_path_objects_are_lists_of_pictures():
    paths = [Path("a.png"), Path("b.png")]
    assert listed(np.array(paths, object)) == paths
    assert listed(np.array(["a.png", "b.png"])) == ["a.png", "b.png"]
