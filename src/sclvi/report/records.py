"""Inspections as JSON objects and CSV rows."""

import csv
import io
import json
import math
from collections.abc import Iterable
from typing import NotRequired, TypedDict

from sclvi.decision.inspection import Box, Defect, Inspection, NearestGood, Verdict


class BoxRecord(TypedDict):
    """Pixels of the picture; (x, y) is the upper left corner."""

    x: int
    y: int
    width: int
    height: int


class NearestGoodRecord(TypedDict):
    """The good patch nearest to a defect, in pixels of the training picture."""

    picture: str
    box: BoxRecord
    distance: float | None


class DefectRecord(TypedDict):
    """One region above the pixel threshold; see `Defect`."""

    box: BoxRecord
    area: int
    peak: float | None
    mean: float | None
    severity: float | None
    nearest_good: NearestGoodRecord | None


class SizeRecord(TypedDict):
    """Of the original picture, px."""

    width: int
    height: int


class FileRecord(TypedDict):
    """What tells that a picture has not changed since its inspection."""

    size: int  # bytes
    mtime_ns: int


class Record(TypedDict):
    """One line of results.jsonl. Scores are in full precision, and null where they were no finite number."""

    image: str
    verdict: Verdict
    score: float | None
    threshold: float | None
    pixel_threshold: float | None
    size: SizeRecord
    defects: list[DefectRecord]  # most severe first
    model: str
    milliseconds: float | None
    file: NotRequired[FileRecord | None]  # null for pictures that are no file
    overlay: NotRequired[str]  # path inside the results folder, with forward slashes


class Skipped(TypedDict):
    """A picture that could not be inspected."""

    image: str
    reason: str


CSV_COLUMNS = (
    "image",
    "verdict",
    "score",
    "threshold",
    "defects",
    "worst_x",
    "worst_y",
    "worst_width",
    "worst_height",
    "worst_area",
    "worst_peak",
    "worst_severity",
    "model",
)


def to_record(inspection: Inspection) -> Record:
    """The inspection without its map, as a dictionary that JSON can hold."""
    height, width = inspection.size
    return {
        "image": inspection.image,
        "verdict": inspection.verdict,
        "score": _finite(inspection.score),
        "threshold": _finite(inspection.threshold),
        "pixel_threshold": _finite(inspection.pixel_threshold),
        "size": {"width": int(width), "height": int(height)},
        "defects": [_defect(defect) for defect in inspection.defects],
        "model": inspection.model,
        "milliseconds": _finite(inspection.milliseconds),
    }


def to_line(record: Record) -> bytes:
    """One line of results.jsonl, UTF-8, with its line feed."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # file names that are not UTF-8 arrive with lone surrogates; escaped like this they are valid JSON and come back
    return text.encode("utf-8", "backslashreplace") + b"\n"


def from_line(line: bytes) -> Record | None:
    """What `to_line` wrote; None for a half or garbled line."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or not Record.__required_keys__ <= value.keys():
        return None
    record: Record = value  # type: ignore[assignment]  # a complete line with these keys was written by `to_line`
    return record


def results_csv(records: Iterable[Record]) -> bytes:
    """One row per picture with its worst defect; UTF-8, columns as in CSV_COLUMNS, empty where there is no defect."""
    return csv_table(CSV_COLUMNS, (_row(record) for record in records))


def skipped_csv(skipped: Iterable[Skipped]) -> bytes:
    """Columns image and reason; UTF-8."""
    return csv_table(("image", "reason"), ((item["image"], item["reason"]) for item in skipped))


def _row(record: Record) -> tuple[object, ...]:
    worst: tuple[object, ...] = ("",) * 7
    if record["defects"]:
        first = record["defects"][0]
        worst = (*(first["box"][key] for key in ("x", "y", "width", "height")), first["area"])
        worst += (first["peak"], first["severity"])
    scores = (record["score"], record["threshold"])
    return (record["image"], record["verdict"], *scores, len(record["defects"]), *worst, record["model"])


def csv_table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    """A CSV file, UTF-8; names that are not UTF-8 are escaped."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _defect(defect: Defect) -> DefectRecord:
    return {
        "box": _box(defect.box),
        "area": int(defect.area),
        "peak": _finite(defect.peak),
        "mean": _finite(defect.mean),
        "severity": _finite(defect.severity),
        "nearest_good": None if defect.nearest_good is None else _nearest_good(defect.nearest_good),
    }


def _nearest_good(good: NearestGood) -> NearestGoodRecord:
    return {"picture": good.picture, "box": _box(good.box), "distance": _finite(good.distance)}


def _box(box: Box) -> BoxRecord:
    return {"x": int(box.x), "y": int(box.y), "width": int(box.width), "height": int(box.height)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
