"""Random fields that the demo pictures are made of: smooth noise, blotches, strokes. All SIZE x SIZE float32."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]  # SIZE x SIZE
Colours = NDArray[np.float32]  # SIZE x SIZE x 3, red green blue, 0..1
Points = NDArray[np.float64]  # P x 2, (x, y) in px

SIZE = 256
_FINE = 2  # strokes and outlines are drawn this much finer and then averaged, for clean edges
_WIDE = 3.0  # px, deviation from which a blur counts as wide
_SHIFT = 4  # fractional bits of OpenCV's coordinates

ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE].astype(np.float32)


def smooth(rng: np.random.Generator, rows: int, columns: int | None = None) -> Field:
    """Noise with about `rows` x `columns` independent lumps a picture; mean 0, deviation a little below 1."""
    lumps = rng.standard_normal((rows, columns or rows)).astype(np.float32)
    return np.asarray(cv2.resize(lumps, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32)


def light(rng: np.random.Generator) -> Field:
    """How strongly a lamp lights each pixel: exposure, gradient, darker corners; about 0.85..1.15."""
    x, y = COLUMNS / SIZE - 0.5, ROWS / SIZE - 0.5
    turn, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.14)
    corners = rng.uniform(0.05, 0.2) * (x * x + y * y)
    return np.asarray(
        rng.uniform(0.93, 1.07) * (1 + slope * (x * math.cos(turn) + y * math.sin(turn)) - corners), np.float32
    )


def blotch(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> Field:
    """Cover 0..1 of a spill around `centre` (x, y): lobed outline, a rim a little stronger than the middle."""
    x, y = COLUMNS - centre[0], ROWS - centre[1]
    stretch, turn = rng.uniform(0.65, 1), rng.uniform(0, np.pi)
    along, aside = x * math.cos(turn) + y * math.sin(turn), (y * math.cos(turn) - x * math.sin(turn)) / stretch
    distance = np.hypot(along, aside) / radius + 0.16 * smooth(rng, 9) + 0.09 * smooth(rng, 22) + 0.05 * smooth(rng, 60)
    cover = np.clip((1 - distance) / 0.3, 0, 1)
    rim = np.exp(-(((distance - 0.85) / 0.12) ** 2))
    return np.asarray(cover * (0.75 + 0.25 * rim), np.float32)


def wander(rng: np.random.Generator, start: tuple[float, float], length: float, bend: float) -> Points:
    """A curve of `length` px through the pixel `start` (x, y), turning by up to about `bend` radians a px."""
    steps = max(4, int(length / 2))
    knots = rng.normal(0, bend, max(3, steps // 8))
    turning = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, knots.size), knots)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turning) * 2
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1) * 2, 0)
    return np.asarray(path - path[steps // 2] + start, np.float64)


def stroke(path: Points, width: float) -> Field:
    """Cover 0..1 of a line along the path; `width` px, below 1 px it grows fainter instead."""
    canvas = np.zeros((SIZE * _FINE, SIZE * _FINE), np.uint8)
    thick = max(1, round(width * _FINE))
    cv2.polylines(canvas, [_fixed(path)], False, 255, thick, cv2.LINE_AA, _SHIFT)
    return _coarse(canvas) * np.float32(min(1.0, width * _FINE))


def area(outlines: list[Points]) -> Field:
    """Cover 0..1 of the inside of closed outlines; an outline within another one is a hole."""
    canvas = np.zeros((SIZE * _FINE, SIZE * _FINE), np.uint8)
    cv2.fillPoly(canvas, [_fixed(outline) for outline in outlines], 255, cv2.LINE_AA, _SHIFT)
    return _coarse(canvas)


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur; SIZE x SIZE, or SIZE x SIZE x 3, -> the same."""
    if sigma < _WIDE:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    # A wide blur leaves no detail that half the resolution could lose, and costs an eighth there.
    half = cv2.resize(field, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), sigma / 2)
    return np.asarray(cv2.resize(half, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def shifted(field: Field, x: float, y: float) -> Field:
    """The field moved by (x, y) px; its border values continue outside."""
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return np.asarray(cv2.warpAffine(field, move, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE), np.float32)


def slopes(height: Field) -> tuple[Field, Field]:
    """Rise of a height map a px, to the right and downwards."""
    right = np.asarray(cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=1 / 32), np.float32)
    return right, np.asarray(cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=1 / 32), np.float32)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.asarray(np.round((points + 0.5) * _FINE * 2**_SHIFT), np.int32)


def _coarse(canvas: NDArray[np.uint8]) -> Field:
    return np.asarray(cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
