"""Inspections as JSON objects and CSV rows."""

import csv
import io
import json
import math
import os.path
from collections.abc import Iterable
from typing import Any, NotRequired, TypedDict

from sclvi.data.box import Box
from sclvi.decision.inspection import Defect, Inspection, NearestGood, Verdict
from sclvi.decision.rules import Rules


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
    compared: BoxRecord | None  # the patch of the inspected picture


class DefectRecord(TypedDict):
    """One region above the pixel threshold; see `Defect`."""

    box: BoxRecord
    area: int
    peak: float | None
    mean: float | None
    severity: float | None
    nearest_good: NearestGoodRecord | None
    polygon: list[list[float]]  # [x, y] of each corner
    area_mm2: float | None  # null without a scale in the rules
    discounted_by: list[str]  # rules by which it does not count
    region: str  # of interest; empty where none is named


class SizeRecord(TypedDict):
    """Of the original picture, px."""

    width: int
    height: int


class FileRecord(TypedDict):
    """What tells that a picture has not changed since its inspection."""

    size: int  # bytes
    mtime_ns: int


class RulesRecord(TypedDict):
    """What the rules made of an inspection; see `Rules`."""

    verdict: Verdict  # after the rules
    counted: int  # defects that count
    settings: dict[str, Any]  # the rules themselves


class Record(TypedDict):
    """One line of results.jsonl. Scores are in full precision, and null where they were no finite number."""

    image: str  # as it was named
    path: str  # absolute, by which the same picture is known from any working folder
    verdict: Verdict  # by the threshold, whatever the rules
    rules: RulesRecord | None
    score: float | None
    p_value: float  # see `Inspection`
    promised_rate: float  # likewise
    threshold: float | None
    pixel_threshold: float | None
    size: SizeRecord
    defects: list[DefectRecord]  # most severe first
    model: str
    milliseconds: float | None
    appearance: dict[str, float]  # see `measure_appearance`
    file: NotRequired[FileRecord | None]  # null for pictures that are no file
    channels: NotRequired[int]  # of the picture
    overlay: NotRequired[str]  # path inside the results folder, with forward slashes
    comparisons: NotRequired[str]  # likewise, see `draw_comparisons`; absent where there are none


class Skipped(TypedDict):
    """A picture that could not be inspected."""

    image: str
    reason: str


_BEGINNING = b'{"image": "'  # of a line: the first key of a record
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
    "worst_area_mm2",
    "counted_defects",
    "final_verdict",
    "p_value",
    "worst_region",
    "path",
)


def absolute(image: str) -> str:
    """From the root, through no linked folder; a link to a file stays one: two of them are two pictures."""
    folder, name = os.path.split(image)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def to_record(inspection: Inspection) -> Record:
    """The inspection without its map, as a dictionary that JSON can hold."""
    height, width = inspection.size
    return {
        "image": inspection.image,
        "path": absolute(inspection.image),
        "verdict": inspection.verdict,
        "rules": None,
        "score": _finite(inspection.score),
        "p_value": inspection.p_value,
        "promised_rate": inspection.promised_rate,
        "threshold": _finite(inspection.threshold),
        "pixel_threshold": _finite(inspection.pixel_threshold),
        "size": {"width": int(width), "height": int(height)},
        "defects": [_defect(defect) for defect in inspection.defects],
        "model": inspection.model,
        "milliseconds": _finite(inspection.milliseconds),
        "appearance": dict(inspection.appearance),
    }


def apply_rules(record: Record, rules: Rules | None) -> Record:
    """The same inspection after the rules, which may be others than before; None: no rules."""
    defects = record["defects"]
    if rules is None:
        unruled: list[DefectRecord] = [{**defect, "area_mm2": None, "discounted_by": []} for defect in defects]
        return {**record, "rules": None, "defects": unruled}
    severities = [math.nan if defect["severity"] is None else defect["severity"] for defect in defects]
    areas = [defect["area"] for defect in defects]
    ruling = rules.judge(record["verdict"], list(zip(areas, severities, strict=True)))
    ruled: list[DefectRecord] = [
        {**defect, "area_mm2": rules.area_mm2(defect["area"]), "discounted_by": list(names)}
        for defect, names in zip(defects, ruling.discounted_by, strict=True)
    ]
    settings = rules.model_dump(exclude_none=True)
    stated: RulesRecord = {"verdict": ruling.verdict, "counted": ruling.counted, "settings": settings}
    return {**record, "rules": stated, "defects": ruled}


def final_verdict(record: Record) -> Verdict:
    """The verdict after the rules, where there are any."""
    return record["verdict"] if record["rules"] is None else record["rules"]["verdict"]


def is_accepted_by_rules(record: Record) -> bool:
    """Whether it is good after the rules, defective before."""
    return record["verdict"] == "defective" and final_verdict(record) == "good"


def to_line(record: Record) -> bytes:
    """One line of results.jsonl, UTF-8, with its line feed."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # file names that are not UTF-8 arrive with lone surrogates; escaped like this they are valid JSON and come back
    return text.encode("utf-8", "backslashreplace") + b"\n"


def is_journal(content: bytes) -> bool:
    """Whether a file, as far as it goes, begins as the first of `to_line`'s lines does."""
    return content[: len(_BEGINNING)] == _BEGINNING[: len(content)]


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
    area_mm2 = record["defects"][0]["area_mm2"] if record["defects"] else None
    counted = len(record["defects"]) if record["rules"] is None else record["rules"]["counted"]
    judged = (record["image"], record["verdict"], *scores, len(record["defects"]), *worst, record["model"])
    region = record["defects"][0]["region"] if record["defects"] else None
    return (*judged, area_mm2, counted, final_verdict(record), record["p_value"], region, record["path"])


def csv_table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    """A CSV file, UTF-8; names that are not UTF-8 are escaped."""
    return "".join(map(_csv_line, (header, *rows))).encode("utf-8", "backslashreplace")


def _csv_line(row: tuple[object, ...]) -> str:
    text = io.StringIO(newline="")
    # a name may hold either character, and what ends lines is quoted
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _defect(defect: Defect) -> DefectRecord:
    return {
        "box": _box(defect.box),
        "area": int(defect.area),
        "peak": _finite(defect.peak),
        "mean": _finite(defect.mean),
        "severity": _finite(defect.severity),
        "nearest_good": None if defect.nearest_good is None else _nearest_good(defect.nearest_good),
        "polygon": [[float(x), float(y)] for x, y in defect.polygon],
        "area_mm2": None,
        "discounted_by": [],
        "region": defect.region,
    }


def _nearest_good(good: NearestGood) -> NearestGoodRecord:
    return {
        "picture": good.picture,
        "box": _box(good.box),
        "distance": _finite(good.distance),
        "compared": None if good.compared is None else _box(good.compared),
    }


def _box(box: Box) -> BoxRecord:
    return {"x": int(box.x), "y": int(box.y), "width": int(box.width), "height": int(box.height)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
