"""The audit of good pictures: its statistics, what it finds, its files, and training with it."""

import csv
import io
import itertools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import SIDE, defective_part, good_part, write_category
from PIL import Image
from scipy import stats

import sclvi as package
from benchmarks.contamination import contaminate, measure, measure_audit
from sclvi.audit.audit import CHECKS, Audit, AuditedPicture, audit
from sclvi.audit.duplicates import first_copies
from sclvi.audit.folder import audit_csv, audit_folder
from sclvi.audit.robust import FALSE_SHARE, deviation_of, deviations, outlier_limit
from sclvi.audit.second_look import standing_out
from sclvi.audit.vouchers import nth_picture_distance
from sclvi.data.good import read_good
from sclvi.errors import SclviError
from sclvi.progress import silent

SETTINGS = package.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
COUNT = 24


def read(parts):
    return read_good(parts, None, SIDE, True, silent, None)


def audit_of(parts):
    return audit(read(parts), SETTINGS)


@pytest.fixture(scope="module")
def good():
    return [good_part(number) for number in range(COUNT)]


# statistics


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_distance_to_the_nth_picture_is_what_counting_gives(seed, nth):
    rng = np.random.default_rng(seed)
    distances, pictures = np.sort(rng.random((4, 9)), axis=1), rng.integers(0, 5, (4, 9))
    distances[0, 6:], pictures[0, 6:] = np.inf, -1
    expected = []
    for row, owners in zip(distances, pictures, strict=True):
        seen, last = [], None
        for distance, owner in zip(row, owners, strict=True):
            if np.isfinite(distance) and len(seen) < nth:
                last = distance
                if owner not in seen:
                    seen.append(owner)
        last_there = row[np.isfinite(row)][-1]
        expected.append(last if len(seen) == nth else last_there)
    got = nth_picture_distance(torch.from_numpy(distances), torch.from_numpy(pictures), nth)
    np.testing.assert_array_equal(got.numpy(), expected)


def test_deviations_are_scipys():
    values = np.random.default_rng(0).normal(5, 2, (2, 31))
    for row, got in zip(values, deviations(values, least=0.0), strict=True):
        spread = stats.median_abs_deviation(row, scale="normal")
        np.testing.assert_allclose(got, (row - np.median(row)) / spread, rtol=1e-4)  # scipy has more digits of 1.4826


@pytest.mark.parametrize("count", [8, 30, 200])
def test_few_folders_of_normal_values_have_an_outlier(count):
    values = np.random.default_rng(count).normal(size=(2000, count))
    exceeded = deviations(values, least=0.0)
    alarms = np.mean([row.max() > outlier_limit(row, looks=1) for row in exceeded])
    assert alarms < 1.5 * FALSE_SHARE


def test_the_limit_is_that_of_benjamini_and_hochberg_and_sinks_with_the_number_of_outliers():
    good_values = np.linspace(-2, 2, 90)
    few, many = np.r_[good_values, np.full(1, 3.2)], np.r_[good_values, np.full(10, 3.2)]
    assert outlier_limit(many, 1) < 3.2 < outlier_limit(few, 1)
    count = len(many)
    ascending = np.sort(stats.t.sf(many, 0.37 * (count - 1)))
    largest = max(rank for rank, p in enumerate(ascending, 1) if p <= FALSE_SHARE * rank / count)
    assert largest == 10
    assert outlier_limit(many, 1) == pytest.approx(deviation_of(FALSE_SHARE * largest / count, count))


# what is found


def test_a_clean_folder_has_nothing_to_flag(good):
    audited = audit_of(good)
    assert len(audited.flagged) <= 1
    assert not any(picture.copy_of for picture in audited.pictures)


def test_defective_pictures_are_flagged_though_they_have_the_same_defect(good):
    """Three with one defect at one place: each has two that could vouch for it."""
    parts = [*good, *(good_part(number) for number in range(COUNT, 40)), *map(defective_part, (50, 51, 52))]
    audited = audit_of(parts)
    bad = {"array 40", "array 41", "array 42"}
    flagged = {picture.name for picture in audited.flagged if "unlike" in picture.failed}
    assert bad <= flagged and len(flagged - bad) <= 2
    assert {audited.pictures[number].name for number in audited.ranking()[:3]} == bad
    row, column = np.unravel_index(int(audited.maps[41].argmax()), audited.maps[41].shape)
    assert 60 <= 4 * row <= 84 and 40 <= 4 * column <= 64  # where the blotch is


def test_copies_are_found_whatever_the_lamp_and_the_first_stays(good):
    lighter = np.clip(good[5] * 1.1 + 3, 0, 255).astype(np.uint8)
    larger = np.asarray(Image.fromarray(good[5]).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))
    copies = first_copies(read([*good, good[7], lighter, larger]).images)
    expected = [*range(COUNT), 7, 5, 5]
    assert copies.tolist() == expected


def test_two_copies_of_a_bad_picture_do_not_vouch_for_each_other(good):
    audited = audit_of([*good, defective_part(50), defective_part(50)])
    first, second = audited.pictures[-2:]
    assert "unlike" in first.failed and first.copy_of is None
    assert "unlike" in second.failed and second.copy_of == first.name


def test_two_shots_of_one_bottle_are_found_among_real_bottles(real_data):
    pictures = sorted((real_data / "bottle/train/good").iterdir())
    copies = first_copies(read_good(pictures, None, 64, False, silent, None).images)
    pairs = [(pictures[first].stem, picture.stem) for first, picture in zip(copies, pictures, strict=True)]
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("069", "070")]


def blurred(part):
    return np.asarray(Image.fromarray(part).resize((SIDE // 3, SIDE // 3)).resize((SIDE, SIDE)))


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (blurred, "blur"),
        (lambda part: part // 2, "exposure"),
        (lambda part: np.where(part > 150, 255, part).astype(np.uint8), "exposure"),
        (lambda part: part[:, : SIDE - 28], "size"),
    ],
)
def test_photographic_faults_are_told_apart(good, spoil, check):
    audited = audit_of([*good, spoil(good_part(60))])
    assert check in audited.pictures[-1].failed
    assert [picture.name for picture in audited.pictures if check in picture.failed] == [f"array {COUNT}"]
    others = {"blur", "exposure", "size"} - {check}
    if check != "size":  # squeezed to the others' shape, it is also less sharp
        assert not others & set(audited.pictures[-1].failed)


@pytest.mark.parametrize("parts", [[good_part(0), good_part(1)], [good_part(0)] * 5])
def test_too_few_different_pictures_are_refused(parts):
    with pytest.raises(SclviError, match="different are too few"):
        audit_of(parts)


# training with it


def test_an_odd_exposure_is_told_but_does_not_mislead(good):
    audited = audit_of([*good, (good_part(60) * 0.8).astype(np.uint8)])
    dim = audited.pictures[-1]
    assert dim.is_flagged and not dim.misleads
    assert COUNT in audited.kept()


@pytest.mark.parametrize("action", ["off", "warn", "drop"])
def test_training_leaves_out_what_the_audit_flags_and_the_model_knows(good, action, tmp_path):
    model = package.train([*good, defective_part(50)], SETTINGS.model_copy(update={"audit": action}))
    bad = f"array {COUNT}"
    assert (bad in {picture.name for picture in model.pictures}) == (action != "drop")
    package.save(model, tmp_path / "m.sclvi")
    kept = package.load(tmp_path / "m.sclvi").metadata["audit"]
    assert kept is None if action == "off" else kept["flagged"][bad] == ["unlike the others"]
    if action == "drop":
        left_out = {f"array {number}" for number in range(COUNT + 1)} - {picture.name for picture in model.pictures}
        assert left_out == set(kept["misleading"])


@pytest.mark.parametrize("regions", [1, 2])
def test_scores_that_stand_out_are_found_and_no_others(regions):
    quantiles = stats.norm.ppf((np.arange(40) + 0.5) / 40)  # as normal as forty values can be
    scores = np.exp(np.stack([number + 0.3 * quantiles for number in range(regions)], axis=1))
    assert standing_out(torch.from_numpy(scores)) == []
    scores[[3, 17], -1] = np.exp(regions - 1 + np.array([2.5, 4.0]))  # eight deviations and more, in one region
    assert standing_out(torch.from_numpy(scores)) == [3, 17]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_most_pictures_never_stand_out(scores):
    assert len(standing_out(torch.tensor(scores).double()[:, None])) <= len(scores) / 2


def test_training_names_a_defective_picture_and_can_leave_it_out_of_the_threshold(good):
    parts = [*good, defective_part(50)]
    plain, dropping = (
        package.train(parts, SETTINGS.model_copy(update={"audit": action, "false_reject_rate": 0.04}))
        for action in ("off", "drop")
    )
    clean = package.train(good, SETTINGS.model_copy(update={"false_reject_rate": 0.04}))
    suspects = plain.metadata["suspects"]
    assert list(suspects) == [f"array {COUNT}"]
    assert suspects[f"array {COUNT}"] == pytest.approx(max(plain.calibration.scores))
    assert plain.threshold > 2 * clean.threshold
    assert dropping.threshold == pytest.approx(clean.threshold)  # the audit had found it before
    assert clean.metadata["suspects"] == {} == dropping.metadata["suspects"]


def test_what_the_audit_missed_does_not_set_the_threshold(good, monkeypatch):
    monkeypatch.setattr(Audit, "kept", lambda self: list(range(len(self.pictures))))
    model = package.train([*good, defective_part(50)], SETTINGS.model_copy(update={"audit": "drop"}))
    assert list(model.metadata["suspects"]) == [f"array {COUNT}"]
    assert len(model.calibration.scores) == COUNT < len(model.pictures)
    assert max(model.calibration.scores) < 0.5 * model.metadata["suspects"][f"array {COUNT}"]


def test_some_pictures_are_those_that_would_be_read_alone():
    parts = [good_part(number) for number in range(4)]
    some = read_good(parts, None, SIDE, False, silent, None).only([1, 3])
    alone = read_good([parts[1], parts[3]], None, SIDE, False, silent, None)
    assert some.fingerprint == alone.fingerprint
    assert [picture.name for picture in some.pictures] == ["array 1", "array 3"]


# the command line


@pytest.fixture
def folder(good, tmp_path):
    """Good parts, a bad one, a copy, and a file that is no picture."""
    place = tmp_path / "good"
    place.mkdir()
    for number, part in enumerate([*good, defective_part(50), good[3]]):
        Image.fromarray(part).save(place / f"{number:03}.png")
    (place / "words<b>.png").write_text("words")
    return place


def test_audit_writes_a_ranked_table_and_a_page_that_loads_nothing(sclvi, folder, tmp_path):
    code, out, err = sclvi("audit", folder, "--out", tmp_path / "a/b", "--size", SIDE)
    assert code == 1 and "words<b>.png" in err and len(err.splitlines()) == 1
    assert out.startswith(f"{COUNT + 2} pictures, ") and ", 1 skipped; page: " in out and len(out.splitlines()) == 1
    with (tmp_path / "a/b/audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["picture"] == str(folder / "024.png") and rows[0]["reasons"].startswith("unlike the others")
    assert [int(row["rank"]) for row in rows] == list(range(1, COUNT + 3))
    suspects = {row["picture"]: row for row in rows if row["suspect"] == "True"}
    assert suspects[str(folder / "025.png")]["copy_of"] == str(folder / "003.png")
    page = (tmp_path / "a/b/audit.html").read_text()
    assert len(re.findall(r'<img src="data:image/jpeg', page)) == COUNT + 2
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "words<b>" not in page and "words&lt;b&gt;" in page


def test_train_names_what_it_leaves_out(sclvi, folder, tmp_path):
    (folder / "words<b>.png").unlink()
    again = np.array(Image.open(folder / "025.png"))
    again[0, 0] += 1  # the same pixels as 003.png would not get as far as the audit
    Image.fromarray(again).save(folder / "025.png")
    arguments = ["train", folder, "--out", tmp_path / "m.sclvi", "--size", SIDE, "--steps", 1, "--synthetic-steps", 0]
    code, out, _ = sclvi(*arguments, "--audit", "drop")
    assert code == 0
    assert f"left out: {folder / '024.png'} (unlike the others" in out
    # the copy takes nothing from the promise
    assert "if all of it is (1 of the pictures), at most" in out
    assert f"left out: {folder / '025.png'} (copy of {folder / '003.png'})" in out.splitlines()


def test_train_names_suspects_and_says_what_to_do(sclvi, folder, tmp_path):
    out = sclvi("train", folder, "--out", tmp_path / "m.sclvi", "--size", SIDE, "--steps", 1, "--synthetic-steps", 0)[1]
    named = [line for line in out.splitlines() if line.startswith("suspect: ")]
    assert len(named) == 1 and f"{folder / '024.png'} (scores " in named[0]
    assert "raises the threshold" in out
    quiet = sclvi(
        "train", folder, "--out", tmp_path / "m.sclvi", "--size", SIDE, "--steps", 1, "--synthetic-steps", 0, "--quiet"
    )[1]
    assert quiet == ""


def test_audit_errors_are_one_line(sclvi, folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = sclvi("audit", folder, "--out", tmp_path / "file", "--size", SIDE)
    assert code == 2 and str(tmp_path / "file") in err and len(err.splitlines()) == 1


# the benchmark


def test_contaminating_pictures_leave_the_test_set_and_smaller_shares_lie_within_larger(tmp_path):
    write_category(tmp_path)
    for number in range(6):
        Image.fromarray(defective_part(number)).save(tmp_path / f"test/blotch/1{number:02}.png")
    sets = [contaminate(tmp_path, share, seed=3) for share in (0.0, 0.2, 0.4, 0.5)]
    assert [len(one.bad) for one in sets] == [0, 1, 3, 5]  # of 5, 6, 8 and 10
    for smaller, larger in itertools.pairwise(sets):
        assert smaller.bad < larger.bad
    for one in sets:
        assert not one.bad & {str(item.path) for item in one.test}
        assert len(one.train) - 5 + len(one.test) == 10
    with pytest.raises(SclviError, match="8 to test"):
        contaminate(tmp_path, 0.9, seed=0)


def test_contamination_rows_say_what_was_dropped(tmp_path, monkeypatch):
    write_category(tmp_path)
    rows = [measure(tmp_path, 0.2, action, SETTINGS) for action in ("off", "drop")]
    assert list(rows[0]) == list(rows[1])
    assert [row["dropped"] is None for row in rows] == [True, False]
    assert rows[0]["bad_images"] == 1 and rows[0]["train_images"] == 6
    assert rows[0]["settings"] != rows[1]["settings"]
    assert all(row[rate] in (0, 0.5, 1) for row in rows for rate in ("detected_rate", "rejected_rate"))  # 1 and 2
    json.dumps(rows)


def test_audit_rows_count_what_is_flagged_rightly_and_wrongly(tmp_path):
    write_category(tmp_path)
    for number in range(5, 30):
        Image.fromarray(good_part(100 + number)).save(tmp_path / f"train/good/{number:03}.png")
    for folder in ("test", "ground_truth"):  # only the clear defect stays, and one more to test
        for path in (tmp_path / folder / "blotch").iterdir():
            path.unlink()
    for number in range(2):
        Image.fromarray(defective_part(number)).save(tmp_path / f"test/blotch/{number:03}.png")
    row = measure_audit(tmp_path, 1 / 31, SETTINGS)
    assert (row["pictures"], row["bad_images"], row["recall"]) == (31, 1, 1.0)
    false = round(row["false_drop_rate"] * 30)
    assert row["false_flag_rate"] >= row["false_drop_rate"]
    assert row["precision"] == pytest.approx(1 / (1 + false), abs=1e-4)


def test_the_command_looks_where_it_is_told_and_turns_nothing_where_it_may_not(sclvi, folder, tmp_path, monkeypatch):
    (folder / "words<b>.png").unlink()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    spoiled = np.array(Image.open(folder / "001.png"))
    spoiled[40:70, SIDE - 40 : SIDE - 10] = 10  # on the right, which is not looked at
    Image.fromarray(spoiled).save(folder / "001.png")
    Image.fromarray(mask).save(tmp_path / "left.png")
    suspects = []
    for options in ([], ["--region", tmp_path / "left.png"]):
        assert sclvi("audit", folder, "--out", tmp_path / "a", "--size", SIDE, *options)[0] == 0
        with (tmp_path / "a/audit.csv").open() as file:
            reasons = {row["picture"]: row["reasons"] for row in csv.DictReader(file)}
        suspects.append("unlike the others" in reasons[str(folder / "001.png")])
    assert suspects == [True, False]

    seen = []
    real = audit_folder

    def noted(good, out, settings, *others):
        seen.append((settings.align, settings.short_side))
        return real(good, out, settings, *others)

    monkeypatch.setattr("sclvi.audit.folder.audit_folder", noted)
    for options in ([], ["--no-align"]):
        assert sclvi("audit", folder, "--out", tmp_path / "a", "--size", SIDE, "--quiet", *options)[0] == 0
    assert seen == [(True, SIDE), (False, SIDE)]


def test_a_picture_clipped_at_both_ends_is_told_though_its_brightness_is_usual(good):
    part = good[0]
    harsh = part.copy().reshape(-1, part.shape[2])
    ends = harsh[::8]  # one pixel in eight becomes black or white
    white = round(len(ends) * float(ends.mean()) / 255)
    ends[:] = 0
    ends[[int(place * len(ends) / white) for place in range(white)]] = 255
    harsh = harsh.reshape(part.shape)
    assert abs(float(harsh.mean()) - float(part.mean())) < 0.5
    assert "exposure" in audit_of([*good[1:], harsh]).pictures[-1].failed


def test_the_table_says_height_and_width():
    picture = AuditedPicture("a.png", (30, 40), dict.fromkeys(CHECKS, 0.0), (), None, 0.0)
    audited = Audit((picture,), dict.fromkeys(CHECKS, 1.0), torch.zeros(1, 8, 8))
    (row,) = csv.DictReader(io.StringIO(audit_csv(audited).decode("utf-8-sig")))
    assert (row["height"], row["width"]) == ("30", "40")
