"""Defects in COCO's format (https://cocodataset.org/#format-data): one file for a run."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from sclvi.report.names import relative_names
from sclvi.report.records import DefectRecord, Record, final_verdict

_CATEGORY = {"id": 1, "name": "defect", "supercategory": ""}


def to_coco(records: Sequence[Record], model: str) -> bytes:
    """All pictures, good ones too, and all defects, discounted ones too.

    Coordinates are px of the original picture. `area` leaves holes out, which `segmentation` cannot; `score` is the
    defect's peak, in the unit of the anomaly map and without an upper bound. What COCO has no place for is in
    `attributes`, as annotation tools expect it. Numbers that were not finite are null.

    Args:
        records: of one model.
        model: its fingerprint.

    Returns:
        JSON, UTF-8. File names are relative to the folder that all pictures lie in.
    """
    names = relative_names(record["path"] for record in records)
    numbers = count(1)
    images, annotations = [], []
    for image_id, record in enumerate(records, start=1):
        attributes = {key: record[key] for key in ("verdict", "score", "threshold", "rules")}
        images.append(
            {
                "id": image_id,
                "file_name": str(names[record["path"]]),
                **record["size"],
                "attributes": {**attributes, "final_verdict": final_verdict(record)},
            }
        )
        annotations += [{"id": next(numbers), "image_id": image_id, **_annotation(one)} for one in record["defects"]]
    content = {
        "info": {"description": "defects found by sclvi", "model": model},
        "licenses": [],
        "categories": [_CATEGORY],
        "images": images,
        "annotations": annotations,
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1).encode("utf-8", "backslashreplace")


def _annotation(defect: DefectRecord) -> dict[str, Any]:
    box = defect["box"]
    return {
        "category_id": _CATEGORY["id"],
        "segmentation": [[value for corner in defect["polygon"] for value in corner]] if defect["polygon"] else [],
        "bbox": [box["x"], box["y"], box["width"], box["height"]],
        "area": defect["area"],
        "iscrowd": 0,
        "score": defect["peak"],
        "attributes": {key: defect[key] for key in ("severity", "mean", "area_mm2", "discounted_by")},
    }
