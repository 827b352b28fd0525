"""What benchmarks that look at trained models share: models that are kept in a folder, their options, a stopwatch."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.learn import train
from sclvi.model_file import save
from sclvi.settings import Settings

T = TypeVar("T")


def parser_for(description: str | None, out: str) -> argparse.ArgumentParser:
    """With the options of all of them; `out`: the file of the rows, in benchmarks/results."""
    parser = categories_parser(description)
    parser.add_argument("--short-side", type=int, default=Settings().short_side, help="px; fewer are quicker")
    parser.add_argument("--models", type=Path, default=Path("build"), help="folder for trained models")
    parser.add_argument("--out", type=Path, default=RESULTS / out)
    return parser


def trained_once(category: Path, settings: Settings, models: Path) -> Path:
    """The model of a category in the folder `models`, trained if it is not there."""
    models.mkdir(parents=True, exist_ok=True)
    path = kept_model(category, settings.fingerprint(), models)
    if not path.exists():
        save(train(category, settings), path)
    return path


def kept_model(category: Path, fingerprint: str, models: Path) -> Path:
    """Where the model of a category by settings of that fingerprint is kept in the folder `models`."""
    return models / f"{category.name}-{fingerprint}.sclvi"


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work gives, and the seconds that it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started
