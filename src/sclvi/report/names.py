"""Names of pictures inside a data set: relative, with forward slashes."""

import os.path
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path, PurePosixPath


def relative_names(images: Iterable[str]) -> dict[str, PurePosixPath]:
    """Each picture's path below the folder that all lie in; never absolute, never upwards."""
    parts = {image: Path(os.path.abspath(image)).parts[1:] for image in images}  # noqa: PTH100  # links stay links
    levels = zip(*(path[:-1] for path in parts.values()), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return {image: PurePosixPath(*path[common:]) for image, path in parts.items()}
