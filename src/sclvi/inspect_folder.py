"""Inspecting pictures into a results folder that can be interrupted and taken up again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sclvi.decision.drift import SCORE, Drift, find_drift
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.model import Model
from sclvi.progress import Progress, silent, track
from sclvi.report.folder import ResultsFolder
from sclvi.report.records import Record


@dataclass(frozen=True)
class Summary:
    """How many of the pictures asked for are what."""

    good: int
    defective: int
    done_before: int  # of these, by an earlier run
    report: Path
    drift: Drift


def inspect_folder(
    model: Model, pictures: Sequence[Path], out: Path, progress: Progress = silent, on_skip: OnSkip | None = None
) -> Summary:
    """Inspect pictures and write overlays, records and the report to `out`.

    Pictures that the same model has inspected there before, and that have not changed since, are not done again.
    Drift is looked for in all the pictures asked for, in that order, whichever run inspected them.

    Raises:
        SclviError: `out` cannot be written; or a bad picture without `on_skip`.
    """
    folder = ResultsFolder(out, model.fingerprint)
    waiting = [picture for picture in pictures if not folder.is_done(picture)]

    def skip(name: str, error: SclviError) -> None:
        folder.skip(name, str(error))
        leave_out(name, error, on_skip)

    for inspection, picture in track(model.inspect_pictures(waiting, skip), "inspecting", len(waiting), progress):
        folder.add(inspection, picture)
    records = [record for picture in pictures if (record := folder.record(picture)) is not None]
    drift = find_drift(model.good_statistics, [_statistics(record) for record in records])
    defective = sum(record["verdict"] == "defective" for record in records)
    done_before = len(pictures) - len(waiting)
    return Summary(len(records) - defective, defective, done_before, folder.finish(drift), drift)


def _statistics(record: Record) -> dict[str, float]:
    """What is watched of one picture; a score that is no number counts as the highest."""
    score = record["score"]
    return {**record["appearance"], SCORE: math.inf if score is None else score}
