"""Where a picture comes from: a file, or an array of the caller's."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sclvi.data.arrays import Picture, as_picture
from sclvi.data.layouts import expand_pictures
from sclvi.data.reading import read_picture

Source = str | Path | Picture


def listed(sources: Source | Iterable[Source]) -> Iterable[Source]:
    """One source, or the pictures of a folder, as several.

    Raises:
        SclviError: a path that does not exist, or a folder without pictures.
    """
    if isinstance(sources, np.ndarray):
        return sources.tolist() if sources.dtype.kind in "OU" else [sources]
    return expand_pictures([Path(sources)]) if isinstance(sources, str | Path) else sources


def source_name(number: int, source: Source) -> str:
    """What a source is called in results and errors: its path, or "array N"."""
    return f"array {number}" if isinstance(source, np.ndarray) else str(source)


def read_source(source: Source) -> Picture:
    """The picture, H x W x C.

    Raises:
        SclviError: it cannot be read, or the array is no picture.
    """
    return as_picture(source) if isinstance(source, np.ndarray) else read_picture(Path(source))
