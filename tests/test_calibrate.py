"""A threshold set anew: what changes, what does not, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sclvi
from benchmarks.teach import with_threshold
from sclvi.decision.threshold import conformal_threshold, p_value
from sclvi.errors import SclviError
from tests.parts import SIDE, defective_part, good_part

SETTINGS = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)


@pytest.fixture(scope="module")
def model():
    return sclvi.train([good_part(number) for number in range(8)], SETTINGS)


def test_the_threshold_is_the_conformal_quantile_of_the_new_scores(model):
    others = [good_part(number) for number in range(50, 62)]
    scores = [inspection.score for inspection in model.inspect(others)]
    calibrated = sclvi.calibrate(model, others, 0.2)
    assert calibrated.threshold == sorted(scores)[int(np.ceil(13 * 0.8)) - 1]
    assert calibrated.calibration.threshold.promised_rate == 0.2
    assert calibrated.calibration.pixel_threshold <= calibrated.threshold
    assert calibrated.fingerprint != model.fingerprint
    again = [inspection.score for inspection in calibrated.inspect(others)]
    assert again == scores


def test_a_part_shows_a_defect_exactly_when_it_is_rejected(model):
    """So the promise for parts is that for regions, too; also at the edge, where a score equals the threshold."""
    parts = [good_part(number) for number in range(80, 90)] + [defective_part(90)]
    for threshold in (inspection.score for inspection in list(model.inspect(parts))):
        said = list(with_threshold(model, threshold).inspect(parts))
        assert [one.verdict == "defective" for one in said] == [len(one.defects) > 0 for one in said]
        assert sum(one.verdict == "defective" for one in said) == sum(one.score > threshold for one in said)
        assert {one.promised_rate for one in said} == {model.calibration.threshold.promised_rate}


@pytest.mark.parametrize("rate", [0, 1, -1, 5, float("nan")])
def test_a_rate_that_is_none_is_refused(model, rate):
    with pytest.raises(SclviError, match="a share between 0 and 1"):
        sclvi.calibrate(model, [good_part(50)], rate)


def test_a_rate_may_be_a_number_of_numpys(model, tmp_path):
    sclvi.save(sclvi.calibrate(model, [good_part(50)], np.float32(0.5)), tmp_path / "m.sclvi")
    assert sclvi.load(tmp_path / "m.sclvi").calibration.threshold.asked_rate == 0.5


def test_few_pictures_say_what_they_can_promise(model):
    threshold = sclvi.calibrate(model, [good_part(50), good_part(51)], 0.01).calibration.threshold
    assert not threshold.is_kept
    assert threshold.promised_rate == pytest.approx(1 / 3)


def test_a_defective_picture_among_the_good_ones_is_named(model):
    parts = [*(good_part(number) for number in range(50, 62)), defective_part(63)]
    calibrated = sclvi.calibrate(model, parts)
    assert list(calibrated.metadata["suspects"]) == ["array 12"]
    assert calibrated.metadata["suspects"]["array 12"] == pytest.approx(calibrated.threshold)  # it has set it
    assert sclvi.calibrate(model, parts[:-1]).metadata["suspects"] == {}


def test_p_values_follow_the_calibration(model):
    calibrated = sclvi.calibrate(model, [good_part(number) for number in range(50, 59)])
    good, bad = calibrated.inspect([good_part(70), defective_part(71)])
    assert bad.p_value == pytest.approx(0.1)
    assert good.p_value == sum(score >= good.score for score in (*calibrated.calibration.scores, np.inf)) / 10


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1e6), st.floats(0.01, 0.99))
def test_a_score_above_the_threshold_has_a_p_value_within_the_promise(scores, score, rate):
    threshold = conformal_threshold(scores, rate)
    if score > threshold.value:
        assert p_value(score, scores) <= threshold.promised_rate + 1e-9
    assert 1 / (len(scores) + 1) <= p_value(score, scores) <= 1


def test_what_is_no_number_has_the_smallest_p_value():
    assert p_value(float("nan"), [1.0, 2.0, 3.0]) == 0.25


def test_pictures_that_were_learned_from_are_refused(tmp_path):
    for number in range(4):
        Image.fromarray(good_part(number)).save(tmp_path / f"{number}.png")
    model = sclvi.train(tmp_path, SETTINGS)
    with pytest.raises(SclviError, match="trained on it"):
        sclvi.calibrate(model, tmp_path)


def test_what_was_learned_is_known_again_by_its_pixels_and_not_by_its_name(tmp_path, monkeypatch):
    for folder, first in (("good", 0), ("other/good", 50)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(good_part(first + number)).save(tmp_path / folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    model = sclvi.train("good", SETTINGS)
    for again in (tmp_path / "good", [good_part(60), good_part(2)]):  # by another path, as an array
        with pytest.raises(SclviError, match="trained on it"):
            sclvi.calibrate(model, again)
    monkeypatch.chdir(tmp_path / "other")
    assert sclvi.calibrate(model, "good").calibration.threshold.pictures == 4  # good/0.png, but of another line


def test_a_copy_is_no_second_witness(model):
    parts, left_out = [good_part(number) for number in range(50, 54)], []
    once = sclvi.calibrate(model, parts).calibration
    twice = sclvi.calibrate(model, [*parts, parts[2].copy()], on_skip=lambda name, error: left_out.append(str(error)))
    assert left_out == ["array 4: has the same pixels as array 2, so it tells nothing new"]
    assert (twice.calibration.scores, twice.calibration.threshold) == (once.scores, once.threshold)
    with pytest.raises(SclviError, match="same pixels"):
        sclvi.calibrate(model, [parts[0], parts[0]])


def test_copies_among_the_good_pictures_are_left_out_of_training(tmp_path):
    for number in range(4):
        for name in (f"{number}.png", f"{number}_copy.bmp"):
            Image.fromarray(good_part(number)).save(tmp_path / name)
    left_out = []
    model = sclvi.train(tmp_path, SETTINGS, on_skip=lambda name, error: left_out.append(Path(name).name))
    assert left_out == [f"{number}_copy.bmp" for number in range(4)]
    alone = sclvi.train([tmp_path / f"{number}.png" for number in range(4)], SETTINGS)
    assert model.calibration == alone.calibration
    assert [Path(picture.name).name for picture in model.pictures] == [f"{number}.png" for number in range(4)]


def test_a_low_threshold_once_does_not_make_defects_larger_for_good(model):
    others = [good_part(number) for number in range(50, 62)]
    low = sclvi.calibrate(model, others, 0.95)
    assert low.calibration.pixel_threshold == low.threshold < model.calibration.pixel_threshold
    again = sclvi.calibrate(low, others, 0.1)
    assert again.calibration.pixel_threshold == sclvi.calibrate(model, others, 0.1).calibration.pixel_threshold


def test_one_bad_picture_is_left_out_and_none_at_all_is_an_error(model, tmp_path):
    Image.fromarray(good_part(50)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    left_out = []
    calibrated = sclvi.calibrate(model, tmp_path, on_skip=lambda name, error: left_out.append(name))
    assert len(left_out) == 1
    assert len(calibrated.calibration.scores) == 1
    with pytest.raises(SclviError):
        sclvi.calibrate(model, [tmp_path / "bad.png"])


def test_the_command_writes_the_model_and_says_what_it_promises(sclvi, model, tmp_path):
    from sclvi.model_file import load, save

    path = tmp_path / "part.sclvi"
    save(model, path)
    folder = tmp_path / "others"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(good_part(50 + number)).save(folder / f"{number}.png")
    code, out, _ = sclvi("calibrate", path, folder, "--false-reject-rate", 0.1)
    assert code == 0
    assert "at most 25.0% of good parts" in out and "6 more pictures" in out
    assert load(path).calibration.threshold.pictures == 3
    code, _, err = sclvi("calibrate", path, folder, "--false-reject-rate", 1.5)
    assert code == 2 and "between 0 and 1" in err
    assert load(path).calibration.threshold.pictures == 3


def test_p_value_by_hand():
    assert p_value(2.0, [1.0, 2.0, 2.0, 3.0]) == 4 / 5
    assert (p_value(3.0, [1.0, 2.0, 3.0]), p_value(1.0, [1.0, 2.0, 3.0])) == (1 / 2, 1)


def test_the_command_names_a_bad_picture_and_leaves_the_old_model_where_another_is_written(sclvi, model, tmp_path):
    from sclvi.model_file import load, save

    path, other, folder = tmp_path / "part.sclvi", tmp_path / "other.sclvi", tmp_path / "others"
    save(model, path)
    before = path.read_bytes()
    folder.mkdir()
    for number in range(3):
        Image.fromarray(good_part(50 + number)).save(folder / f"{number}.png")
    (folder / "words.png").write_text("words")
    code, _, err = sclvi("calibrate", path, folder, "--out", other, "--quiet")
    assert code == 1 and "words.png" in err and len(err.splitlines()) == 1
    assert path.read_bytes() == before
    assert load(other).calibration.threshold.pictures == 3
