"""A correction: what a person said of a region of a picture, and of which."""

from dataclasses import dataclass
from typing import Literal

from sclvi.data.box import Box
from sclvi.data.good import TrainingPicture

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


def describe(correction: Correction) -> str:
    """One line: number, what was said of which picture and boxes, by whom, when."""
    boxes = " ".join(f"{box.x},{box.y},{box.width},{box.height}" for box in correction.boxes)
    where = f"box{'es' if len(correction.boxes) > 1 else ''} {boxes}" if boxes else "whole picture"
    by = f" by {correction.by}" if correction.by else ""
    return f"{correction.number}: {correction.kind} {correction.picture.name} ({where}){by}, {correction.when}"
