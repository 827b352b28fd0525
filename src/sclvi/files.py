"""Writing files so that a reader finds either the old content or the new, never half of it."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from sclvi.errors import SclviError

TEMPORARY_PREFIX = ".sclvi-"  # a killed process leaves one of these at worst; who owns the folder may delete them


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Put `parts`, one after the other, at `path` in one step, through a temporary file in the same folder.

    A symbolic link is followed. A device or pipe (`/dev/stdout`) is written directly: replacing it would destroy it.

    Args:
        path: where the file shall be; its folder exists.
        parts: the whole content.

    Raises:
        SclviError: the disk is full, the folder is missing or not writable, `path` is a folder; what was there stays.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                file.writelines(parts)
        else:
            _replace(path.resolve(), parts)
    except OSError as error:
        raise SclviError(f"{path}: cannot be written ({error.strerror or error})") from error


def _replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    # a short name, because that of the file may already be as long as the file system allows; and not `tempfile`,
    # which makes files that only their owner can read
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there is none, or it is somebody else's
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
