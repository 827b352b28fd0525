"""Pictures of nothing in particular, drawn from a seed: what the encoder sees before it sees the user's parts.

Noise textures and gratings, covered by random shapes, strokes and characters with flat or textured fills, sharp and
soft edges. They carry the edges, corners, grains and glyphs of industrial surfaces and belong to nobody.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]


def draw_picture(rng: np.random.Generator, size: int) -> Picture:
    """One picture, size x size x 3 float32, roughly 0..1; three in ten are grey."""
    amplitude = rng.uniform(0, 0.2)
    tint = rng.random(3) if rng.random() < 0.5 else np.ones(3)
    picture: NDArray[Any] = rng.random(3) + _texture(rng, size)[..., None] * amplitude * tint
    for _ in range(rng.integers(3, 90)):
        fill: NDArray[Any] = rng.random(3) * np.ones((1, 1, 3))
        if rng.random() < 0.25:
            fill = fill + _texture(rng, size)[..., None] * rng.uniform(0, 0.25)
        cover = _shape(rng, size)[..., None] * rng.uniform(0.4, 1)
        picture = picture * (1 - cover) + fill * cover
    picture = picture.astype(np.float32)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.3:
        picture = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    return np.asarray(picture, np.float32)


def _texture(rng: np.random.Generator, size: int) -> Picture:
    """A few octaves of noise, stretched differently, and now and then a grating; size x size, about unit variance."""
    texture = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(1, 5)):
        columns = int(rng.integers(2, size // 2))
        rows = max(2, columns // int(rng.integers(1, 4)))
        noise = rng.standard_normal((rows, columns)).astype(np.float32)
        texture += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * rng.random()
    if rng.random() < 0.3:
        frequency, angle = rng.uniform(0.02, 0.8), rng.uniform(0, np.pi)
        rows_axis, columns_axis = np.mgrid[:size, :size]
        phase = frequency * (columns_axis * np.cos(angle) + rows_axis * np.sin(angle))
        texture += np.sin(phase) * rng.uniform(0.3, 2)
    return texture


def _shape(rng: np.random.Generator, size: int) -> Picture:
    """The cover (0..1) of one ellipse, polygon, stroke or word; size x size."""
    cover = np.zeros((size, size), np.uint8)
    extent = float(np.exp(rng.uniform(np.log(2), np.log(80))))
    x, y = (int(v) for v in rng.integers(0, size, 2))
    kind = rng.integers(4)
    if kind == 0:
        axes = (int(extent) + 1, int(extent * rng.uniform(0.2, 1)) + 1)
        thickness = cv2.FILLED if rng.random() < 0.8 else int(rng.integers(1, 6))
        cv2.ellipse(cover, (x, y), axes, rng.uniform(0, 180), 0, 360, 1, thickness)
    elif kind == 1:
        angles = np.sort(rng.random(int(rng.integers(3, 8)))) * 2 * np.pi
        radii = extent * rng.uniform(0.4, 1, angles.size)
        corners = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1)
        cv2.fillPoly(cover, [corners.astype(np.int32)], 1)
    elif kind == 2:
        dx, dy = (int(v) for v in rng.standard_normal(2) * extent * 1.5)
        cv2.line(cover, (x, y), (x + dx, y + dy), 1, int(rng.integers(1, 8)))
    else:
        word = "".join(chr(rng.integers(48, 90)) for _ in range(rng.integers(1, 6)))
        font, thickness = int(rng.integers(0, 7)), int(rng.integers(1, 4))
        cv2.putText(cover, word, (x, y), font, extent / 30 + 0.2, 1, thickness)
    soft: NDArray[Any] = cover.astype(np.float32)
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(soft, (0, 0), rng.uniform(0.5, 3))
    return soft
