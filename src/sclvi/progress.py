"""What long work tells about itself; who shows it (a bar, a log, nobody) is not its business."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Told after each step of a stage."""

    def __call__(self, stage: str, done: int, total: int, reached: str = "") -> None:
        """`reached` is what the work has come to, such as "loss 1.93"."""


def silent(stage: str, done: int, total: int, reached: str = "") -> None:
    """The progress of a library call: nothing is shown."""


def track(items: Iterable[T], stage: str, total: int, progress: Progress) -> Iterator[T]:
    """Yield the items, telling progress as each is finished."""
    progress(stage, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress(stage, done, total)
