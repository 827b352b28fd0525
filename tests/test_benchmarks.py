import itertools
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from parts import SIDE, defective_part, good_part, write_category

import sclvi
from benchmarks import few_shot, gain, growth, minutes, profile, search, worth
from benchmarks.ablation import PARTS, measure
from benchmarks.accuracy import FIGURES
from benchmarks.calibration import RATES, Judged, judge_splits, measure_whole
from benchmarks.few_shot import draw_pictures, known_of_all
from benchmarks.laid import draw_motion, lay
from benchmarks.tables import RESULTS
from benchmarks.teach import with_threshold
from sclvi.data.layouts import find_layout
from sclvi.evaluation.rows import append_rows, read_rows
from sclvi.learn import build_model
from sclvi.memory.bank import MemoryBank
from sclvi.model_file import load
from sclvi.settings import Settings

QUICK = {"steps": 0, "short_side": 128, "synthetic_steps": 0}


def test_smaller_sets_lie_within_larger_ones(tmp_path):
    write_category(tmp_path)
    sets = [set(draw_pictures(tmp_path, count, seed=3)) for count in (1, 3, 4, None)]
    assert [len(one) for one in sets] == [1, 3, 4, 5]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(sets))


def test_all_good_pictures_are_not_learned_from_again():
    rows, few = read_rows(RESULTS / "accuracy.csv"), read_rows(RESULTS / "few_shot.csv")
    settings = Settings(seed=int(rows[-1]["seed"]))
    last = {**rows[-1], "settings": settings.fingerprint()}
    known = known_of_all(last["category"], settings, [{**last, "image_auroc": "0"}, last])
    assert list(known) == list(few[0]) and known["image_auroc"] == last["image_auroc"]
    assert (known["train_images"], known["promised_rate"]) == (int(last["train_images"]), 0.01)
    assert known_of_all(last["category"], Settings(seed=99), rows) is None


@pytest.mark.parametrize(("way", "seed"), [("alike", 0), ("anyhow", 0), ("anyhow", 1)])
def test_masks_are_laid_as_their_pictures(tmp_path, way, seed):
    write_category(tmp_path / "part")
    known = find_layout(tmp_path / "part")
    drawn = next(item for item in known.test if item.mask is not None)
    mask = cv2.imread(str(drawn.mask), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(drawn.path), mask)
    layout = find_layout(lay(tmp_path / "part", way, seed, tmp_path / "laid"))
    assert [len(items) for items in (layout.train, layout.test)] == [len(known.train), len(known.test)]
    laid = next(item for item in layout.test if item.mask is not None)
    picture, there = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127 for path in (laid.path, laid.mask))
    assert np.count_nonzero(picture != there) < 0.1 * np.count_nonzero(there)  # the edge, between pixels
    assert 0.6 < np.count_nonzero(there) / np.count_nonzero(mask) < 0.85


def test_each_part_lies_its_own_way_for_each_seed():
    motions = {draw_motion(Path("train/good", name), "anyhow", seed) for name in ("1", "2") for seed in (0, 1)}
    assert len(motions) == 4 and motions == {
        draw_motion(Path("train/good", name), "anyhow", seed) for name in ("1", "2") for seed in (0, 1)
    }
    assert draw_motion(Path("train/good/1"), "alike", 0) == (0, 0, 0)


@pytest.mark.parametrize(("plot", "at"), [(few_shot.plot, (5, 10)), (minutes.plot, (2, 5))])
def test_curves_go_through_the_means_over_seeds(tmp_path, monkeypatch, plot, at):
    """Training took 1 and 3 minutes from 5 pictures with 20 steps, 4 and 6 from 10 pictures with 100."""
    rows = [
        {
            "category": name,
            "seed": seed,
            "train_images": images,
            "synthetic_steps": steps,
            "train_seconds": seconds,
            "image_auroc": 0.6 + 0.1 * seed,
            "pixel_auroc": 0.9,
        }
        for name in ("nuts", "bolts")
        for images, steps, times in ((10, 100, (240, 360)), (5, 20, (60, 180)))
        for seed, seconds in enumerate(times)
    ]
    append_rows(tmp_path / "rows.csv", rows)
    drawn = []
    line = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axes, *xy, **how: (drawn.append((how["label"], *xy)), line(axes, *xy, **how))
    )
    plot(read_rows(tmp_path / "rows.csv"), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    means = [pytest.approx((65, 65)), pytest.approx((90, 90))]
    assert drawn == [(name, at, mean) for mean in means for name in ("bolts", "nuts")]


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Of each part: its row and the model that lacks it."""
    category = tmp_path_factory.mktemp("parts")
    write_category(category)
    built = []

    def build(*given):
        built.append(build_model(*given))
        return built[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("benchmarks.ablation.build_model", build)
        patched.setattr("sclvi.synthetic.learning._LEAST_STEPS", 1)
        patched.setattr("sclvi.synthetic.learning._FEWEST", 1)
        parts = [name for name, part in PARTS.items() if part.learned != "everything"]
        rows = list(measure(category, parts, 0, {**QUICK, "synthetic_steps": 3}))
    assert [row["without"] for row in rows] == parts
    return {row["without"]: (row, model) for row, model in zip(rows, built, strict=True)}


def test_every_part_that_is_taken_away_changes_the_threshold_and_leaves_the_code_as_it_was(without):
    """But what the pictures here, of one shape and good anywhere, or QUICK do not have."""
    same = {
        "none",
        "nearness",
        "context learning",
        "surface ranks nothing in pictures of many shapes",
        "lines sharpened",
    }
    whole = without["none"][1]
    if whole.inspector.detector.views == ((),):
        same.add("mirrored views")
    for part, (row, model) in without.items():
        assert (model.calibration.scores == whole.calibration.scores) == (part in same), part
        assert all(0 <= row[figure] <= 1 for figure in ("image_auroc", "pixel_auroc"))
        assert (row["train_seconds"] is None) == (PARTS[part].learned in ("surface", "encoder"))
        assert len(model.inspector.roles(True)) == len(model.calibration.usual)
    assert [len(without[part][1].calibration.usual) for part in ("none", "surface", "synthetic defects")] == [5, 3, 4]
    roles = {str(model.inspector.roles(True)) for _, model in without.values()}
    assert len(roles) == 3  # of whole ones, of those without surface, and without detector


def judged(scores):
    """Good pictures of such scores; each map peaks at the score of its picture."""
    maps = [np.array([[0, score], [0, 0]], np.float32) for score in scores]
    return Judged(np.array([float(one.max()) for one in maps]), maps, 0.5)


@pytest.mark.parametrize(("rate", "promised"), [(0.05, 1 / 11), (0.1, 0.1), (0.3, 0.3)])
def test_splits_realise_what_exchangeable_scores_must(rate, promised):
    """Of 10 scores that set the threshold the k-th is exceeded by each of the others with probability 1 - k / 11."""
    outcomes = judge_splits(judged(np.random.default_rng(5).gamma(9, size=20)), rate, seed=1)
    rank = min(np.ceil(11 * (1 - rate)), 10)
    rejected = [outcome.rejected for outcome in outcomes]
    assert {(one.threshold.pictures, round(one.threshold.promised_rate, 9)) for one in outcomes} == {
        (10, round(promised, 9))
    }
    assert np.mean(rejected) == pytest.approx(1 - rank / 11, abs=4 * np.std(rejected) / np.sqrt(len(rejected)))
    assert rejected == [outcome.with_regions for outcome in outcomes]


def test_equal_scores_are_all_accepted():
    assert all(one.rejected == one.with_regions == 0 for one in judge_splits(judged(np.ones(12)), 0.2, seed=0))


def test_the_threshold_of_training_is_judged_by_good_test_pictures(tmp_path):
    write_category(tmp_path)
    rows = list(measure_whole(tmp_path, Settings(**QUICK), tmp_path / "models"))
    (kept,) = (tmp_path / "models").iterdir()
    model = load(kept)
    good = [inspection.score for inspection in model.inspect(sorted((tmp_path / "test" / "good").iterdir()))]
    assert [row["rate"] for row in rows] == list(RATES)
    for row in rows:
        assert row["promised_rate"] == pytest.approx(1 / (1 + len(model.pictures)), abs=1e-4)  # too few for less
        assert row["realised_rate"] == np.mean([score > max(model.calibration.scores) for score in good])
        assert row["splits"] == 1 and row["good_pictures"] == len(good)


def test_a_moved_threshold_moves_verdicts_and_no_score(without):
    model = without["none"][1]
    pictures = [good_part(number) for number in (50, 51, 52)]
    before = [inspection.score for inspection in model.inspect(pictures)]
    after = list(with_threshold(model, sorted(before)[1]).inspect(pictures))
    assert [inspection.score for inspection in after] == before
    assert sorted(inspection.verdict for inspection in after) == ["defective", "good", "good"]


def test_only_the_longest_runs_of_a_baseline_count():
    rows = [
        {"category": c, "steps": n, "seed": s} for c, n, s in [("a", "100", "0"), ("a", "90", "1"), ("b", "9", "0")]
    ]
    assert gain.longest(rows) == [rows[0], rows[2]]


def test_growth_rows_are_measured_in_processes_of_their_own_and_plotted(tmp_path, monkeypatch):
    few = ["--images", "3", "5", "--side", "70", "--short-side", "64", "--steps", "0", "--items", "300", "--pixels"]
    monkeypatch.setattr(
        "sys.argv", ["growth", *few, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "g.csv")]
    )
    growth.main()
    rows = read_rows(tmp_path / "g.csv")
    assert [(row["grows"], row["count"]) for row in rows] == [("images", "3"), ("images", "5"), ("items", "300")]
    assert all(float(row["peak_ram_mib"]) > 50 and float(row["seconds"]) > 0 for row in rows)
    assert int(rows[1]["memory_items"]) * 3 == int(rows[0]["memory_items"]) * 5
    assert (tmp_path / "g.png").read_bytes()[:4] == b"\x89PNG"


def test_pictures_that_grow_are_alike_and_differ(tmp_path):
    few, more = (growth.write_pictures(tmp_path / str(count), count, 300) for count in (2, 3))
    assert [path.read_bytes() for path in few] == [path.read_bytes() for path in more[:2]]
    assert more[1].read_bytes() != more[2].read_bytes()


def test_gain_is_the_mean_over_seeds_less_the_baselines_and_the_mean_over_categories():
    def row(category, seed, image, pixel, **more):
        return {"category": category, "seed": seed, "image_auroc": image, "pixel_auroc": pixel, **more}

    ours = [
        row("a", "0", "0.1", "0.1", train_seconds="600"),  # measured again below
        row("a", "0", "0.9", "0.8", train_seconds="60"),
        row("a", "1", "0.7", "0.6", train_seconds="180"),
        row("b", "0", "0.6", "0.5", train_seconds="120"),
        row("only ours", "0", "1.0", "1.0", train_seconds="1"),
    ]
    theirs = [row("a", "0", "0.5", "0.4", minutes="1"), row("b", "0", "0.4", "0.6", minutes="3")]
    columns = gain.FIGURES
    found = gain.gains(
        gain.mean_over_seeds(ours, (*columns, "train_seconds")), gain.mean_over_seeds(theirs, (*columns, "minutes"))
    )
    assert [one["category"] for one in found] == ["a", "b", "mean"]
    assert [one["image_auroc_gain"] for one in found] == pytest.approx([0.3, 0.2, 0.25])
    assert [one["pixel_auroc_gain"] for one in found] == pytest.approx([0.3, -0.1, 0.1])
    assert [one["minutes"] for one in found] == pytest.approx([2, 2, 2])
    assert found[-1]["baseline_minutes"] == pytest.approx(2)


def test_a_part_is_worth_what_the_default_of_its_commit_has_more():
    def row(without, category, commit, image):
        return {
            "without": without,
            "category": category,
            "seed": "0",
            "commit": commit,
            **dict.fromkeys(FIGURES, image),
        }

    rows = [
        row("none", "a", "old", "0.5"),
        row("surface", "a", "old", "0.1"),  # measured again below
        row("none", "a", "new", "0.9"),
        row("surface", "a", "new", "0.7"),
        row("none", "b", "new", "0.6"),
        row("surface", "b", "new", "0.7"),
        row("alignment", "b", "old", "0.2"),  # without a default to compare with
    ]
    (found,) = worth.summary(worth.gains_of_parts(rows))
    assert (found["part"], found["categories"]) == ("surface", 2)
    assert found["pixel_auroc"] == found["image_ap"] == pytest.approx(0.05)
    assert (found["least_image_auroc"], found["most_image_auroc"]) == pytest.approx((-0.1, 0.2))


def test_a_coreset_always_takes_the_code_farthest_from_those_it_has():
    codes = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    chosen = search.farthest_first(codes, 12).tolist()
    distances = torch.cdist(codes, codes)
    for count in range(1, 12):
        assert chosen[count] == int(distances[:, chosen[:count]].amin(1).argmax())


def test_every_stage_of_the_profile_takes_time():
    settings = sclvi.Settings(short_side=SIDE, steps=1, synthetic_steps=0)
    model = sclvi.train([good_part(number) for number in range(4)], settings)
    stopwatch = profile.Stopwatch()
    with profile.stages_timed(stopwatch):
        list(model.inspect([defective_part(9)]))
    wanted = {stage for stage, _, _ in profile.STAGES} - {"synthetic defects"}  # no network, so nothing for it to do
    assert {stage for stage, seconds in stopwatch.seconds.items() if seconds > 0} == wanted


def test_every_way_to_search_finds_most_of_the_true_neighbours():
    codes = torch.randn(21_000, 16, generator=torch.Generator().manual_seed(0))
    bank = MemoryBank.build(codes, torch.arange(len(codes)), seed=0)
    queries = codes[::700]
    wanted = torch.cdist(queries, codes).argsort(1)[:, :5]
    for make, least in ((search.Exact, 0.999), (search._graph, 0.9), (partial(search.with_probes, probes=40), 0.7)):
        found = make(bank).search(queries, 5)
        assert (found.origins[:, :, None] == wanted[:, None]).any(2).float().mean() >= least
        assert found.codes == pytest.approx(codes[found.origins], abs=1e-2)
