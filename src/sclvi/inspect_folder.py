"""Inspecting pictures into a results folder that can be interrupted and taken up again."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sclvi.decision.drift import SCORE, Drift, find_drift
from sclvi.decision.rules import Rules
from sclvi.errors import OnSkip, SclviError, leave_out, reason
from sclvi.model import Model
from sclvi.progress import Progress, silent, track
from sclvi.report.folder import ResultsFolder
from sclvi.report.records import Record, final_verdict, is_accepted_by_rules


@dataclass(frozen=True)
class Summary:
    """How many of the pictures asked for are what, after the rules."""

    good: int
    defective: int
    accepted: int  # of the good ones, by the rules alone
    done_before: int  # by an earlier run
    report: Path
    drift: Drift
    earlier: int  # other pictures that the report shows, of earlier runs
    dropped: int  # results of another model, which were there
    kept: tuple[Path, ...]  # LabelMe files that were left as they are, since someone changed them


def inspect_folder(
    model: Model,
    pictures: Sequence[Path],
    out: Path,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    *,
    rules: Rules | None = None,
    coco: bool = False,
    labelme: bool = False,
) -> Summary:
    """Inspect pictures and write overlays, comparisons, records and the report to `out`.

    Pictures that the same model has inspected there before, and that have not changed since, are not done again.
    Drift is looked for in all the pictures asked for, in that order, whichever run inspected them.

    Args:
        model: the inspector.
        pictures: files.
        out: results folder; created if missing.
        progress: told after each picture.
        on_skip: called for each picture that cannot be inspected; without it the error is raised.
        rules: which defects count, for all results in the folder.
        coco: write coco.json; one that is there is written anew in any case, so that it tells of these results.
        labelme: likewise labelme/, see `write_labelme`.

    Raises:
        SclviError: `out` cannot be written, or another process writes there; or a bad picture without `on_skip`.
    """
    with _alone_in(out):
        folder = ResultsFolder(out, model.fingerprint, rules, model.known_good, model.regions)
        waiting = [picture for picture in pictures if not folder.is_done(picture)]

        def skip(name: str, error: SclviError) -> None:
            folder.skip(name, reason(name, error))
            leave_out(name, error, on_skip)

        for inspection, picture in track(model.inspect_pictures(waiting, skip), "inspecting", len(waiting), progress):
            folder.add(inspection, picture)
        records = [record for picture in pictures if (record := folder.record(picture)) is not None]
        drift = find_drift(model.good_statistics, [_statistics(record) for record in records])
        defective = sum(final_verdict(record) == "defective" for record in records)
        report = folder.finish(drift)
        if coco or folder.has_coco:
            folder.write_coco()
        return Summary(
            good=len(records) - defective,
            defective=defective,
            accepted=sum(is_accepted_by_rules(record) for record in records),
            done_before=len(pictures) - len(waiting),
            report=report,
            drift=drift,
            earlier=len(folder) - len(records),
            dropped=folder.dropped,
            kept=tuple(folder.write_labelme()) if labelme or folder.has_labelme else (),
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two processes in one folder would write over each other's results; a killed one is no longer there."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SclviError(f"{folder}: another inspection is at work there; give another --out, or wait") from None
    except OSError as error:
        raise SclviError(f"{folder}: cannot be used as results folder ({error.strerror or error})") from error
    try:
        yield
    finally:
        lock.release()


def _statistics(record: Record) -> dict[str, float]:
    """What is watched of one picture; a score that is no number counts as the highest."""
    score = record["score"]
    return {**record["appearance"], SCORE: math.inf if score is None else score}
