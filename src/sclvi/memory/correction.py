"""A correction: what a person said of a region of a picture, and of which."""

from dataclasses import dataclass
from typing import Literal

from sclvi.data.good import TrainingPicture
from sclvi.decision.inspection import Box

Kind = Literal["taught", "flagged"]  # this is fine; this is a defect


@dataclass(frozen=True)
class Correction:
    """One region, or several, of one picture."""

    number: int  # >= 1, by which it is undone
    kind: Kind
    picture: TrainingPicture
    boxes: tuple[Box, ...]  # in pixels of the original picture; empty: the whole picture
    when: str  # ISO 8601, UTC
    by: str  # who said so; empty: not told
