"""`sclvi reproduce` on two small categories of made-up parts, and the settings and small parts that only it needs."""

import csv
import shutil
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import defective_part, good_part, write_category
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

import sclvi
from sclvi.context.moved import draw_moved_pairs
from sclvi.context.pretexts import PRETEXTS
from sclvi.data.light import Light
from sclvi.encoders.making import empty_inspecting_encoder
from sclvi.encoders.places import Frame
from sclvi.errors import SclviError
from sclvi.evaluation.reproduce import cell, run
from sclvi.evaluation.reproduce.cell import CellResult
from sclvi.evaluation.reproduce.cost import Cost, count_pictures, measure_cost, spoken
from sclvi.evaluation.reproduce.plan import Scoring, settings_for
from sclvi.evaluation.reproduce.run import reproduce
from sclvi.progress import silent
from sclvi.scoring.affinity import fusion_weights
from sclvi.settings import Settings, preset

SIDE = 96  # px
STRIDES = (16, 16)
CHANGES = {"size": (SIDE, SIDE), "steps": 1, "pairs": 16, "memory_strides": STRIDES}
CATEGORIES = ["pins", "plugs"]
WHEN_AND_HOW_FAST = ("minutes", "date", "commit")


@pytest.fixture(scope="module", autouse=True)
def in_float32():
    """The package encodes in bf16 where the hardware has it; this file compares float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sclvi.encoders.compute.has_bf16", lambda device: False)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of two categories."""
    root = tmp_path_factory.mktemp("data")
    for number, name in enumerate(CATEGORIES):
        write_category(root / name, first=100 * number, side=SIDE)
    return root


@pytest.fixture(scope="module")
def table1(data, tmp_path_factory):
    """What two pretexts and two seeds of table 1 leave; not to be changed."""
    out = tmp_path_factory.mktemp("table1")
    written = reproduce("table1", data, out, pretexts=["none", "twelve"], seeds=(0, 1), changes=CHANGES)
    assert written == [out / "pretexts.csv", out / "table1.md"]
    return out


@pytest.fixture
def copy(table1, tmp_path):
    """The same, to be gone on with."""
    return Path(shutil.copytree(table1, tmp_path / "copy"))


@pytest.fixture
def trainings(monkeypatch):
    """The (pretext, seed, steps) of each training from here on."""
    done = []
    learn = cell.learn_encoder

    def counting(images, learned, settings, progress):
        result = learn(images, learned, settings, progress)
        done.append((settings.pretext, settings.seed, settings.steps))
        return result

    monkeypatch.setattr(cell, "learn_encoder", counting)
    return done


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lasting(rows):
    """The rows without what differs from run to run."""
    return [{name: value for name, value in row.items() if name not in WHEN_AND_HOW_FAST} for row in rows]


def again(data, out, **options):
    """Table 1 as in the fixture but for seed 1, with changes."""
    changes = {**CHANGES, **options.pop("changes", {})}
    if "budget_minutes" in options:
        del changes["steps"]
    return reproduce("table1", data, out, **{"pretexts": ["twelve", "none"], "changes": changes, **options})


# What a run writes


def test_table_1_has_a_row_for_each_seed_category_and_pretext(table1):
    rows = read(table1 / "pretexts.csv")
    cells = [(row["seed"], row["category"], row["pretext"]) for row in rows]
    assert cells == [(seed, name, pretext) for seed in "01" for name in CATEGORIES for pretext in ("twelve", "none")]
    for row in rows:
        assert (row["encoder"], row["fusion"], row["eta"]) == ("dense", "nearest", "1")
        assert (row["steps"], row["memory_strides"], row["budget_minutes"]) == ("1", "16 16", "")
        assert (row["train_images"], row["test_images"]) == ("5", "4")
        assert 0 <= float(row["image_auroc"]) <= 1 and 0 < float(row["pixel_auroc"]) < 1
        assert 0 <= float(row["minutes"]) < 5
        assert row["commit"] and row["date"] and row["device"] and row["threads"] and row["torch"]
    assert len({row["pixel_auroc"] for row in rows}) > 4  # pretexts, seeds and categories are not mixed up


def test_the_comparison_shows_the_mean_of_the_seeds(table1):
    text = (table1 / "table1.md").read_text()
    rows = read(table1 / "pretexts.csv")
    for column, title in (("image_auroc", "detection"), ("pixel_auroc", "segmentation")):
        part = text.split("## Tables 1 and ")[1 if title == "detection" else 2]
        assert title in part.splitlines()[0]
        first, second = (float(row[column]) for row in rows if (row["category"], row["pretext"]) == ("pins", "twelve"))
        assert f"| pins | twelve | - | {50 * (first + second):.1f} | - | {100 * abs(first - second):.1f} |" in part


def test_figure_3_scores_each_encoder_of_table_1_in_sixteen_ways(data, copy, trainings):
    pytest.importorskip("matplotlib")
    files = [copy / name for name in ("eta.csv", "figure3.md", "figure3.png")]
    assert reproduce("figure3", data, copy, seeds=(1,), changes=CHANGES) == files
    assert trainings == []
    with Image.open(copy / "figure3.png") as picture:
        assert picture.format == "PNG"
    rows = read(copy / "eta.csv")
    assert len(rows) == 2 * 16
    for name in CATEGORIES:
        cells = {(row["fusion"], int(row["eta"])): row for row in rows if row["category"] == name}
        assert set(cells) == {(fusion, eta) for fusion in ("affinity", "mean") for eta in (1, 2, 3, 5, 10, 15, 20, 30)}
        (nearest,) = (
            row
            for row in read(copy / "pretexts.csv")
            if (row["seed"], row["category"], row["pretext"]) == ("1", name, "twelve")
        )
        for column in ("image_auroc", "pixel_auroc", "minutes"):
            assert cells["affinity", 1][column] == cells["mean", 1][column] == nearest[column]
        assert len({row["pixel_auroc"] for row in cells.values()}) > 8  # eta and fusion tell


def test_what_figure_3_has_measured_is_not_measured_again_for_table_2(data, copy, monkeypatch):
    reproduce("table2", data, copy, categories=["pins"], changes=CHANGES)
    (measured,) = read(copy / "overall.csv")
    (copy / "overall.csv").unlink()
    pytest.importorskip("matplotlib")
    reproduce("figure3", data, copy, categories=["pins"], changes=CHANGES)
    monkeypatch.setattr(run, "measure_cell", None)
    reproduce("table2", data, copy, categories=["pins"], changes=CHANGES)
    assert read(copy / "overall.csv") == [measured]


def test_tables_2_and_3_are_made_of_the_same_rows(data, copy, trainings):
    """Of "twelve" alone, with the affinity of ten items."""
    assert reproduce("table2", data, copy, changes=CHANGES) == [copy / "overall.csv", copy / "table2.md"]
    before = (copy / "overall.csv").read_bytes()
    assert reproduce("table3", data, copy, changes=CHANGES) == [copy / "overall.csv", copy / "table3.md"]
    assert (copy / "overall.csv").read_bytes() == before
    assert trainings == []
    made = [(row["category"], row["pretext"], row["fusion"], row["eta"]) for row in read(copy / "overall.csv")]
    assert made == [(name, "twelve", "affinity", "10") for name in CATEGORIES]


# The figures


def lit(path):
    """A picture with mean 0 and deviation 1, by numpy; C x H x W float32."""
    picture = np.asarray(Image.open(path), np.float64).transpose(2, 0, 1) / 255
    return ((picture - picture.mean()) / (picture.std() + 1e-3)).astype(np.float32)


@pytest.fixture(scope="module")
def codes(data, table1):
    """Of `pins`, by the encoder of (twelve, seed 0): per scale, memory items and codes of each test picture by path."""
    (path,) = (table1 / "encoders").glob("pins-dense-twelve-seed0-*.safetensors")
    encoder = empty_inspecting_encoder("dense", 3)
    encoder.load_state_dict(load_file(path))

    def encode(picture):
        with torch.inference_mode():
            grid = encoder.encode_grid(torch.from_numpy(lit(picture))[None], STRIDES)
        return [scale[0].flatten(1).T.double().tolist() for scale in grid]  # row by row, as `reference.places`

    train = [encode(picture) for picture in sorted((data / "pins/train/good").iterdir())]
    tests = {picture: encode(picture) for picture in sorted((data / "pins/test").rglob("*.png"))}
    items = [np.concatenate([np.array(one[scale]) for one in train]) for scale in (0, 1)]
    return [scale.astype(np.float16).tolist() for scale in items], tests


@pytest.mark.parametrize(("fusion", "count"), [("nearest", 1), ("affinity", 10), ("mean", 5)])
def test_figures_are_those_of_maps_made_by_loops(data, table1, tmp_path, codes, fusion, count, monkeypatch):
    """Patches against the memory one by one, product of both scales, the largest pixel, scikit-learn's AUROC."""
    items, tests = codes
    truth, maps = [], []
    for path, encoded in tests.items():
        product = np.ones((SIDE, SIDE))
        for scale, patch in enumerate((32, 64)):
            scores = []
            for code in encoded[scale]:
                distances, found = reference.nearest(code, items[scale], count)
                weights = reference.affinity(distances) if fusion == "affinity" else [1 / count] * count
                scores.append(np.linalg.norm(np.subtract(code, reference.fuse(weights, found))))
            product *= reference.pixel_map(scores, (SIDE, SIDE), patch, STRIDES[scale])
        maps.append(product)
        mask = data / "pins/ground_truth/blotch" / f"{path.stem}_mask.png"
        defective = path.parent.name == "blotch"
        truth.append(np.asarray(Image.open(mask)) > 0 if defective else np.zeros((SIDE, SIDE), bool))
    image_auroc = roc_auc_score([one.any() for one in truth], [one.max() for one in maps])
    pixel_auroc = roc_auc_score(np.ravel(truth), np.ravel(maps))

    scoring = Scoring(fusion, count)
    chosen = settings_for("dense", "twelve", 0, CHANGES)
    monkeypatch.setattr(cell, "learn_encoder", None)  # the encoder is there
    result = cell.measure_cell(data / "pins", chosen, (scoring,), table1 / "encoders", silent)
    made = result.figures[scoring]
    assert made["image_auroc"] == pytest.approx(image_auroc)
    assert made["pixel_auroc"] == pytest.approx(pixel_auroc, abs=1e-5)
    if fusion == "nearest":
        row = read(table1 / "pretexts.csv")[0]
        assert float(row["image_auroc"]) == pytest.approx(image_auroc, abs=1e-5)
        assert float(row["pixel_auroc"]) == pytest.approx(pixel_auroc, abs=2e-5)


def test_a_damaged_encoder_is_named(data, tmp_path):
    chosen = settings_for("dense", "twelve", 0, CHANGES)
    scoring = Scoring("affinity", 2)
    cell.measure_cell(data / "pins", chosen, (scoring,), tmp_path, silent)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SclviError, match=f"{path}: damaged; delete it"):
        cell.measure_cell(data / "pins", chosen, (scoring,), tmp_path, silent)


# Going on


@pytest.mark.parametrize(("stage", "left"), [("learning context", 3), ("scoring", 2)])
def test_a_run_stopped_in_its_second_cell_goes_on_there(data, table1, tmp_path, trainings, stage, left):
    cells = []

    def stop(now, done, total, reached=""):
        if now == "table1":
            cells.append(done)
        if now == stage and len(cells) == 2 and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(data, tmp_path, progress=stop)
    expected = read(table1 / "pretexts.csv")[:4]  # seed 0
    assert lasting(read(tmp_path / "pretexts.csv")) == lasting(expected[:1])
    assert not (tmp_path / "table1.md").exists()
    trainings.clear()

    again(data, tmp_path)
    assert len(trainings) == left  # an encoder that was learned is kept, whatever came after
    assert lasting(read(tmp_path / "pretexts.csv")) == lasting(expected)
    assert (tmp_path / "table1.md").exists()
    assert len(list((tmp_path / "encoders").iterdir())) == 4


def test_what_is_done_is_not_done_again(data, copy, monkeypatch):
    monkeypatch.setattr(run, "measure_cell", None)
    before = (copy / "pretexts.csv").read_bytes()
    said = []
    again(data, copy, seeds=(1, 0), say=said.append)
    assert (copy / "pretexts.csv").read_bytes() == before
    assert said == ["table1: all 8 trainings are done"]


def test_a_category_or_seed_named_twice_is_run_once(data, tmp_path):
    reproduce("table2", data, tmp_path, categories=["pins", "pins"], seeds=(0, 0), changes=CHANGES)
    assert len(read(tmp_path / "overall.csv")) == 1


@pytest.mark.parametrize(
    ("change", "learned"),
    [
        ({"steps": 2}, [("twelve", 0, 2)]),
        ({"light": "mean"}, [("twelve", 0, 1)]),
        ({"pairs": 8}, [("twelve", 0, 1)]),
        ({"memory_strides": (16, 32)}, []),  # another memory of the same encoder
        ({"smoothing": 1.0}, []),
    ],
)
def test_rows_of_other_settings_are_not_taken_for_done(data, copy, trainings, monkeypatch, change, learned):
    monkeypatch.setattr(run, "write_comparison", lambda what, out: [])  # some of these would share a table
    again(data, copy, pretexts=["twelve"], categories=["pins"], changes=change)
    assert len(read(copy / "pretexts.csv")) == 9
    assert trainings == learned


def test_a_picture_more_to_learn_from_is_learned_from(data, copy, tmp_path, trainings):
    other = tmp_path / "data"
    shutil.copytree(data / "pins", other / "pins")
    Image.fromarray(good_part(999)).save(other / "pins/train/good/999.png")
    reproduce("table2", other, copy, changes=CHANGES)
    assert trainings == [("twelve", 0, 1)]


# Time


def test_cost_is_measured_without_test_pictures(data, tmp_path):
    shutil.copytree(data / "pins/train", tmp_path / "pins/train")
    cost = measure_cost(tmp_path / "pins", settings_for("dense", "twelve", 0, {**CHANGES, "batch": 2, "steps": 10**9}))
    assert 0 < cost.step < 60 and 0 < cost.picture < 60
    assert count_pictures(tmp_path / "pins") == (5, 0)
    assert count_pictures(data / "pins") == (5, 4)


def test_the_cost_of_a_cell_is_that_of_its_steps_and_pictures():
    assert Cost(step=2.0, picture=0.5).cell(steps=3, pictures=4) == 8.0


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0.4, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (2 * 86400, "2 days"),
    ],
)
def test_durations_are_told_in_the_unit_a_person_would_use(seconds, says):
    assert spoken(seconds) == says


@pytest.fixture
def speed(monkeypatch):
    """Sets the seconds that a step is said to take; a picture is said to take a tenth of one."""

    def set_speed(step):
        monkeypatch.setattr(run, "measure_cost", lambda category, settings: Cost(step, 0.1))

    return set_speed


@pytest.fixture
def asked(monkeypatch):
    """The settings of each cell that is asked for from here on; nothing is trained."""
    cells = []

    def pretend(category, settings, scorings, cache, progress):
        cells.append(settings)
        return CellResult({scoring: {"image_auroc": 0.5, "pixel_auroc": 0.5} for scoring in scorings}, 0.0)

    monkeypatch.setattr(run, "measure_cell", pretend)
    return cells


def test_a_budget_sets_the_same_number_of_steps_for_all_cells(data, tmp_path, asked, speed):
    speed(0.5)
    said = []
    again(data, tmp_path, budget_minutes=0.02, say=said.append)  # 1.2 s: 2.4 steps
    assert [settings.steps for settings in asked] == 4 * [2]
    rows = read(tmp_path / "pretexts.csv")
    assert [(row["steps"], row["budget_minutes"]) for row in rows] == 4 * [("2", "0.02")]
    # 4 trainings of 2 x 0.5 s, 9 pictures of 0.1 s
    assert said == [
        "table1: 4 of 4 trainings to do, steps in each: 2; about 8 seconds for learning and encoding on this machine, "
        "and the searches"
    ]


def test_a_budget_has_one_step_at_least(data, tmp_path, asked, speed):
    speed(1000)
    again(data, tmp_path, budget_minutes=0.02)
    assert {settings.steps for settings in asked} == {1}


def test_rows_of_a_budget_are_done_on_a_faster_day_too_but_not_with_other_settings(data, tmp_path, asked, speed):
    one = {"categories": ["pins"], "pretexts": ["none"]}
    speed(0.5)
    again(data, tmp_path, **one, budget_minutes=0.02)
    speed(0.4)
    again(data, tmp_path, **one, budget_minutes=0.02)
    assert [(settings.steps, settings.batch) for settings in asked] == [(2, 1)]
    again(data, tmp_path, **one, budget_minutes=0.02, changes={"batch": 2})
    again(data, tmp_path, **one, budget_minutes=0.03)
    again(data, tmp_path, **one, changes={"steps": 3})
    assert [(settings.steps, settings.batch) for settings in asked[1:]] == [(3, 2), (4, 1), (3, 1)]
    assert [row["budget_minutes"] for row in read(tmp_path / "pretexts.csv")] == ["0.02", "0.02", "0.03", ""]


# What is refused


@pytest.fixture
def command(sclvi):
    """Run `sclvi reproduce` in this process; gives (exit code, standard output, standard error)."""
    return partial(sclvi, "reproduce")


def test_the_command_passes_its_options_on(command, monkeypatch, tmp_path):
    asked = []

    def remember(*arguments, **options):
        asked.append((arguments, options))
        options["say"]("one line")
        return [tmp_path / "x.csv"]

    monkeypatch.setattr(run, "reproduce", remember)
    options = "--pretexts none,twelve --categories a,b --seeds 3,4 --budget 2.5 --batch 2 --light mean --encoder paper"
    code, out, err = command("table1", "--data", "d", "--out", tmp_path, *options.split(), "--memory-strides", "8,16")
    assert (code, out, err) == (0, f"{tmp_path / 'x.csv'}\n", "one line\n")
    ((arguments, passed),) = asked
    assert arguments == ("table1", Path("d"), tmp_path)
    assert passed["changes"] == {"batch": 2, "light": "mean", "memory_strides": (8, 16)}
    names = ("encoder", "pretexts", "categories", "seeds", "budget_minutes")
    assert [passed[name] for name in names] == ["paper", ["none", "twelve"], ["a", "b"], [3, 4], 2.5]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--data {data} --categories pins,pegs", "pegs: no category"),
        ("--data {tmp}/empty", "empty: no categories"),
        ("--data {tmp}/nowhere", "nowhere: no categories"),
        ("--data {data} --categories=", "no categories"),
        ("--data {data} --pretexts=", "pretext '': table1 has twelve, eight"),
        ("--data {data} --seeds a,b", "--seeds a,b: whole numbers"),
        ("--data {data} --memory-strides 8;16", "--memory-strides 8;16: whole numbers"),
        ("--data {data} --memory-strides 8", "--memory-strides: "),
        ("--data {data} --memory-strides 8,36", "from 4 to 32"),
        ("--data {data} --batch 0", "batch"),
        ("--data {data} --budget 0", "0.0 minutes"),
        ("--data {data} --budget nan", "nan minutes"),
        ("--data {data} --pretexts twelve,jigsaw", "'jigsaw': table1 has twelve, eight, puzzle, rotation, colour"),
        ("--data {data} --out {tmp}/file", "file: cannot be made a folder"),
        ("--data {data} --out {tmp}/file/out", "out: cannot be made a folder"),
    ],
)
def test_wrong_options_are_refused_with_one_line(command, data, tmp_path, options, says, trainings):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    filled = options.format(data=data, tmp=tmp_path).split()
    code, out, err = command("table1", "--out", tmp_path / "out", *filled)
    assert code == 2 and out == ""
    assert says in err and len(err.splitlines()) == 1
    assert trainings == []


def test_a_pretext_of_another_table_is_refused(command, data, tmp_path):
    code, _, err = command("table2", "--data", data, "--out", tmp_path, "--pretexts", "eight")
    assert (code, err) == (2, "sclvi: pretext 'eight': table2 has twelve\n")


def without_masks(category):
    shutil.rmtree(category / "ground_truth")
    return "test/blotch/000.png"


def without_one_mask(category):
    (category / "ground_truth/blotch/001_mask.png").unlink()
    return "test/blotch/001.png"


def without_test(category):
    shutil.rmtree(category / "test")
    return "plugs"


def without_defects(category):
    shutil.rmtree(category / "test/blotch")
    return "plugs"


def without_good(category):
    shutil.rmtree(category / "test/good")
    return "plugs"


@pytest.mark.parametrize("spoil", [without_masks, without_one_mask, without_test, without_defects, without_good])
def test_a_category_without_all_labels_is_refused_before_any_work(command, data, tmp_path, trainings, spoil):
    """Though it is the second, which would come up only after the first is trained."""
    shutil.copytree(data, tmp_path / "data")
    named = spoil(tmp_path / "data/plugs")
    code, out, err = command("table2", "--data", tmp_path / "data", "--out", tmp_path / "out", "--steps", 1)
    assert code == 2 and out == ""
    assert named in err and len(err.splitlines()) == 1
    assert trainings == []


@pytest.fixture(
    params=["train/good/000.png", "train/good/004.png", "test/good/005.png", "ground_truth/blotch/001_mask.png"]
)
def broken(request, data, tmp_path):
    """A picture cut short, one that is met early or late."""
    shutil.copytree(data / "pins", tmp_path / "data/pins")
    path = tmp_path / "data/pins" / request.param
    path.write_bytes(path.read_bytes()[:60])
    return path


def test_a_broken_picture_is_named_and_leaves_no_row(broken, tmp_path):
    with pytest.raises(SclviError) as caught:
        reproduce("table2", tmp_path / "data", tmp_path / "out", changes=CHANGES)
    assert str(caught.value).startswith(f"{broken}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "out/overall.csv").exists()


def test_a_broken_picture_is_one_line_of_the_command(command, data, tmp_path):
    shutil.copytree(data / "pins", tmp_path / "data/pins")
    (tmp_path / "data/pins/train/good/000.png").write_text("words")
    code, out, err = command("table2", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert code == 2 and out == ""
    assert "train/good/000.png" in err and len(err.splitlines()) == 1


def test_rows_of_another_shape_are_refused_before_the_work_and_stay(data, tmp_path, trainings):
    (tmp_path / "overall.csv").write_text("category,seed\npins,0\n")
    with pytest.raises(SclviError, match=r"overall\.csv: has other columns"):
        reproduce("table2", data, tmp_path, categories=["pins"], changes=CHANGES)
    assert (tmp_path / "overall.csv").read_text() == "category,seed\npins,0\n"
    assert trainings == []


# Settings

SCORING = {
    "memory_strides": (8, 8),
    "memory_mib": 1.0,
    "search": "exact",
    "fusion": "mean",
    "eta": 3,
    "affinity_limit": 15.0,
    "softness": 0.5,
    "query_step": 1,
    "closer": 0.5,
    "nearness": 0.5,
    "surface": False,
    "raised": False,
    "synthetic_steps": 7,
    "smoothing": 0.0,
}


def test_the_training_fingerprint_changes_with_what_the_encoder_learns_and_with_nothing_else():
    usual = Settings(surface=False)  # which the paper encoder does not have
    for name, value in {**SCORING, "surface": True}.items():
        other = Settings(**{"surface": False, name: value})
        assert other.training_fingerprint() == usual.training_fingerprint(), name
        assert other.fingerprint() != usual.fingerprint(), name
    learning = {
        "seed": 1,
        "size": (256, 256),
        "short_side": 128,
        "tile": 512,
        "overlap": 32,
        "align": False,
        "audit": "drop",
        "light": "mean",
        "encoder": "paper",
        "start": "random",
        "pretext": "eight",
        "steps": 21,
        "batch": 3,
        "crop": 128,
        "pairs": 7,
        "colour_shift": 0.2,
        "noise": 0.1,
        "encoder_rate": 1e-4,
        "classifier_rate": 1e-4,
        "schedule": "constant",
        "weight_decay": 0.0,
        "alpha": 0.1,
    }
    prints = {Settings(surface=False, **{name: value}).training_fingerprint() for name, value in learning.items()}
    assert len(prints | {usual.training_fingerprint()}) == len(learning) + 1
    assert Settings(thumbnails_kib=0).fingerprint() == Settings().fingerprint()  # changes no figure
    # every setting is one or the other, or what a reproduction has no use for
    assert set(Settings.model_fields) == {*SCORING, *learning, "set_aside", "false_reject_rate", "thumbnails_kib"}


def test_rows_that_were_measured_before_later_settings_came_are_still_known():
    with (Path(__file__).parents[1] / "benchmarks/results/pretexts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        changes = {"steps": int(row["steps"]), "memory_strides": tuple(map(int, row["memory_strides"].split()))}
        settings = settings_for("dense", row["pretext"], int(row["seed"]), changes)
        assert settings.fingerprint() == row["settings"]


def test_the_paper_preset_is_the_papers():
    paper = preset("paper")
    # the paper
    assert paper.size == (256, 256)  # 4.1: scaled to 256x256
    assert paper.alpha == 1e-4 and paper.eta == 10  # 4.3
    assert paper.affinity_limit == 20  # 3.3: lambda
    assert paper.fusion == "affinity" and paper.pretext == "twelve" and paper.encoder == "paper"
    # official-code.md, Sampling
    assert paper.colour_shift == paper.noise == 0.02
    assert paper.encoder_rate == paper.classifier_rate == 1e-4 and paper.schedule == "constant"  # Adam 1e-4
    assert paper.weight_decay == 0  # Adam, not AdamW
    assert paper.batch == 64 and paper.pairs == 1  # 64 pairs a step
    assert paper.steps == 400 * 100 * 200 // 64  # epochs x passes x about 200 pictures / batch
    assert paper.start == "random"
    # official-code.md, Inspection
    assert paper.light == "mean"
    assert paper.memory_strides == (4, 16)  # of 32 and of 64 px
    assert paper.query_step == 1  # test pictures at the same strides
    assert paper.softness is None and paper.smoothing == 0  # nothing of the kind in either
    assert paper.closer == 1  # every one is searched
    assert not paper.surface and not paper.raised
    assert paper.search == "exact"
    # "every training patch": hazelnut, the largest category of MVTec AD, has 391 training pictures
    per_picture = ((256 - 32) // 4 + 1) ** 2 + ((256 - 64) // 16 + 1) ** 2
    assert paper.memory_mib * 2**20 > 391 * per_picture * (2 * 64 + 8 + 8 + 4)  # bytes an item, see `MemoryBank`


def test_the_dense_encoder_takes_the_rest_from_the_paper():
    dense, paper = settings_for("dense", "eight", 3, {"eta": 5}), settings_for("paper", "eight", 3, {"eta": 5})
    assert (dense.encoder, dense.pretext, dense.seed, dense.eta) == ("dense", "eight", 3, 5)
    for name in (
        "size",
        "start",
        "alpha",
        "memory_strides",
        "softness",
        "query_step",
        "closer",
        "surface",
        "raised",
        "smoothing",
        "affinity_limit",
    ):
        assert getattr(dense, name) == getattr(paper, name), name


@pytest.mark.parametrize("name", ["default", "paper"])
def test_an_unknown_pretext_or_setting_is_refused(name):
    with pytest.raises(ValidationError, match=f"'jigsaw' is none of {', '.join(PRETEXTS)}"):
        preset(name, pretext="jigsaw")
    with pytest.raises(ValidationError, match="colour"):
        preset(name, colour=1)


def test_a_changed_preset_keeps_the_rest():
    assert preset("default") == Settings()
    assert preset("paper", steps=7) == preset("paper").model_copy(update={"steps": 7})


def test_strides_are_refused_where_a_pixel_between_two_scored_patches_is_in_neither():
    for step in range(1, 10):
        for scale, patch in enumerate((32, 64)):
            for stride in range(4, 33, 4):
                gap = set(range(step * stride + patch)) - {*range(patch), *range(step * stride, step * stride + patch)}
                strides = (stride, 4) if scale == 0 else (4, stride)
                if step * 4 > 32:  # the other scale has gaps
                    continue
                if gap:
                    with pytest.raises(ValidationError, match=f"gaps between {patch}-px patches {stride} px apart"):
                        Settings(query_step=step, memory_strides=strides)
                else:
                    assert Settings(query_step=step, memory_strides=strides).memory_strides == strides


@pytest.mark.parametrize("strides", [(4, 6), (2, 4), (0, 4), (36, 4), (4, 36), (-4, 4)])
def test_strides_off_the_map_of_codes_are_refused(strides):
    with pytest.raises(ValidationError, match="multiples of 4 px from 4 to 32"):
        Settings(memory_strides=strides)


# Fusion


def test_fusion_by_mean_and_by_the_nearest_by_hand():
    distances = torch.tensor([[1.0, 2.0, 4.0], [0.5, 0.5, torch.inf], [3.0, torch.inf, torch.inf]])
    assert fusion_weights(distances, "mean").tolist() == [pytest.approx([1 / 3] * 3), [0.5, 0.5, 0], [1, 0, 0]]
    assert fusion_weights(distances, "nearest").tolist() == [[1, 0, 0]] * 3


def test_fusion_by_affinity_takes_the_limit():
    distances = [1.0, 2.0, 4.0]
    for limit in (3.0, 20.0):
        weights = fusion_weights(torch.tensor(distances, dtype=torch.float64), "affinity", limit)
        assert weights.tolist() == pytest.approx(reference.affinity(distances, limit))
    assert fusion_weights(torch.tensor([2.0, torch.inf]), "affinity").tolist() == [1, 0]


# Light


def test_the_mean_picture_is_subtracted():
    images = torch.rand(3, 2, 4, 5)
    mean = torch.rand(2, 4, 5)
    lit_images = Light(mean)(images)
    for number, channel, row, column in np.ndindex(*images.shape):
        expected = images[number, channel, row, column] - mean[channel, row, column]
        assert lit_images[number, channel, row, column] == expected


@pytest.mark.parametrize("change", [{"light": "mean"}, {"softness": None}])
def test_a_model_with_the_papers_light_or_code_space_is_saved_and_loaded_bit_for_bit(tmp_path, change):
    parts = [good_part(number)[:SIDE, :SIDE] for number in range(5)]
    model = sclvi.train(parts, Settings(**{**CHANGES, "encoder": "dense", **change}))
    sclvi.save(model, tmp_path / "part.sclvi")
    again = sclvi.load(tmp_path / "part.sclvi")
    assert again.inspector.settings == model.inspector.settings
    for one in (model, again):
        if "light" in change:
            mean = np.mean(parts, axis=0).transpose(2, 0, 1) / 255
            np.testing.assert_allclose(one.light.mean.numpy(), mean, atol=1e-6)
            assert torch.equal(one.light.mean, model.light.mean)
        else:
            assert one.light.mean is None
            encoded = torch.randn(2, 64, 3, 4)
            for memory in one.inspector.memories:  # codes as they are
                codes, _ = memory.search(encoded, memory.stride, 1, None)
                assert torch.equal(codes.view(2, 3, 4, 64)[1, 2, 0], encoded[1, :, 2, 0])
    tests = [good_part(80)[:SIDE, :SIDE], defective_part(81)[:SIDE, :SIDE]]
    before, after = list(model.inspect(tests)), list(again.inspect(tests))
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.anomaly_map, other.anomaly_map)
        assert one == other
    assert before[1].score > before[0].score > 0


# Pairs of similar patches


def frames(placement):
    return st.builds(
        Frame,
        view_count=st.sampled_from([2, 6, 16]),
        height=st.integers(68, 200),  # 64 px + 2 px to either side: room for every move
        width=st.integers(68, 200),
        patch=st.sampled_from([32, 64]),
        placement=st.just(placement),
    )


@given(frame=frames(1), count=st.integers(1, 200), seed=st.integers(0, 2**31))
def test_where_patches_are_cut_the_second_is_moved_by_a_pixel_or_two(frame, count, seed):
    first, moved = draw_moved_pairs(count, frame, torch.Generator().manual_seed(seed))
    assert torch.equal(first.views, moved.views)
    assert ((first.views >= 0) & (first.views < frame.view_count // 2)).all()  # first views
    moves = []
    for start, end, length in (
        (first.tops, moved.tops, frame.height),
        (first.lefts, moved.lefts, frame.width),
    ):
        for place in (start, end):
            assert place.dtype == torch.int64 and len(place) == count
            assert ((place >= 0) & (place <= length - frame.patch)).all()
        moves.append(end - start)
        assert (moves[-1].abs() <= frame.patch / 32).all()
    assert ((moves[0] != 0) | (moves[1] != 0)).all()


@pytest.mark.parametrize(("patch", "reach"), [(32, 1), (64, 2)])
def test_every_move_but_none_at_all_is_drawn_about_equally_often(patch, reach, generator):
    count = 8000
    frame = Frame(view_count=2, height=256, width=256, patch=patch, placement=1)
    first, moved = draw_moved_pairs(count, frame, generator)
    moves, times = torch.stack([moved.tops - first.tops, moved.lefts - first.lefts], 1).unique(
        dim=0, return_counts=True
    )
    span = range(-reach, reach + 1)
    assert moves.tolist() == [[down, right] for down in span for right in span if (down, right) != (0, 0)]
    expected = count / len(moves)
    assert ((times - expected).abs() < 6 * expected**0.5).all()


def test_first_patches_lie_everywhere_and_on_every_picture(generator):
    frame = Frame(view_count=6, height=66, width=68, patch=64, placement=1)
    first, _ = draw_moved_pairs(2000, frame, generator)
    assert set(first.tops.tolist()) == {0, 1, 2} and set(first.lefts.tolist()) == {0, 1, 2, 3, 4}
    assert set(first.views.tolist()) == {0, 1, 2}


@given(frame=frames(4), count=st.integers(1, 200), seed=st.integers(0, 2**31))
def test_on_a_coarser_map_the_second_patch_is_at_the_same_place_of_the_second_view(frame, count, seed):
    first, moved = draw_moved_pairs(count, frame, torch.Generator().manual_seed(seed))
    assert torch.equal(moved.views, first.views + frame.view_count // 2)
    assert torch.equal(moved.tops, first.tops) and torch.equal(moved.lefts, first.lefts)
    assert (first.views < frame.view_count // 2).all()
    for place, length in ((first.tops, frame.height), (first.lefts, frame.width)):
        assert (place % 4 == 0).all() and ((place >= 0) & (place <= length - frame.patch)).all()


def test_a_step_costs_the_mean_of_the_steps_after_the_first(tmp_path, monkeypatch):
    for number in range(2):
        Image.fromarray(good_part(number)).save(tmp_path / f"{number}.png")
    clock = count()

    def learn(encoder, load, pictures, settings, progress):
        for step in range(settings.steps):
            for _ in range(100 if step == 0 else step):  # the first is slow, the second takes a second, the third two
                next(clock)
            progress("learning context", step + 1, settings.steps)

    module = "sclvi.evaluation.reproduce.cost"
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    monkeypatch.setattr(f"{module}.train_encoder", learn)
    monkeypatch.setattr(f"{module}.encode", lambda *_: [next(clock) for _ in range(6)])
    cost = measure_cost(tmp_path, settings_for("dense", "twelve", 0, {"size": (128, 128), "short_side": 128}))
    assert cost.step == (2 + 3) / 2  # looking at the clock takes a second, too
    assert cost.picture == 7
