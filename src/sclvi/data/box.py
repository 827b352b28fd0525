"""A rectangle in a picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original picture; (x, y) is its upper left corner."""

    x: int
    y: int
    width: int
    height: int
