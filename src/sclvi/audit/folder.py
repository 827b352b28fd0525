"""What `sclvi audit` does: read a folder, audit it, write audit.csv and audit.html."""

from pathlib import Path

from sclvi.audit.audit import CHECKS, Audit, audit
from sclvi.audit.page import render_page
from sclvi.data.good import read_good
from sclvi.data.regions import WHOLE, Regions
from sclvi.errors import OnSkip, SclviError, leave_out, reason
from sclvi.files import write_atomically
from sclvi.progress import Progress, silent
from sclvi.report.records import Skipped, csv_table
from sclvi.settings import Settings

CSV_COLUMNS = ("rank", "picture", "suspect", "reasons", *CHECKS, "copy_of", "height", "width")


def audit_folder(
    good: Path,
    out: Path,
    settings: Settings,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    regions: Regions = WHOLE,
) -> Audit:
    """Audit the good pictures of a folder, an MVTec category or a CSV manifest.

    Args:
        good: where they are.
        out: folder for audit.csv (all pictures, most suspicious first) and audit.html; made if missing.
        settings: working size, alignment, seed and memory count.
        progress: told about each stage.
        on_skip: as of `sclvi.train`.
        regions: what is looked at.

    Raises:
        SclviError: `out` cannot be written, fewer than three pictures, or a bad picture without `on_skip`.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SclviError(f"{out}: cannot be used as folder for the audit ({error.strerror or error})") from error
    skipped: list[Skipped] = []

    def skip(name: str, error: SclviError) -> None:
        leave_out(name, error, on_skip)
        skipped.append({"image": name, "reason": reason(name, error)})

    data = read_good(good, settings.size, settings.short_side, settings.align, progress, skip, regions=regions)
    audited = audit(data, settings, progress)
    write_atomically(out / "audit.csv", audit_csv(audited))
    write_atomically(out / "audit.html", render_page(audited, good, skipped))
    return audited


def audit_csv(audited: Audit) -> bytes:
    """One row per picture, most suspicious first; deviations in robust standard deviations; UTF-8."""
    return csv_table(CSV_COLUMNS, (_row(audited, number, rank) for rank, number in enumerate(audited.ranking(), 1)))


def _row(audited: Audit, number: int, rank: int) -> tuple[object, ...]:
    picture = audited.pictures[number]
    return (
        rank,
        picture.name,
        picture.is_flagged,
        "; ".join(picture.reasons),
        *(round(picture.deviations[check], 3) for check in CHECKS),
        picture.copy_of or "",
        *picture.size,
    )
