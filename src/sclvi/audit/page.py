"""audit.html: one file that shows the pictures of a folder, most suspicious first, and loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath

from PIL import Image
from torch import Tensor

from sclvi.audit.audit import CHECKS, Audit, AuditedPicture, Check
from sclvi.data.reading import read_picture
from sclvi.errors import SclviError
from sclvi.report.heat import FAINTEST, lay_heat
from sclvi.report.html import MOST_THUMBNAILS, template_environment
from sclvi.report.picture import to_drawn_rgb
from sclvi.report.records import Skipped
from sclvi.report.thumbnail import small_picture

_COMPARES: Mapping[Check, str] = {
    "unlike": "patches and surface with those of the other pictures",
    "blur": "edges for the contrast there is",
    "exposure": "brightness, and the share that is black or full white",
    "size": "height and width",
}


@dataclass(frozen=True)
class _CheckRow:
    key: Check
    name: str
    compares: str
    limit: str
    failed: int


@dataclass(frozen=True)
class _Card:
    picture: AuditedPicture
    rank: int
    name: str
    folder: str
    thumbnail: str | None
    faults: tuple[str, ...]
    deviations: Mapping[str, str]


def render_page(audit: Audit, folder: Path, skipped: Sequence[Skipped], made: datetime | None = None) -> bytes:
    """Make the page.

    Args:
        audit: of pictures whose names are the paths of their files.
        folder: named in the title.
        skipped: pictures that could not be compared.
        made: time stated on the page; now if None.

    Returns:
        HTML, UTF-8, with thumbnails of the MOST_THUMBNAILS most suspicious pictures.
    """
    ranking = audit.ranking()[:MOST_THUMBNAILS]
    text = (
        template_environment()
        .get_template("audit.html")
        .render(
            folder=folder.resolve().name,
            total=len(audit.pictures),
            flagged=len(audit.flagged),
            copies=sum(picture.copy_of is not None for picture in audit.pictures),
            checks=[_row(audit, check) for check in CHECKS],
            cards=[_card(audit, number, rank) for rank, number in enumerate(ranking, start=1)],
            rest=len(audit.pictures) - len(ranking),
            skipped=skipped,
            faintest=FAINTEST,
            made=(made or datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M %Z").strip(),
        )
    )
    return text.encode("utf-8", "replace")  # names that are not UTF-8 cannot be shown


def _row(audit: Audit, check: Check) -> _CheckRow:
    failed = sum(check in picture.failed for picture in audit.pictures)
    return _CheckRow(check, check.capitalize(), _COMPARES[check], f"{audit.limits[check]:.1f}", failed)


def _card(audit: Audit, number: int, rank: int) -> _Card:
    picture = audit.pictures[number]
    path = PurePath(picture.name)
    return _Card(
        picture=picture,
        rank=rank,
        name=path.name,
        folder="" if str(path.parent) == "." else str(path.parent),
        thumbnail=_thumbnail(picture.name, audit.maps[number], audit.limits["unlike"]),
        faults=(*(CHECKS[check] for check in picture.failed), *(("copy",) if picture.copy_of else ())),
        deviations={check: f"{value:z.1f}" for check, value in picture.deviations.items()},
    )


def _thumbnail(name: str, deviations: Tensor, limit: float) -> str | None:
    """Nothing where the file has gone since it was read."""
    try:
        rgb = to_drawn_rgb(read_picture(Path(name)))
    except SclviError:
        return None
    return small_picture(Image.fromarray(lay_heat(rgb, deviations.numpy(), limit)))
