import csv
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from parts import SIDE, defective_part, good_part
from PIL import Image

from sclvi import cli
from sclvi.__main__ import main
from sclvi.decision.drift import SCORE, Change, Drift
from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.cost import Cost

TRAIN = ["--size", str(SIDE), "--steps", "1", "--synthetic-steps", "0", "--quiet"]


@pytest.fixture(scope="module")
def category(tmp_path_factory):
    """An MVTec category of made-up parts."""
    root = tmp_path_factory.mktemp("data") / "pins"
    for folder, draw, numbers in (
        ("train/good", good_part, range(8)),
        ("test/good", good_part, range(50, 53)),
        ("test/blotch", defective_part, range(60, 63)),
    ):
        (root / folder).mkdir(parents=True)
        for number in numbers:
            Image.fromarray(draw(number)).save(root / folder / f"{number:03}.png")
    (root / "ground_truth/blotch").mkdir(parents=True)
    for number in range(60, 63):
        mask = Image.new("L", (SIDE, SIDE))
        mask.paste(255, (40, 60, 64, 84))
        mask.save(root / "ground_truth/blotch" / f"{number:03}_mask.png")
    return root


@pytest.fixture(scope="module")
def model(category, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "pins.sclvi"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sclvi", "train", str(category), "--out", str(path), *TRAIN])
        with pytest.raises(SystemExit) as exit_:
            cli.run()
    assert exit_.value.code == 0
    return path


def test_train_says_what_it_promises(sclvi, category, tmp_path):
    code, out, err = sclvi("train", category, "--out", tmp_path / "m.sclvi", *TRAIN[:-1])
    assert code == 0 and err == ""
    assert "learned 8 good pictures at 128x128 px" in out
    assert "8 good pictures are few" in out
    assert "11.1% of good parts" in out  # all eight set the threshold: 1 / (8 + 1)
    assert "takes 99 good pictures, 91 more" in out
    assert [path.name for path in tmp_path.iterdir()] == ["m.sclvi"]


def test_inspect_writes_everything_and_skips_what_is_done(sclvi, model, category, tmp_path):
    code, out, _ = sclvi("inspect", model, category / "test", "--out", tmp_path)
    assert code == 0
    assert "report.html" in out
    records = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    verdicts = {record["image"]: record["verdict"] for record in records}
    assert all(verdicts[str(category / "test/blotch" / f"{number:03}.png")] == "defective" for number in range(60, 63))
    with (tmp_path / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    overlays = {path: path.stat().st_mtime_ns for path in (tmp_path / "overlays").iterdir()}
    assert len(overlays) == 6

    code, out, _ = sclvi("inspect", model, category / "test", "--out", tmp_path)
    assert code == 0 and "6 of them done before" in out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "overlays").iterdir()} == overlays


def test_rules_coco_and_labelme(sclvi, model, category, tmp_path):
    rules, out = tmp_path / "rules.toml", tmp_path / "out"
    rules.write_text("mm_per_px = 0.1\nmaximum_defects = 99\n")
    options = ["--out", out, "--fail-on-defect", "--coco", "--labelme"]
    code, plain, err = sclvi("inspect", model, category / "test", *options)
    assert (code, err) == (3, "") and "by the rules" not in plain
    defective = sum(json.loads(line)["verdict"] == "defective" for line in (out / "results.jsonl").open())
    assert defective >= 3 and f"{defective} defective" in plain
    code, ruled, _ = sclvi("inspect", model, category / "test", *options, "--rules", rules)
    assert code == 0
    assert ruled.startswith(f"6 good ({defective} of them by the rules), 0 defective, 0 skipped, 6 of them done before")
    coco = json.loads((out / "coco.json").read_text())
    assert len(coco["images"]) == 6
    blotches = [image["id"] for image in coco["images"] if image["file_name"].startswith("blotch/")]
    assert {one["image_id"] for one in coco["annotations"]} >= set(blotches) and len(blotches) == 3
    for one in coco["annotations"]:
        corners = np.array(one["segmentation"][0]).reshape(-1, 2)
        x, y, width, height = one["bbox"]
        np.testing.assert_allclose([*corners.min(0), *np.ptp(corners, 0)], [x, y, width, height], atol=1)
        assert one["attributes"]["area_mm2"] == pytest.approx(one["area"] * 0.01)
    labels = out / "labelme/blotch/060.json"
    content = json.loads(labels.read_text())
    assert (labels.parent / content["imagePath"]).resolve() == (category / "test/blotch/060.png").resolve()
    assert len(list((out / "comparisons").iterdir())) == defective

    labels.write_text("{}")
    _, _, err = sclvi("inspect", model, category / "test", *options)
    assert err.splitlines() == [f"{labels}: was changed by hand and is left as it is"] and labels.read_text() == "{}"


def test_names_with_brackets_and_colons_are_told_as_they_are(sclvi, category, tmp_path):
    place = tmp_path / "[/bold] :smile:"
    place.mkdir(parents=True)
    code, out, err = sclvi("train", category, "--out", place / "[red].sclvi", *TRAIN[:-1])
    assert (code, err) == (0, "") and str(place / "[red].sclvi") in out
    code, out, _ = sclvi("inspect", place / "[red].sclvi", category / "test/good", "--out", place / "[1]")
    assert code == 0 and str(place / "[1]" / "report.html") in out
    category.rename(place / "[pins]")
    try:
        code, out, _ = sclvi("evaluate", place / "[red].sclvi", place / "[pins]")
    finally:
        (place / "[pins]").rename(category)
    assert code == 0 and "[pins]: 3 good, 3 defective" in out


def test_results_of_another_model_are_not_lost_without_a_word(sclvi, model, category, tmp_path):
    sclvi("inspect", model, category / "test", "--out", tmp_path / "out")
    sclvi("train", category, "--out", tmp_path / "other.sclvi", *TRAIN, "--seed", "1")
    before = (tmp_path / "out/results.jsonl").read_bytes()
    assert sclvi("inspect", tmp_path / "other.sclvi", tmp_path / "mistyped", "--out", tmp_path / "out")[0] == 2
    assert (tmp_path / "out/results.jsonl").read_bytes() == before
    code, said, told = sclvi("inspect", tmp_path / "other.sclvi", category / "test/good", "--out", tmp_path / "out")
    assert code == 0 and "of earlier runs" not in said
    assert told.startswith(f"{tmp_path / 'out'}: held 6 results of another model") and len(told.splitlines()) == 1
    said = sclvi("inspect", tmp_path / "other.sclvi", category / "test/blotch", "--out", tmp_path / "out")[1]
    assert "(with 3 of earlier runs)" in said


def test_what_was_asked_for_goes_before_what_was_skipped(sclvi, model, category, tmp_path):
    (tmp_path / "words.png").write_text("words")
    command = ("inspect", model, category / "test/blotch", tmp_path / "words.png", "--out", tmp_path / "out", "-q")
    assert sclvi(*command)[0] == 1
    assert sclvi(*command, "--fail-on-defect")[0] == 3


def test_a_damaged_mask_costs_its_picture_and_not_the_evaluation(sclvi, model, category, tmp_path):
    copy = tmp_path / "pins"
    subprocess.run(["cp", "-r", category, copy], check=True)
    whole = sclvi("evaluate", model, copy, "--json", tmp_path / "whole.json")
    (copy / "ground_truth/blotch/061_mask.png").write_bytes(b"words")
    code, out, err = sclvi("evaluate", model, copy, "--json", tmp_path / "f.json")
    assert (whole[0], code) == (0, 1) and "image AUROC" in out
    assert "061_mask.png" in err and len(err.splitlines()) == 1
    assert json.loads((tmp_path / "f.json").read_text())["image_auroc"] == 1.0


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_coloured_mask_counts_as_a_grey_one_does(sclvi, model, category, tmp_path, mode):
    copy = tmp_path / "pins"
    subprocess.run(["cp", "-r", category, copy], check=True)
    assert sclvi("evaluate", model, copy, "--json", tmp_path / "grey.json")[0] == 0
    for mask in (copy / "ground_truth").rglob("*.png"):
        drawn = np.asarray(Image.open(mask).convert("L")) > 0
        coloured = Image.fromarray(drawn.astype(np.uint8) * 2, "P")
        coloured.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # the second colour is green
        coloured.convert(mode).save(mask)
    assert sclvi("evaluate", model, copy, "--json", tmp_path / "green.json")[0] == 0
    grey, green = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("grey", "green"))
    assert green["pixel_auroc"] == grey["pixel_auroc"] > 0.9


def test_a_mask_of_another_shape_costs_its_picture(sclvi, model, category, tmp_path):
    copy = tmp_path / "pins"
    subprocess.run(["cp", "-r", category, copy], check=True)
    mask = copy / "ground_truth/blotch/061_mask.png"
    Image.open(mask).crop((0, 0, SIDE, SIDE // 2)).save(mask)
    code, _, err = sclvi("evaluate", model, copy)
    assert code == 1
    assert f"{mask}: is {SIDE} x {SIDE // 2} px, but its picture {SIDE} x {SIDE} px, which is another shape" in err


def test_an_error_of_the_system_is_one_line(sclvi, model, monkeypatch):
    def locked(*_):
        raise PermissionError(13, "Permission denied", "/locked/in")

    monkeypatch.setattr("sclvi.data.layouts.expand_pictures", locked)
    assert sclvi("inspect", model, "in") == (2, "", "sclvi: /locked/in: Permission denied\n")


def test_a_command_does_not_write_over_what_another_wrote_meanwhile(sclvi, model, category, tmp_path, monkeypatch):
    from sclvi.recalibration import calibrate

    path = tmp_path / "pins.sclvi"
    path.write_bytes(model.read_bytes())

    def meanwhile(*arguments):
        calibrated = calibrate(*arguments)
        path.write_bytes(model.read_bytes())
        return calibrated

    monkeypatch.setattr("sclvi.recalibration.calibrate", meanwhile)
    code, _, err = sclvi("calibrate", path, category / "test/good")
    assert code == 2 and "changed it meanwhile" in err
    assert path.read_bytes() == model.read_bytes()
    assert sclvi("calibrate", path, category / "test/good", "--out", tmp_path / "other.sclvi", "-q")[0] == 0


def test_two_inspections_do_not_share_a_folder(sclvi, model, category, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        code, _, err = sclvi("inspect", model, category / "test", "--out", tmp_path / "out")
    assert code == 2 and "another inspection is at work there" in err and len(err.splitlines()) == 1
    assert sclvi("inspect", model, category / "test", "--out", tmp_path / "out", "-q")[0] == 0


def test_names_that_the_output_cannot_show_end_no_command(model, category, tmp_path):
    out = tmp_path / os.fsdecode(b"\xfe")
    command = [sys.executable, "-m", "sclvi", "inspect", str(model), str(category / "test/good"), "--out", str(out)]
    strict = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=strict)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\udcfe" in done.stdout and (out / "report.html").is_file()


def test_what_was_exported_once_is_kept_true(sclvi, model, category, tmp_path):
    pictures, out = tmp_path / "in", tmp_path / "out"
    for number, folder in enumerate(("a", "a", "b")):
        (pictures / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(defective_part(number)).save(pictures / folder / f"{number}.png")
    sclvi("inspect", model, pictures / "a", "--out", out, "--coco", "--labelme")
    (out / "labelme/0.json").write_text("{}")  # by hand
    _, _, err = sclvi("inspect", model, pictures / "b", "--out", out)
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 3
    found = sorted(str(path.relative_to(out / "labelme")) for path in (out / "labelme").rglob("*.json"))
    assert found == [
        "0.json",
        "a/0.json",
        "a/1.json",
        "b/2.json",
    ]  # all below one folder now, but for what is somebody's
    assert err.splitlines() == [f"{out / 'labelme/0.json'}: was changed by hand and is left as it is"]


def test_a_mask_as_jpeg_is_as_large_as_it_was_drawn(sclvi, model, category, tmp_path):
    figures = []
    for suffix in ("png", "jpg"):
        rows = ["path,split,label,mask"]
        for number in range(60, 63):
            mask = Image.new("L", (SIDE, SIDE))
            mask.paste(255, (40, 60, 64, 84))
            mask.save(tmp_path / f"{number}.{suffix}", quality=60)
            rows.append(f"{category}/test/blotch/{number:03}.png,test,blotch,{number}.{suffix}")
        rows += [f"{path},test,good," for path in (category / "test/good").iterdir()]
        (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
        assert sclvi("evaluate", model, tmp_path / "m.csv", "--json", tmp_path / "f.json")[0] == 0
        figures.append(json.loads((tmp_path / "f.json").read_text())["pixel_ap"])
    assert figures[0] == pytest.approx(figures[1], abs=1e-6)


def test_version(sclvi):
    code, out, _ = sclvi("--version")
    assert code == 0 and out.startswith("sclvi ") and "torch 2." in out


def test_fail_on_defect(sclvi, model, category, tmp_path):
    assert sclvi("inspect", model, category / "test/blotch", "--out", tmp_path, "--fail-on-defect", "-q") == (3, "", "")


def test_bad_pictures_are_named_and_the_others_done(sclvi, model, category, tmp_path):
    pictures = tmp_path / "in"
    pictures.mkdir()
    Image.fromarray(good_part(1)).save(pictures / "fine.png")
    (pictures / "words.png").write_text("words")
    (pictures / "nothing.jpg").write_bytes(b"")
    Image.new("L", (1, 1)).save(pictures / "dot.png")
    code, out, err = sclvi("inspect", model, pictures, tmp_path / "gone.png", "--out", tmp_path / "out")
    assert code == 1
    assert "4 skipped" in out
    lines = err.splitlines()
    assert len(lines) == 4
    for name in ("words.png", "nothing.jpg", "dot.png", "gone.png"):
        assert sum(name in line for line in lines) == 1
    assert "fine.png" in (tmp_path / "out/results.jsonl").read_text()
    assert "words.png" in (tmp_path / "out/report.html").read_text()
    with (tmp_path / "out/skipped.csv").open() as file:
        reasons = {row["image"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons[str(tmp_path / "gone.png")] == "does not exist"


def test_evaluate_gives_the_agreed_keys(sclvi, model, category, tmp_path):
    file = tmp_path / "figures.json"
    code, out, _ = sclvi("evaluate", model, category, "--json", file)
    assert code == 0 and "image AUROC" in out
    figures = json.loads(file.read_text())
    assert figures["image_auroc"] == 1.0
    keys = ("pixel_auroc", "aupro", "image_f1_max", "pixel_ap")
    assert all(0 < figures[key] <= 1 for key in keys)
    assert figures["images_per_second"] > 0 and figures["peak_memory_mib"] > 50


def test_a_missing_mask_is_named_and_the_rest_evaluated(sclvi, model, category, tmp_path):
    copy = tmp_path / "pins"
    subprocess.run(["cp", "-r", category, copy], check=True)
    (copy / "ground_truth/blotch/061_mask.png").unlink()
    code, _, err = sclvi("evaluate", model, copy, "--json", tmp_path / "f.json")
    assert code == 1
    assert "061_mask.png" in err and len(err.splitlines()) == 1
    assert json.loads((tmp_path / "f.json").read_text())["pixel_auroc"] > 0.5


def test_without_masks_pixel_figures_are_null(sclvi, model, category, tmp_path):
    rows = ["path,split,label"]
    rows += [f"{path},test,good" for path in (category / "test/good").iterdir()]
    rows += [f"{path},test,blotch" for path in (category / "test/blotch").iterdir()]
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    assert sclvi("evaluate", model, tmp_path / "m.csv", "--json", tmp_path / "f.json")[0] == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["image_auroc"] == 1.0
    assert figures["pixel_auroc"] is figures["aupro"] is figures["pixel_ap"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "{tmp}/empty", "--out", "{tmp}/m.sclvi"], "empty"),
        (["train", "{tmp}/nowhere", "--out", "{tmp}/m.sclvi"], "nowhere"),
        (["train", "{category}", "--out", "{tmp}/no/such/m.sclvi"], "no such folder"),
        (["train", "{category}", "--out", "{tmp}"], "is a folder"),
        (["train", "{category}", "--size", "12"], "12"),
        (["train", "{category}", "--false-reject-rate", "2"], "--false-reject-rate: Input"),
        (["train", "{category}", "--overlap", "8"], "--tile"),
        (["train", "{category}", "--tile", "256", "--overlap", "200"], "sclvi: tiles of 256 px"),
        (["train", "{category}/test", "--out", "{tmp}/m.sclvi"], "beside blotch"),
        (["inspect", "{model}", "{tmp}/mistyped", "--out", "{tmp}/o"], "mistyped: does not exist"),
        (["inspect", "{tmp}/empty", "{category}", "--out", "{tmp}/o"], "empty"),
        (["inspect", "{model}", "{tmp}/empty", "--out", "{tmp}/o"], "empty"),
        (["inspect", "{model}", "{category}/test", "--out", "/dev/null/o"], "/dev/null/o"),
        (["inspect", "{model}", "{category}/test", "--rules", "{tmp}/no.toml", "--out", "{tmp}/o"], "no.toml"),
        (["evaluate", "{model}", "{category}/train/good"], "no test pictures"),
        (["evaluate", "{model}", "{category}", "--json", "{tmp}/no/such.json"], "no such folder"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(sclvi, model, category, tmp_path, arguments, says):
    (tmp_path / "empty").mkdir()
    filled = [argument.format(tmp=tmp_path, category=category, model=model) for argument in arguments]
    code, out, err = sclvi(*filled)
    assert code == 2 and out == ""
    assert says in err and len(err.splitlines()) == 1


def test_interrupted_training_leaves_the_old_model(sclvi, model, category, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    old = tmp_path / "m.sclvi"
    old.write_bytes(model.read_bytes())
    monkeypatch.setattr("sclvi.learn.train_encoder", interrupt)
    code, _, err = sclvi("train", category, "--out", old, *TRAIN)
    assert code == 130 and len(err.splitlines()) == 1
    assert old.read_bytes() == model.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["m.sclvi"]


def test_killed_inspection_is_taken_up_again(sclvi, model, tmp_path):
    pictures, out = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    for number in range(60):
        Image.fromarray(good_part(number)).save(pictures / f"{number:03}.png")
    command = [sys.executable, "-m", "sclvi", "inspect", str(model), str(pictures), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    journal = out / "results.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "report.html").exists()
    done = journal.read_bytes().count(b"\n")
    assert 5 < done < 60

    code, output, _ = sclvi("inspect", model, pictures, "--out", out)
    assert code == 0
    assert f"{done} of them done before" in output
    images = [json.loads(line)["image"] for line in journal.read_text().splitlines()]
    assert len(images) == len(set(images)) == 60
    assert (out / "report.html").exists()


def test_help_lists_the_commands_without_loading_torch(sclvi):
    code, out, _ = sclvi("--help")
    assert code == 0
    first_words = [line.strip("│ ").split(" ")[0] for line in out.splitlines()]
    verbs = ("demo", "train", "calibrate", "teach", "flag", "audit", "inspect", "evaluate", "bench", "reproduce")
    assert [first_words.count(verb) for verb in verbs] == [1] * len(verbs)
    check = "import sys, sclvi.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_papers_preset_is_told_its_cost_first_and_takes_size_and_fusion(sclvi, category, tmp_path, monkeypatch):
    asked = []

    def stop(good, settings, progress, on_skip, regions):
        asked.append(settings)
        raise SclviError("stopped here")

    monkeypatch.setattr("sclvi.evaluation.reproduce.cost.measure_cost", lambda *_: Cost(step=2.0, picture=10.0))
    monkeypatch.setattr("sclvi.learn.train", stop)
    options = ["--preset", "paper", "--out", tmp_path / "part.sclvi", "--fusion", "nearest", "--steps", "5"]
    code, _, told = sclvi("train", category, *options)
    assert code == 2
    assert told.splitlines() == [
        "5 steps: about 90 seconds on this machine; --steps N makes it shorter",  # 5 x 2 s + 8 x 10 s
        "sclvi: stopped here",
    ]
    assert (asked[0].encoder, asked[0].fusion, asked[0].size) == ("paper", "nearest", (256, 256))
    sclvi("train", category, *options, "--size", "128")
    sclvi("train", category, *options, "--size", "320x192")
    assert [(settings.size, settings.short_side) for settings in asked[1:]] == [(None, 128), ((192, 320), 256)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A model of forty parts, enough to see a change of the light by."""
    root = tmp_path_factory.mktemp("many")
    (root / "good").mkdir()
    for number in range(40):
        Image.fromarray(good_part(number)).save(root / "good" / f"{number:03}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sclvi", "train", str(root / "good"), "--out", str(root / "m.sclvi"), *TRAIN])
        with pytest.raises(SystemExit):
            cli.run()
    return root / "m.sclvi"


def take_pictures(folder, numbers, gain=1.0):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        Image.fromarray((good_part(number) * gain).astype(np.uint8)).save(folder / f"{number:03}.png")


def test_fail_on_drift(sclvi, watched, tmp_path):
    pictures, out = tmp_path / "in", tmp_path / "out"
    take_pictures(pictures, range(100, 110))
    command = ("inspect", watched, pictures, "--out", out, "--fail-on-drift")
    code, said, _ = sclvi(*command)
    assert code == 0 and "10 pictures cannot show" in said
    take_pictures(pictures, range(110, 130))
    code, said, _ = sclvi(*command)
    assert code == 0 and "no sign in 30 pictures" in said
    assert "no sign in 30 pictures" in (out / "report.html").read_text().lower()

    take_pictures(pictures, range(130, 170), gain=0.7)
    code, said, _ = sclvi(*command)  # the thirty done before are counted, too
    assert code == 4 and "30 of them done before" in said
    assert "the camera or the light changed since training: darker (level " in said
    told = json.loads((out / "drift.json").read_text())
    assert told["drifted"] and told["pictures"] == 70
    (darker,) = (one for one in told["changes"] if one["statistic"] == "level")
    assert 30 < darker["noticed_after"] <= 70 and darker["now"] < darker["usual"]
    assert "darker (level " in (out / "report.html").read_text()
    assert sclvi(*command[:-1])[0] == 0  # told, but no failure unless asked for
    assert sclvi(*command, "--quiet")[:2] == (4, "")


def test_stopped_while_it_is_being_imported(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sclvi.cli.run", stop)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 130 and capsys.readouterr().err == "sclvi: stopped; nothing was begun\n"


@pytest.mark.parametrize(
    ("moved", "options", "code"),
    [
        ("level", ["--fail-on-drift"], 4),
        ("level", ["--fail-on-defect"], 3),
        ("level", ["--fail-on-defect", "--fail-on-drift"], 4),  # drift puts the verdicts in doubt
        (SCORE, ["--fail-on-drift"], 0),  # defects move the score, too
        (SCORE, ["--fail-on-defect", "--fail-on-drift"], 3),
    ],
)
def test_drift_goes_before_defects_and_the_score_alone_is_no_drift(
    sclvi, model, category, tmp_path, monkeypatch, moved, options, code
):
    drift = Drift((Change(moved, True, 40, 0.5, 0.7),), 70, 12, 0.01)
    summary = SimpleNamespace(drift=drift, defective=1, dropped=0, kept=())
    monkeypatch.setattr("sclvi.inspect_folder.inspect_folder", lambda *_args, **_options: summary)
    command = ("inspect", model, category / "test", "--out", tmp_path, "--quiet")
    assert sclvi(*command, *options)[0] == code
