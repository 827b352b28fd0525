"""Result rows: where, when and with what each figure was made stands beside it."""

import csv
import io
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sclvi.errors import SclviError
from sclvi.files import write_atomically

PROVENANCE = ("commit", "date", "device", "threads", "torch")


def provenance() -> dict[str, Any]:
    """Commit, date, device, threads and versions of this run.

    A commit with "+" has uncommitted changes in the package; without a repository the package's version stands there.
    """
    commit = _git("rev-parse", "--short=12", "HEAD")
    return {
        "commit": commit + ("+" if _git("status", "--porcelain", ".") else "") if commit else version("sclvi"),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file, none where it does not exist."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Say now, not after hours of work, that rows cannot be added to a file.

    Raises:
        SclviError: an older file of that name has other columns, or cannot be read.
    """
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", newline="") as file:
            older = next(csv.reader(file), [])
    except (OSError, ValueError) as error:
        raise SclviError(f"{path}: cannot be read ({error})") from None
    if older != list(columns):
        raise SclviError(f"{path}: has other columns than {', '.join(columns)}; move it away first")


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a CSV file, in one call of the system where they are few.

    Raises:
        SclviError: as of `check_columns`, or it cannot be written.
    """
    check_columns(path, list(rows[0]))
    text = _as_csv(rows, header=not path.exists())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise SclviError(f"{path}: cannot be written ({error.strerror or error})") from None


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file of these rows, one or more, in place of what was there."""
    write_atomically(path, _as_csv(rows, header=True).encode())


def _as_csv(rows: Sequence[Mapping[str, Any]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def rounded(value: float | None, digits: int) -> float | None:
    """For a cell of a row; None stays None."""
    return None if value is None else round(value, digits)


def _git(*arguments: str) -> str:
    """What git says of this package's folder; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()} ({torch.backends.cpu.get_cpu_capability()})"
