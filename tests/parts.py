"""Small made-up parts for tests that need a model: a grid of pins on a plate, quick to draw and to learn."""

import numpy as np

SIDE = 128


def good_part(number, channels=3):
    """SIDE x SIDE x channels uint8."""
    rng = np.random.default_rng((7, number))
    y, x = np.mgrid[:SIDE, :SIDE] + rng.uniform(-2, 2, (2, 1, 1))
    pins = np.cos(x / 5) * np.cos(y / 5) > 0.4
    plate = 90 + 20 * np.sin(y / 40) + rng.normal(0, 3, (SIDE, SIDE))
    part = np.clip(np.where(pins, plate + 80, plate), 0, 255).astype(np.uint8)
    return np.repeat(part[..., None], channels, axis=2)


def defective_part(number, channels=3):
    """A good part with a dark blotch of 24 px at (row 60, column 40)."""
    part = good_part(number, channels)
    part[60:84, 40:64] = 20
    return part
