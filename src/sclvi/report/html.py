"""report.html: one file that shows all results of a folder, worst first, and loads nothing from anywhere else."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from sclvi.decision.drift import Drift
from sclvi.decision.inspection import Verdict
from sclvi.report.comparison import GAP, SIDE, cut_comparison
from sclvi.report.drift import change_details, drift_headline
from sclvi.report.heat import FAINTEST
from sclvi.report.histogram import Histogram, histogram
from sclvi.report.overlay import number_text
from sclvi.report.picture import shown_channels
from sclvi.report.records import Record, Skipped, final_verdict, is_accepted_by_rules
from sclvi.report.thumbnail import thumbnail

MOST_THUMBNAILS = 500  # about 20 to 30 kB each; more would be slow to open, the rest is listed without a picture
MOST_COMPARISONS = 600  # about 6 kB each
_QUALITY = 75  # of comparisons
_FEW_DEFECTS = 3  # of a picture shown at once; the others open on a click


@dataclass(frozen=True)
class _Entry:
    """A record and what the template cannot work out by itself."""

    record: Record
    name: str
    folder: str
    thumbnail: str | None
    overlay: str  # relative address of the full overlay
    comparisons: list[str]  # of its worst defects
    verdict: Verdict  # after the rules
    accepted: bool  # by the rules alone
    share: float  # percent of the meter, on which the threshold stands at 50


def render_report(
    records: Sequence[Record],
    skipped: Sequence[Skipped],
    folder: Path,
    model: str,
    made: datetime | None = None,
    drift: Drift | None = None,
) -> bytes:
    """Make the report.

    Args:
        records: in any order, of one model and threshold.
        skipped: pictures that could not be inspected.
        folder: where the report will lie and the overlays named in the records are.
        model: fingerprint.
        made: time stated in the report; now if None.
        drift: of the run that the report is made for; nothing is said of it if None.

    Returns:
        The HTML page, UTF-8. Thumbnails of the MOST_THUMBNAILS worst pictures and MOST_COMPARISONS defects beside their
        nearest good patch are inside; the full overlays are looked
        up beside the report when a picture is enlarged, and the thumbnail is shown if they are not there.
    """
    worst_first = sorted(records, key=_order)
    entries = _entries(worst_first, folder)
    rules = worst_first[0]["rules"] if worst_first else None
    threshold = worst_first[0]["threshold"] if worst_first else None
    page = template_environment().get_template("report.html")
    text = page.render(
        cards=entries[:MOST_THUMBNAILS],
        rest=entries[MOST_THUMBNAILS:],
        skipped=skipped,
        total=len(records),
        defective=sum(entry.verdict == "defective" for entry in entries),
        above=sum(record["verdict"] == "defective" for record in records),
        accepted=sum(entry.accepted for entry in entries),
        rules=rules["settings"] if rules else {},
        comparison_size=(2 * SIDE + GAP, SIDE),
        model=model,
        threshold=threshold,
        promised_rate=worst_first[0]["promised_rate"] if worst_first else None,
        plot=_plot(worst_first, threshold),
        shown=shown_channels(max((record.get("channels", 1) for record in records), default=1)),
        few=_FEW_DEFECTS,
        drift=drift,
        drift_headline=drift and drift_headline(drift),
        drift_details=change_details(drift) if drift else [],
        faintest=FAINTEST,
        made=(made or datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M %Z").strip(),
    )
    return text.encode("utf-8", "replace")  # names that are not UTF-8 cannot be shown


def template_environment() -> Environment:
    """Where pages find their templates and how they write numbers."""
    environment = Environment(
        loader=PackageLoader("sclvi", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "?" if value is None else number_text(value)
    environment.filters["file_name"] = lambda image: PurePath(image).name or image
    environment.filters["tick"] = lambda value: f"{value:.3g}"
    return environment


def _order(record: Record) -> tuple[bool, float, str]:
    """Worst first; a score that is no number deserves the first look."""
    score = record["score"]
    return (score is not None, -(score or 0.0), record["image"])


def _entries(worst_first: Sequence[Record], folder: Path) -> list[_Entry]:
    entries, room = [], MOST_COMPARISONS
    for rank, record in enumerate(worst_first):
        shown = rank < MOST_THUMBNAILS
        comparisons = _comparisons(record, folder, room) if shown else []
        room -= len(comparisons)
        entries.append(_entry(record, folder, shown, comparisons))
    return entries


def _entry(record: Record, folder: Path, with_thumbnail: bool, comparisons: list[str]) -> _Entry:
    overlay = record.get("overlay", "")
    size = (record["size"]["height"], record["size"]["width"])
    path = PurePath(record["image"])
    return _Entry(
        record=record,
        name=path.name or record["image"],
        folder="" if str(path.parent) == "." else str(path.parent),
        thumbnail=thumbnail(folder / overlay, size) if with_thumbnail and overlay else None,
        overlay=quote(overlay, errors="replace"),
        comparisons=comparisons,
        verdict=final_verdict(record),
        accepted=is_accepted_by_rules(record),
        share=_share(record),
    )


def _comparisons(record: Record, folder: Path, most: int) -> list[str]:
    """data: addresses of at most `most` drawn comparisons; none if the file is gone or broken."""
    if "comparisons" not in record or not most:
        return []
    try:
        with Image.open(folder / record["comparisons"]) as file:
            drawn = np.asarray(file.convert("RGB"))
    except (OSError, ValueError):
        return []
    return [_address(cut_comparison(drawn, number)) for number in range(min(len(drawn) // SIDE, most))]


def _address(rgb: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _share(record: Record) -> float:
    """Score / threshold as percent of a meter that ends at twice the threshold."""
    score, threshold = record["score"], record["threshold"]
    if score is None or threshold is None or threshold <= 0:
        return 100.0 if record["verdict"] == "defective" else 0.0
    return min(max(50 * score / threshold, 0.0), 100.0)


def _plot(records: Sequence[Record], threshold: float | None) -> Histogram | None:
    scores = [record["score"] for record in records if record["score"] is not None]
    if not scores or threshold is None or not math.isfinite(threshold):
        return None
    return histogram(scores, threshold)
