"""How long a reproduction takes on this machine, measured on one training step and one picture before it starts."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from sclvi.context.training import train_encoder
from sclvi.data.good import read_good
from sclvi.data.layouts import find_layout
from sclvi.encoders.compute import encode
from sclvi.encoders.making import new_encoder
from sclvi.errors import OnSkip
from sclvi.learn import measure_light
from sclvi.progress import silent
from sclvi.settings import Settings

_STEPS = 2  # timed; one more before them, which is slower, is not


@dataclass(frozen=True)
class Cost:
    """Seconds on this machine."""

    step: float  # of training
    picture: float  # encoding one at the memory's strides; the search comes on top

    def cell(self, steps: int, pictures: int) -> float:
        """A training of `steps` steps, and `pictures` good and test pictures encoded."""
        return steps * self.step + pictures * self.picture


def measure_cost(category: Path, settings: Settings, on_skip: OnSkip | None = None) -> Cost:
    """Train and encode a little with these settings on the first pictures of a category or folder."""
    first = [item.path for item in find_layout(category).train][: settings.batch]
    good = read_good(first, settings.size, settings.short_side, False, silent, on_skip)
    images = good.lit(measure_light(good.images, settings))
    encoder = new_encoder(settings, good.channels)
    times: list[float] = []

    def note(stage: str, done: int, total: int, reached: str = "") -> None:
        times.append(time.perf_counter())

    short = settings.model_copy(update={"steps": _STEPS + 1})
    train_encoder(encoder, lambda indices: images[indices], len(images), short, note)
    one = images[torch.tensor([0])]
    started = time.perf_counter()
    encode(encoder, one, settings.memory_strides)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Cost((times[-1] - times[0]) / _STEPS, time.perf_counter() - started)


def count_pictures(category: Path) -> tuple[int, int]:
    """Good pictures and labelled test pictures of a category or folder."""
    layout = find_layout(category)
    return len(layout.train), sum(bool(item.defect) for item in layout.test)


def spoken(seconds: float) -> str:
    """A duration in the unit a person would use."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
