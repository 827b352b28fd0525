"""Small made-up parts for tests that need a model: a grid of pins on a plate, quick to draw and to learn."""

import numpy as np
from PIL import Image

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


def write_category(root, first=0, side=SIDE):
    """A category in MVTec's layout: 5 good parts to learn from; 2 good, a clearly and a hardly defective one to test.

    Parts are numbered from `first`; of each the top left side x side px are written, 80 at least. The defect is a
    blotch of 32 px whose edges lie at multiples of 16 px, so that no group of pixels with one score is cut in two.
    """
    blotch = (slice(48, 80), slice(32, 64))
    for folder in ("train/good", "test/good", "test/blotch", "ground_truth/blotch"):
        (root / folder).mkdir(parents=True)
    for number in range(7):
        folder = "train/good" if number < 5 else "test/good"
        Image.fromarray(good_part(first + number)[:side, :side]).save(root / folder / f"{number:03}.png")
    clear, faint = good_part(first + 7), good_part(first + 8)
    clear[blotch] = 20
    faint[blotch] -= 4
    for number, part in enumerate((clear, faint)):
        mask = np.zeros((side, side), np.uint8)
        mask[blotch] = 255
        Image.fromarray(part[:side, :side]).save(root / "test/blotch" / f"{number:03}.png")
        Image.fromarray(mask).save(root / "ground_truth/blotch" / f"{number:03}_mask.png")
