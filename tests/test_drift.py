"""Drift: the promise about false alarms, and what is found."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sclvi.data.appearance import measure_appearance
from sclvi.data.preparing import prepare
from sclvi.data.reading import read_picture
from sclvi.decision.drift import FALSE_ALARM_RATE, SCORE, bet, conformal_p_values, find_drift
from sclvi.report.drift import change_words, drift_json, drift_line

LEVELS = st.lists(st.integers(0, 4).map(float), max_size=12)  # few values: many ties


@given(LEVELS, LEVELS, st.integers(0, 5))
def test_p_values_are_what_counting_says(reference, values, seed):
    draws = np.random.default_rng(seed)
    slow = []
    for at, value in enumerate(values):
        bag = [*reference, *values[: at + 1]]
        equal = sum(other == value for other in bag)
        slow.append((sum(other < value for other in bag) + draws.random() * equal) / len(bag))
    np.testing.assert_allclose(conformal_p_values(reference, values, np.random.default_rng(seed)), slow)


@pytest.mark.parametrize("kinds", [3, 10**9], ids=["ties", "no ties"])
def test_p_values_of_exchangeable_pictures_are_uniform_and_independent_however_few_the_good_ones(kinds):
    runs = []
    for seed in range(2000):
        rng = np.random.default_rng((1, seed))
        scale = rng.exponential()  # each run from another distribution: only exchangeability is given
        drawn = np.floor(scale * rng.exponential(size=7) * kinds)
        runs.append(conformal_p_values(drawn[:3], drawn[3:], rng))
    p = np.array(runs)
    for at in range(p.shape[1]):
        assert stats.kstest(p[:, at], "uniform").pvalue > 1e-4
    correlation = stats.spearmanr(p).statistic[np.triu_indices(p.shape[1], 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(p))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_capital_is_that_of_a_gambler_who_moves_his_money_by_hand(p_values):
    purses = dict.fromkeys((-2, -1, 0, 1, 2), 0.2)
    expected = []
    for p in p_values:
        total = sum(purses.values())
        purses = {e: (0.999 * purse + 0.001 * total / 5) * (1 + e * (p - 0.5)) for e, purse in purses.items()}
        expected.append(sum(purses.values()))
    capital, leaning = bet(p_values)
    np.testing.assert_allclose(np.exp(capital), expected, rtol=1e-9)
    mean_bet = sum(e * purse for e, purse in purses.items()) / sum(purses.values())
    assert leaning[-1] == pytest.approx(mean_bet)


def test_the_game_is_fair_and_never_doubles_faster_than_a_picture():
    outcomes = (np.arange(1000) + 0.5) / 1000
    for before in ([], [0.9] * 20, [0.1, 0.7, 0.99]):
        start = np.exp(bet([*before, 0.5])[0][-2]) if before else 1.0
        after = [np.exp(bet([*before, p])[0][-1]) for p in outcomes]
        assert np.mean(after) == pytest.approx(start)
        assert max(after) <= 2 * start


def test_no_more_alarms_than_promised_in_runs_of_ten_thousand_undisturbed_pictures():
    rate, runs, watched = 0.1, 300, 4  # a rate that enough runs can tell from a broken one
    p = np.random.default_rng(3).random((runs, watched, 10_000), np.float32)
    alarmed = (bet(p)[0].max(-1) >= np.log(watched / rate)).any(1)
    assert alarmed.mean() <= rate + 3 * np.sqrt(rate * (1 - rate) / runs)
    assert alarmed.any()  # it can alarm: the promise is not kept by never betting


def test_no_more_alarms_than_promised_with_few_good_pictures_and_statistics_that_hang_together():
    rate, runs = 0.1, 250
    alarms = 0
    for seed in range(runs):
        rng = np.random.default_rng((4, seed))
        common = rng.normal(size=110)
        drawn = {name: common + rng.normal(size=110) for name in ("one", "two")}
        good = {name: values[:10].tolist() for name, values in drawn.items()}
        seen = [{name: values[at] for name, values in drawn.items()} for at in range(10, 110)]
        alarms += bool(find_drift(good, seen, rate, seed).changes)
    assert alarms / runs <= rate + 3 * np.sqrt(rate * (1 - rate) / runs)


def normal_run(rng, count, shift=0.0):
    return [{"level": rng.normal() + shift, "contrast": rng.normal()} for _ in range(count)]


def normal_good(rng, count=150):
    pictures = normal_run(rng, count)
    return {name: [picture[name] for picture in pictures] for name in ("level", "contrast")}


@pytest.mark.parametrize("undisturbed", [0, 1000])
@pytest.mark.parametrize(("shift", "words"), [(-2.0, "darker"), (2.0, "brighter")])
def test_a_change_is_found_within_fifty_pictures_and_named(undisturbed, shift, words):
    rng = np.random.default_rng(5)
    good = normal_good(rng)
    drift = find_drift(good, normal_run(rng, undisturbed) + normal_run(rng, 50, shift))
    (change,) = drift.changes
    assert change_words(change) == words
    assert undisturbed + drift.fewest <= change.noticed <= undisturbed + 50
    assert change.usual == np.median(good["level"])
    assert change.now == pytest.approx(shift, abs=1)


def test_what_came_first_does_not_depend_on_what_came_after():
    rng = np.random.default_rng(6)
    good, run = normal_good(rng), normal_run(rng, 60, 2.0)
    whole = find_drift(good, run)
    (change,) = whole.changes
    assert find_drift(good, run[: change.noticed]).changes == (change,)
    assert find_drift(good, run[: change.noticed - 1]).changes == ()


def test_defects_in_one_of_twenty_pictures_are_no_drift():
    for seed in range(20):
        rng = np.random.default_rng((7, seed))
        good, run = normal_good(rng), normal_run(rng, 1000)
        for picture in run:
            if rng.random() < 0.05:
                picture["level"] += 100
        assert find_drift(good, run).changes == ()


def test_an_alarm_takes_as_many_pictures_as_it_says():
    good = {"level": [0.0] * 30}
    fewest = find_drift(good, []).fewest
    rising = [{"level": float(number)} for number in range(1, 400)]
    found = [find_drift(good, rising[:count]).changes for count in (fewest - 1, 399)]
    assert found[0] == () and found[1][0].noticed >= fewest
    assert np.exp(bet(np.ones(fewest))[0][-1]) >= 1 / FALSE_ALARM_RATE > np.exp(bet(np.ones(fewest - 1))[0][-1])


def test_the_line_says_what_is_known():
    rng = np.random.default_rng(8)
    good = {**normal_good(rng), "score": rng.normal(size=150).tolist()}

    def run(**shifts):
        return [{name: rng.normal() + shifts.get(name, 0) for name in good} for _ in range(60)]

    assert drift_line(find_drift(good, run())).startswith("no sign in 60 pictures")
    assert "3 pictures cannot show" in drift_line(find_drift(good, run()[:3]))
    assert "1 picture cannot show" in drift_line(find_drift(good, run()[:1]))
    dark = find_drift(good, run(level=-3, score=3))
    assert drift_line(dark).startswith("the camera or the light changed since training: ")
    assert "darker (level " in drift_line(dark) and "scores higher (score " in drift_line(dark)
    assert "the camera and the light are as in training" in drift_line(find_drift(good, run(score=3)))
    told = drift_json(dark)
    assert told["drifted"] and told["false_alarm_rate"] == FALSE_ALARM_RATE and told["pictures"] == 60
    assert {(one["statistic"], one["direction"]) for one in told["changes"]} == {
        ("level", "lower"),
        ("score", "higher"),
    }


# appearance


def part_on_ground(across, down, colour=(0.7, 0.5, 0.3)):
    """A square of 20 px whose middle lies at (across, down), on dark ground of 80 x 120 px."""
    image = torch.full((3, 80, 120), 0.1)
    image[:, down - 10 : down + 10, across - 10 : across + 10] = torch.tensor(colour)[:, None, None]
    return image


def test_the_numbers_are_those_worked_out_by_hand():
    look = measure_appearance(part_on_ground(30, 60))
    share = 400 / 9600
    assert look["level"] == pytest.approx(0.1 + share * 0.4, rel=1e-4)
    assert look["contrast"] == pytest.approx(0.4 * np.sqrt(share * (1 - share)) / look["level"], rel=1e-4)
    assert look["across"] == pytest.approx(30 / 120, abs=0.003) and look["down"] == pytest.approx(60 / 80, abs=0.003)
    assert look["red"] == pytest.approx(np.log((0.1 + share * 0.6) / (0.1 + share * 0.4)), rel=1e-4)
    assert look["blue"] == pytest.approx(np.log((0.1 + share * 0.2) / (0.1 + share * 0.4)), rel=1e-4)


def test_each_change_moves_its_own_number_and_gain_moves_the_level_alone():
    rng = np.random.default_rng(9)
    image = part_on_ground(50, 40) + torch.from_numpy(rng.normal(0, 0.02, (3, 80, 120)).astype(np.float32))
    usual = measure_appearance(image)
    dark = measure_appearance(image * 0.8)
    assert dark["level"] == pytest.approx(0.8 * usual["level"], rel=1e-4)
    assert all(dark[name] == pytest.approx(usual[name], abs=1e-3) for name in usual if name != "level")
    blurred = measure_appearance(
        torch.from_numpy(np.stack([cv2.GaussianBlur(one, (0, 0), 1) for one in image.numpy()]))
    )
    assert blurred["detail"] < usual["detail"] - 0.5
    moved = measure_appearance(image.roll((5, -12), (1, 2)))
    assert moved["across"] - usual["across"] == pytest.approx(-0.1, abs=0.005)
    assert moved["down"] - usual["down"] == pytest.approx(5 / 80, abs=0.005)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 3e38, -3e38])
def test_flat_pictures_of_any_value_have_numbers(channels, value):
    look = measure_appearance(torch.full((channels, 64, 64), value))
    assert all(np.isfinite(list(look.values())))
    assert len(look) == 5 + channels - 1


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("gain", lambda p: (p * 0.8).astype(np.uint8), "darker"),
        ("blur", lambda p: cv2.GaussianBlur(p, (0, 0), 1), "blurrier"),
        ("shift", lambda p: np.roll(p, 4, axis=1), "moved right"),
        ("none", lambda p: p, None),
    ],
)
def test_real_pictures_held_out(real_data, name, change, words):
    paths = sorted((real_data / "bottle/train/good").iterdir())
    order = np.random.default_rng(10).permutation(len(paths))
    pictures = [prepare(read_picture(paths[number]), (320, 320), 3) for number in order[:100]]
    looks = [measure_appearance(picture) for picture in pictures]
    good = {key: [look[key] for look in looks] for key in looks[0]}
    held = [change(read_picture(paths[number])) for number in order[100:150]]
    drift = find_drift(good, [measure_appearance(prepare(picture, (320, 320), 3)) for picture in held])
    assert words in [change_words(found) for found in drift.changes] if words else not drift.changes


def test_the_score_alone_is_not_the_camera():
    good = {"level": [0.1 * n for n in range(30)], SCORE: [1 + 0.01 * n for n in range(30)]}
    same = [{"level": 0.1 * (7 * n % 30), SCORE: 2.0 + n} for n in range(40)]
    worse = find_drift(good, same)
    assert [change.statistic for change in worse.changes] == [SCORE] and not worse.of_camera
    assert "as in training" in drift_line(worse)
    assert find_drift(good, [{**one, "level": 5.0} for one in same]).of_camera
    assert not find_drift(good, same[:1]).of_camera


def test_as_many_pictures_as_an_alarm_takes_can_show_a_change():
    good = {"level": [0.1 * n for n in range(30)]}
    fewest = find_drift(good, []).fewest
    seen = [{"level": 0.1 * (7 * n % 30)} for n in range(fewest)]
    assert "no sign in" in drift_line(find_drift(good, seen))
    assert f"{fewest} can" in drift_line(find_drift(good, seen[1:]))


def test_what_moved_first_is_named_first():
    rng = np.random.default_rng(8)
    good, run = normal_good(rng), normal_run(rng, 100)
    for number, picture in enumerate(run):
        picture["contrast"] += 2.0  # from the start
        picture["level"] += 2.0 * (number >= 50)
    changes = find_drift(good, run).changes
    assert [change.statistic for change in changes] == ["contrast", "level"]
    assert changes[0].noticed < 50 < changes[1].noticed
