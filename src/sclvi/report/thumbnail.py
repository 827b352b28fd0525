"""Thumbnails: overlays small enough to travel inside the report."""

import base64
import io
from pathlib import Path

from PIL import Image

from sclvi.report.picture import drawn_size

_SIDE = 480  # px; two per px of a card on a fine screen
_MOST_BYTES = 64_000  # so that a report of 200 pictures stays under 20 MB whatever they show
_QUALITIES = (78, 60, 40, 20)  # the first that is small enough; only pictures full of noise need a lower one


def thumbnail(overlay: Path, size: tuple[int, int]) -> str | None:
    """The picture part of an overlay file, without its strip: the report tells the verdict in words.

    Args:
        overlay: file written by `ResultsFolder`.
        size: (height, width) of the original picture.

    Returns:
        A data: address of a JPEG with the longer side at most 480 px; None if the file is gone or broken.
    """
    height, width = drawn_size(size)
    try:
        with Image.open(overlay) as drawn:
            picture = drawn.convert("RGB").crop((0, 0, min(width, drawn.width), min(height, drawn.height)))
    except (OSError, ValueError):
        return None
    return small_picture(picture)


def small_picture(picture: Image.Image) -> str:
    """A data: address of an RGB picture as a JPEG with the longer side at most 480 px."""
    picture = picture.copy()
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return "data:image/jpeg;base64," + base64.b64encode(_small_jpeg(picture)).decode("ascii")


def _small_jpeg(picture: Image.Image) -> bytes:
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= _MOST_BYTES:
            break
    return buffer.getvalue()
