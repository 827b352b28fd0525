"""Names of pictures inside a data set: relative, with forward slashes."""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path, PurePosixPath


def relative_names(paths: Iterable[str]) -> dict[str, PurePosixPath]:
    """Of absolute paths, each below the folder that all lie in; never absolute, never upwards."""
    parts = {path: Path(path).parts[1:] for path in paths}
    levels = zip(*(path[:-1] for path in parts.values()), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return {path: PurePosixPath(*names[common:]) for path, names in parts.items()}
