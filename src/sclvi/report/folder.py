"""The folder that `sclvi inspect` fills, picture by picture, so that an interrupted run goes on where it stopped."""

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sclvi.data.good import TrainingPicture
from sclvi.data.layouts import COMPARISONS, OVERLAYS, RESULTS
from sclvi.data.regions import WHOLE, Regions
from sclvi.decision.drift import Drift
from sclvi.decision.inspection import Inspection
from sclvi.decision.rules import Rules
from sclvi.errors import SclviError
from sclvi.files import TEMPORARY_PREFIX, write_atomically
from sclvi.report.coco import to_coco
from sclvi.report.comparison import draw_comparisons
from sclvi.report.drift import drift_json
from sclvi.report.html import render_report
from sclvi.report.labelme import write_labelme
from sclvi.report.overlay import draw_overlay
from sclvi.report.records import (
    FileRecord,
    Record,
    Skipped,
    absolute,
    apply_rules,
    from_line,
    is_journal,
    results_csv,
    skipped_csv,
    to_line,
    to_record,
)

_JPEG_QUALITY = 92
_LONGEST_NAME = 120  # bytes; file systems take 255, archives and other systems sometimes less


class ResultsFolder:
    """Results of one model: overlays/, comparisons/, results.jsonl, results.csv, skipped.csv, drift.json, report.html.

    results.jsonl is the truth and is complete after each `add`; the other files are made from it by `finish`.
    Results of the same model from earlier runs stay. Results of another model are dropped, with their overlays, when
    the folder is opened; `dropped` says how many. A picture is the same by whichever path it is named. Rules hold for
    all results in the folder, whatever the rules of earlier runs. Two processes must not fill one folder at the same
    time.
    """

    def __init__(
        self,
        directory: Path,
        model: str,
        rules: Rules | None = None,
        good: Mapping[str, TrainingPicture] | None = None,
        regions: Regions = WHOLE,
    ) -> None:
        """Open or create the folder.

        Args:
            directory: created with its parents if missing.
            model: fingerprint; it stands for the thresholds, too, so two thresholds need two fingerprints.
            rules: which defects count.
            good: training pictures by name, whose thumbnails are shown beside defects.
            regions: of interest, whose edges overlays show.

        Raises:
            SclviError: the folder cannot be created or read.
        """
        self.directory = directory
        self.model = model
        self.dropped = 0
        self._rules = rules
        self._good = good or {}
        self._regions = regions
        self._records: dict[str, Record] = {}  # by absolute path
        self._skipped: dict[str, str] = {}  # reason by image
        self._files: dict[str, FileRecord | None] = {}  # by path, of the pictures that `is_done` was asked for
        try:
            for folder in (OVERLAYS, COMPARISONS):
                (directory / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SclviError(f"{directory}: cannot be used as results folder ({_why(error)})") from error
        self._remove_leftovers()
        self._load()

    def __len__(self) -> int:
        """How many pictures have results."""
        return len(self._records)

    def is_done(self, image: Path) -> bool:
        """Whether the picture was inspected by this model, has not changed since, and still has its overlay."""
        key = absolute(str(image))
        # remembered from before the picture is read: a change in between makes the next run redo it
        self._files[key] = _file_record(image)
        record = self._records.get(key)
        if record is None or record.get("file") is None or record.get("file") != self._files[key]:
            return False
        return (self.directory / _overlay_path(key)).is_file()

    def add(self, inspection: Inspection, picture: NDArray[np.generic]) -> None:
        """Write the overlay and the comparisons, then the record; a record of the same picture is replaced.

        Args:
            inspection: by the model of this folder.
            picture: H x W x C as for `draw_overlay`.

        Raises:
            SclviError: a file cannot be written; the records are as before, and may be added to again.
            ValueError: the inspection is by another model, or the picture is not the one inspected.
        """
        if inspection.model != self.model:
            raise ValueError(f"inspection by {inspection.model} for the results of {self.model}")
        path = absolute(inspection.image)
        overlay, comparisons = _overlay_path(path), _comparisons_path(path)
        write_atomically(self.directory / overlay, _jpeg(draw_overlay(picture, inspection, self._regions)))
        record = apply_rules(to_record(inspection), self._rules)
        drawn = draw_comparisons(picture, inspection, self._good)
        if drawn is not None:
            write_atomically(self.directory / comparisons, _jpeg(drawn))
            record["comparisons"] = comparisons
        else:
            _remove(self.directory / comparisons)  # of an earlier inspection
        known = self._files.pop(path, None)
        record["file"] = known or _file_record(Path(inspection.image))
        record["channels"] = picture.shape[2]
        record["overlay"] = overlay
        self._append(to_line(record))
        self._remember(record)
        self._skipped.pop(inspection.image, None)

    def skip(self, image: Path | str, reason: str) -> None:
        """Remember a picture that could not be inspected; an older record of it no longer holds and goes."""
        self._skipped[str(image)] = reason
        self._records.pop(absolute(str(image)), None)

    def record(self, image: Path) -> Record | None:
        """What is known of a picture, None if it is not among the results."""
        return self._records.get(absolute(str(image)))

    def finish(self, drift: Drift | None = None) -> Path:
        """Write results.csv, skipped.csv (only if pictures were skipped in this run), drift.json and report.html.

        Args:
            drift: what this run says of camera and light; without it there is no drift.json.

        Returns:
            The path of report.html.

        Raises:
            SclviError: a file cannot be written; what is there of it from an earlier run stays whole.
        """
        records = list(self._records.values())
        skipped: list[Skipped] = [{"image": image, "reason": reason} for image, reason in self._skipped.items()]
        self._rewrite()
        write_atomically(self.directory / "results.csv", results_csv(records))
        if skipped:
            write_atomically(self.directory / "skipped.csv", skipped_csv(skipped))
        else:
            _remove(self.directory / "skipped.csv")
        if drift:
            text = json.dumps({**drift_json(drift), "model": self.model}, indent=2)
            write_atomically(self.directory / "drift.json", text.encode() + b"\n")
        else:
            _remove(self.directory / "drift.json")
        report = self.directory / "report.html"
        write_atomically(report, render_report(records, skipped, self.directory, self.model, drift=drift))
        return report

    def write_coco(self) -> Path:
        """Write coco.json of all results.

        Raises:
            SclviError: it cannot be written.
        """
        path = self.directory / "coco.json"
        write_atomically(path, to_coco(list(self._records.values()), self.model))
        return path

    @property
    def has_coco(self) -> bool:
        """Whether an earlier run wrote coco.json: then it has to be kept true."""
        return (self.directory / "coco.json").is_file()

    @property
    def has_labelme(self) -> bool:
        """Likewise."""
        return (self.directory / "labelme").is_dir()

    def write_labelme(self) -> list[Path]:
        """Write labelme/ of all results; returns and errors as of `write_labelme`."""
        return write_labelme(list(self._records.values()), self.directory / "labelme")

    @property
    def _journal(self) -> Path:
        return self.directory / RESULTS

    def _load(self) -> None:
        try:
            content = self._journal.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise SclviError(f"{self._journal}: cannot be read ({_why(error)})") from error
        if not is_journal(content):
            raise SclviError(f"{self._journal}: was not written by sclvi inspect; choose another folder")
        foreign: list[str] = []
        outdated = 0
        for line in content.split(b"\n"):  # not splitlines: file names may hold other line ends
            record = from_line(line)
            if record is None:  # of an older sclvi; or half a line from a killed run
                outdated += line.endswith(b"}")
            elif record["model"] == self.model:
                self._remember(apply_rules(record, self._rules))
            else:
                foreign.append(record["path"])
        clean = b"".join(map(to_line, self._records.values()))
        if clean != content:
            write_atomically(self._journal, clean)
        for path in set(foreign) - set(self._records):
            _remove(self.directory / _overlay_path(path))
            _remove(self.directory / _comparisons_path(path))
        self.dropped = len(set(foreign)) + outdated

    def _remember(self, record: Record) -> None:
        self._records.pop(record["path"], None)  # so that it moves to the end, as in the file
        self._records[record["path"]] = record

    def _append(self, line: bytes) -> None:
        length = self._journal.stat().st_size if self._journal.exists() else 0
        try:
            with self._journal.open("ab") as file:
                file.write(line)
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line would spoil the next one
                os.truncate(self._journal, length)
            raise SclviError(f"{self._journal}: cannot be written ({_why(error)})") from error

    def _rewrite(self) -> None:
        """Make results.jsonl hold each picture once."""
        write_atomically(self._journal, b"".join(map(to_line, self._records.values())))

    def _remove_leftovers(self) -> None:
        for folder in (self.directory, self.directory / OVERLAYS, self.directory / COMPARISONS):
            for path in folder.glob(f"{TEMPORARY_PREFIX}*.tmp"):
                _remove(path)


def _overlay_path(path: str) -> str:
    return f"{OVERLAYS}/{_file_name(path)}"


def _comparisons_path(path: str) -> str:
    return f"{COMPARISONS}/{_file_name(path)}"


def _file_name(path: str) -> str:
    """What the drawings of a picture are called: readable, and another name for a same one from another folder."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    named = Path(path)
    readable = "_".join(part for part in (named.parent.name, named.stem) if part)
    safe = re.sub(r"[^\w.-]+", "_", readable).strip("._")
    return f"{safe.encode()[:_LONGEST_NAME].decode(errors='ignore')}-{digest}.jpg"


def _file_record(image: Path) -> FileRecord | None:
    try:
        status = image.stat()
    except (OSError, ValueError):  # an array, or a name that no file can have
        return None
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    # full colour resolution: the lines are thin
    Image.fromarray(rgb).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # a leftover does no harm
        path.unlink()


def _why(error: OSError) -> str:
    return error.strerror or str(error)
