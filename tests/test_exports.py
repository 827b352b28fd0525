"""Records after rules, COCO and LabelMe."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import MODEL, inspection_of, picture_of, records_in

from sclvi.data.box import Box
from sclvi.decision.inspection import Defect
from sclvi.decision.rules import Rules
from sclvi.errors import SclviError
from sclvi.report.coco import to_coco
from sclvi.report.folder import ResultsFolder
from sclvi.report.labelme import write_labelme
from sclvi.report.names import relative_names
from sclvi.report.records import apply_rules, final_verdict, results_csv, to_record

SQUARE = ((10.0, 20.0), (18.0, 20.0), (18.0, 26.0), (10.0, 26.0))
RULES = Rules(mm_per_px=0.5, minimum_area_mm2=10.25)


def defect_of(area: int, severity: float = 2.5) -> Defect:
    return Defect(Box(10, 20, 8, 6), area, severity, 1.7, severity, None, SQUARE)


def record_of(image: str, *defects: Defect, rules: Rules | None = None) -> dict:
    changes = {} if defects else {"score": 0.5}
    return apply_rules(to_record(inspection_of(image, defects=defects, **changes)), rules)


# records


def test_rules_are_stated_in_the_record_and_change_no_measured_value():
    plain = to_record(inspection_of(defects=(defect_of(40), defect_of(41))))
    ruled = apply_rules(plain, RULES)
    assert final_verdict(plain) == "defective" and plain["rules"] is None
    assert ruled["rules"] == {
        "verdict": "defective",
        "counted": 1,
        "settings": {"mm_per_px": 0.5, "minimum_area_mm2": 10.25, "maximum_defects": 0},
    }
    assert [defect["area_mm2"] for defect in ruled["defects"]] == [10.0, 10.25]
    assert [defect["discounted_by"] for defect in ruled["defects"]] == [["minimum_area_mm2"], []]
    lenient = apply_rules(ruled, Rules(maximum_defects=2))
    assert final_verdict(lenient) == "good"
    assert lenient["verdict"] == "defective" and lenient["score"] == plain["score"]
    assert apply_rules(lenient, None) == plain


def test_a_severity_that_was_no_number_counts():
    record = record_of("a.png", defect_of(40, float("nan")), rules=Rules(minimum_severity=99))
    assert final_verdict(record) == "defective"


def test_rules_in_csv():
    records = [record_of("a.png", defect_of(40), rules=RULES), record_of("b.png", defect_of(40)), record_of("c.png")]
    rows = list(csv.DictReader(io.StringIO(results_csv(records).decode())))
    columns = ("verdict", "final_verdict", "defects", "counted_defects", "worst_area_mm2")
    assert [[row[column] for column in columns] for row in rows] == [
        ["defective", "good", "1", "0", "10.0"],
        ["defective", "defective", "1", "1", ""],
        ["good", "good", "0", "0", ""],
    ]


def test_other_rules_hold_for_all_results_without_another_inspection(tmp_path: Path):
    images = [tmp_path / f"{number}.png" for number in range(2)]
    for image in images:
        Image.fromarray(picture_of((60, 80))).save(image)
    first = ResultsFolder(tmp_path / "out", MODEL)
    for image, area in zip(images, (40, 50), strict=True):
        first.is_done(image)
        first.add(inspection_of(image, defects=(defect_of(area),)), np.asarray(Image.open(image)))
    first.finish()
    assert [final_verdict(first.record(image)) for image in images] == ["defective", "defective"]
    second = ResultsFolder(tmp_path / "out", MODEL, Rules(minimum_area_px=45))
    assert all(map(second.is_done, images))
    assert [final_verdict(second.record(image)) for image in images] == ["good", "defective"]
    assert [record["rules"]["counted"] for record in records_in(tmp_path / "out")] == [0, 1]
    page = second.finish().read_text()
    assert "accepted by the rules" in page and "does not count: minimum_area_px" in page
    assert page.count('data-verdict="good"') == page.count('data-verdict="defective"') == 1
    third = ResultsFolder(tmp_path / "out", MODEL)
    assert [final_verdict(third.record(image)) for image in images] == ["defective", "defective"]
    assert [record["rules"] for record in records_in(tmp_path / "out")] == [None, None]


def test_records_from_before_there_were_rules_are_done_again(tmp_path: Path):
    results = ResultsFolder(tmp_path, MODEL)
    results.add(inspection_of("a.png"), picture_of((60, 80)))
    (old,) = records_in(tmp_path)
    del old["rules"]
    (tmp_path / "results.jsonl").write_text(json.dumps(old) + "\n")
    assert ResultsFolder(tmp_path, MODEL).record(Path("a.png")) is None


# names


def test_names_are_relative_to_the_folder_that_all_pictures_lie_in():
    names = relative_names(["/data/a/x/1.png", "/data/a/y/1.png", "/data/a/2.png"])
    assert list(map(str, names.values())) == ["x/1.png", "y/1.png", "2.png"]
    assert list(map(str, relative_names(["/data/a/x/1.png", "/data/a/x/2.png"]).values())) == ["1.png", "2.png"]
    assert list(map(str, relative_names(["/a/1.png", "/b/1.png", "/c"]).values())) == ["a/1.png", "b/1.png", "c"]
    assert [str(name) for name in relative_names(["../1.png"]).values()] == ["1.png"]
    assert relative_names([]) == {}


# COCO


def test_coco():
    records = [
        record_of("in/a.png", defect_of(40), defect_of(41, float("nan")), rules=RULES),
        record_of("in/é.png"),
        record_of("in/c.png", replace(defect_of(7), polygon=())),
    ]
    content = json.loads(to_coco(records, MODEL))
    assert content["info"]["model"] == MODEL
    assert content["categories"] == [{"id": 1, "name": "defect", "supercategory": ""}]
    assert [image["file_name"] for image in content["images"]] == ["a.png", "é.png", "c.png"]
    assert all((image["width"], image["height"]) == (80, 60) for image in content["images"])
    assert [image["attributes"]["final_verdict"] for image in content["images"]] == ["defective", "good", "defective"]
    first, second, third = content["annotations"]
    assert first == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[10, 20, 18, 20, 18, 26, 10, 26]],
        "bbox": [10, 20, 8, 6],
        "area": 40,
        "iscrowd": 0,
        "score": 2.5,
        "attributes": {"severity": 2.5, "mean": 1.7, "area_mm2": 10.0, "discounted_by": ["minimum_area_mm2"]},
    }
    assert (second["id"], second["score"], second["attributes"]["severity"]) == (2, None, None)
    assert (third["id"], third["image_id"], third["segmentation"]) == (3, 3, [])


def test_coco_of_nothing():
    content = json.loads(to_coco([], MODEL))
    assert content["images"] == content["annotations"] == []


# LabelMe


def test_labelme(tmp_path: Path):
    records = [
        record_of(str(tmp_path / "in/x/a.png"), defect_of(40), defect_of(41), rules=RULES),
        record_of(str(tmp_path / "in/y/a.png")),
        record_of(str(tmp_path / "in/y/b.png")),
        record_of(str(tmp_path / "in/y/b.jpg")),
    ]
    folder = tmp_path / "out/labelme"
    assert write_labelme(records, folder) == []
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))
    assert names == ["x/a.json", "y/a.json", "y/b.jpg.json", "y/b.png.json"]
    content = json.loads((folder / "x/a.json").read_text())
    assert content["shapes"][0] == {
        "label": "defect",
        "points": [[10, 20], [18, 20], [18, 26], [10, 26]],
        "group_id": None,
        "description": "severity 2.50",
        "shape_type": "polygon",
        "flags": {"discounted": True},
    }
    assert [shape["flags"]["discounted"] for shape in content["shapes"]] == [True, False]
    assert content["flags"] == {"good": False, "defective": True}
    assert (content["imageWidth"], content["imageHeight"], content["imageData"]) == (80, 60, None)
    assert ((folder / "x") / content["imagePath"]).resolve() == tmp_path / "in/x/a.png"  # as LabelMe looks for it
    assert json.loads((folder / "y/a.json").read_text())["shapes"] == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content["shapes"].clear(),
        lambda content: content["shapes"][0]["points"].pop(),
        lambda content: content.pop("sclvi_shapes"),
        lambda content: content.pop("shapes"),
    ],
)
def test_labels_changed_by_hand_are_left_alone(tmp_path: Path, edit):
    images = [str(tmp_path / name) for name in ("a.png", "b.png")]
    before = [record_of(image, defect_of(40)) for image in images]
    assert write_labelme(before, tmp_path) == []
    path = tmp_path / "a.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    edited = path.read_bytes()
    after = [record_of(image, defect_of(40), rules=RULES) for image in images]
    assert write_labelme(after, tmp_path) == [path]
    assert path.read_bytes() == edited
    assert json.loads((tmp_path / "b.json").read_text())["shapes"][0]["flags"] == {"discounted": True}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SclviError, match=r"file: cannot be created"):
        write_labelme([record_of("a.png")], tmp_path / "file")


def test_peak_and_severity_stand_where_each_belongs(tmp_path: Path):
    record = record_of("a.png", replace(defect_of(40), peak=2.75))
    (annotation,) = json.loads(to_coco([record], MODEL))["annotations"]
    assert (annotation["score"], annotation["attributes"]["severity"]) == (2.75, 2.5)
    write_labelme([record], tmp_path)
    (shape,) = json.loads((tmp_path / "a.json").read_text())["shapes"]
    assert shape["description"] == "severity 2.50"
