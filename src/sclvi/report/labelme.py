"""Defects for LabelMe (https://github.com/wkentaro/labelme), one JSON for each picture, to be corrected by hand."""

import hashlib
import json
import os.path
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sclvi.errors import SclviError
from sclvi.files import write_atomically
from sclvi.report.names import relative_names
from sclvi.report.records import DefectRecord, Record, final_verdict

_VERSION = "5.0.1"  # of LabelMe, whose format has not changed since
_DIGEST = "sclvi_shapes"  # of the shapes as written: LabelMe keeps what it does not know, so changed shapes are noticed


def write_labelme(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write a file for each picture, good ones too.

    The files lie as the pictures lie below the folder that all of them are in, named by the picture's stem, where
    LabelMe looks for them. A file whose shapes were changed since it was written is left as it is, wherever it lies;
    others of earlier runs go.

    Args:
        records: of one model.
        folder: created if missing.

    Returns:
        The files that were left as they are.

    Raises:
        SclviError: a file cannot be written.
    """
    kept = []
    paths = [folder / name for name in _file_names(records)]
    for path in sorted(set(folder.rglob("*.json")) - set(paths)):
        if _is_edited(path):
            kept.append(path)
        else:
            path.unlink(missing_ok=True)
    for record, path in zip(records, paths, strict=True):
        if _is_edited(path):
            kept.append(path)
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SclviError(f"{path.parent}: cannot be created ({error.strerror or error})") from None
        write_atomically(path, _content(record, path.parent))
    return kept


def _file_names(records: Sequence[Record]) -> list[PurePosixPath]:
    """Stem and .json; the whole name and .json where two pictures share their stem."""
    relative = relative_names(record["path"] for record in records)
    names = [relative[record["path"]] for record in records]
    stems = Counter(name.with_suffix("") for name in names)
    return [name.with_name(f"{name.stem if stems[name.with_suffix('')] == 1 else name.name}.json") for name in names]


def _content(record: Record, folder: Path) -> bytes:
    shapes = [_shape(defect) for defect in record["defects"]]
    content = {
        "version": _VERSION,
        "flags": {verdict: final_verdict(record) == verdict for verdict in ("good", "defective")},
        "shapes": shapes,
        "imagePath": Path(os.path.relpath(record["path"], folder)).as_posix(),
        "imageData": None,  # LabelMe reads the picture itself
        "imageHeight": record["size"]["height"],
        "imageWidth": record["size"]["width"],
        _DIGEST: _digest(shapes),
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1).encode("utf-8", "backslashreplace")


def _shape(defect: DefectRecord) -> dict[str, Any]:
    severity = defect["severity"]
    return {
        "label": "defect",
        "points": defect["polygon"],
        "group_id": None,
        "description": "" if severity is None else f"severity {severity:.2f}",
        "shape_type": "polygon",
        "flags": {"discounted": bool(defect["discounted_by"])},
    }


def _digest(shapes: object) -> str:
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()[:16]


def _is_edited(path: Path) -> bool:
    """Whether someone else has had a hand in the file; a broken one is somebody's, too."""
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_bytes())
        return bool(content[_DIGEST] != _digest(content["shapes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return True
