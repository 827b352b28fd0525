"""Inspecting pictures into a results folder that can be interrupted and taken up again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.model import Model
from sclvi.progress import Progress, silent, track
from sclvi.report.folder import ResultsFolder


@dataclass(frozen=True)
class Summary:
    """How many of the pictures asked for are what."""

    good: int
    defective: int
    done_before: int  # of these, by an earlier run
    report: Path


def inspect_folder(
    model: Model, pictures: Sequence[Path], out: Path, progress: Progress = silent, on_skip: OnSkip | None = None
) -> Summary:
    """Inspect pictures and write overlays, records and the report to `out`.

    Pictures that the same model has inspected there before, and that have not changed since, are not done again.

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
    verdicts = [folder.verdict(picture) for picture in pictures]
    return Summary(verdicts.count("good"), verdicts.count("defective"), len(pictures) - len(waiting), folder.finish())
