"""The pictures of `sclvi demo`, in MVTec's layout: a texture and an object, five kinds of defects each.

A defective picture is a good one of the same draw with one thing changed: same pose, same light, same camera noise. Its
mask is what changed before the noise. So nothing but the defect tells the two apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.demo import gear, weave
from sclvi.demo.fields import SIZE, Colours

_VISIBLE = 5 / 255  # a change below this in every channel drowns in the noise of the camera
_SMALLEST = 30  # px; a defect that changes less is drawn anew
_ATTEMPTS = 30

Scene = TypeVar("Scene")


@dataclass(frozen=True)
class Category(Generic[Scene]):
    """How to draw one category."""

    sample: Callable[[np.random.Generator], Scene]
    render: Callable[[Scene], Colours]
    defects: Mapping[str, Callable[[Scene, np.random.Generator], Scene]]

    def draw(self, defect: str | None, rng: np.random.Generator) -> "Drawing":
        """Part, defect and camera each have their own stream, so that a defect changes neither part nor noise."""
        part_rng, defect_rng, camera_rng = rng.spawn(3)
        scene = self.sample(part_rng)
        clean = self.render(scene)
        if defect is None:
            return Drawing(_photograph(clean, camera_rng), np.zeros((SIZE, SIZE), bool))
        for _ in range(_ATTEMPTS):
            spoiled = self.render(self.defects[defect](scene, defect_rng))
            mask = _changed(clean, spoiled)
            if mask.sum() >= _SMALLEST:
                break
        return Drawing(_photograph(spoiled, camera_rng), mask)


@dataclass(frozen=True)
class Drawing:
    """One picture."""

    picture: NDArray[np.uint8]  # SIZE x SIZE x 3, red green blue
    mask: NDArray[np.bool_]  # SIZE x SIZE, True where the defect shows; all False on a good picture


WEAVE = Category(
    weave.sample_weave,
    weave.render_weave,
    {
        "cut": weave.cut,
        "fibre": weave.stray_fibre,
        "missing_thread": weave.missing_thread,
        "slub": weave.slub,
        "stain": weave.stain,
    },
)
GEAR = Category(
    gear.sample_gear,
    gear.render_gear,
    {
        "broken_tooth": gear.broken_tooth,
        "dent": gear.dent,
        "fibre": gear.stray_fibre,
        "scratch": gear.scratch,
        "stain": gear.stain,
    },
)
CATEGORIES: Mapping[str, Category[weave.Weave] | Category[gear.Gear]] = {"weave": WEAVE, "gear": GEAR}


def write_category(root: Path, category: str, seed: int, train: int, good: int, per_defect: int) -> Path:
    """Draw a category as MVTec AD lays its own out, and return its folder, root / category.

    `train` good pictures to learn from, `good` good ones to test on, `per_defect` of each kind of defect with masks.
    Each picture has a random stream of its own from (seed, category, split, number): asking for more changes no other.

    Raises:
        ValueError: unknown category.
        OSError: a folder or file cannot be written.
    """
    folder = root / category
    for number in range(train):
        _write(folder / "train" / "good" / f"{number:03}.png", draw(category, None, seed, "train/good", number).picture)
    for number in range(good):
        _write(folder / "test" / "good" / f"{number:03}.png", draw(category, None, seed, "test/good", number).picture)
    for kind in _recipe(category).defects:
        for number in range(per_defect):
            drawing = draw(category, kind, seed, f"test/{kind}", number)
            _write(folder / "test" / kind / f"{number:03}.png", drawing.picture)
            mask = drawing.mask.astype(np.uint8) * 255
            _write(folder / "ground_truth" / kind / f"{number:03}_mask.png", mask)
    return folder


def draw(category: str, defect: str | None, seed: int, split: str, number: int) -> Drawing:
    """One picture; with `defect` None the good twin of the defective one of the same seed, split and number.

    Raises:
        ValueError: unknown category or defect.
    """
    recipe = _recipe(category)
    if defect is not None and defect not in recipe.defects:
        raise ValueError(f"no defect {defect!r} in demo category {category!r}; there are {', '.join(recipe.defects)}")
    key = [seed, *f"{category}/{split}".encode(), number]
    return recipe.draw(defect, np.random.default_rng(key))


def _recipe(category: str) -> Category[weave.Weave] | Category[gear.Gear]:
    if category not in CATEGORIES:
        raise ValueError(f"no demo category {category!r}; there are {', '.join(CATEGORIES)}")
    return CATEGORIES[category]


def _changed(clean: Colours, spoiled: Colours) -> NDArray[np.bool_]:
    """Where the two differ visibly, with gaps of a pixel or two closed; SIZE x SIZE bool."""
    visible = (np.abs(clean - spoiled).max(-1) > _VISIBLE).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return np.asarray(cv2.morphologyEx(visible, cv2.MORPH_CLOSE, disc), bool)


def _photograph(scene: Colours, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White balance, shot noise and read noise of a camera; SIZE x SIZE x 3 float32, 0..1 -> uint8."""
    balance = rng.normal(1, 0.008, 3).astype(np.float32)
    noise = rng.standard_normal(scene.shape, np.float32) * np.sqrt(0.00004 + 0.00018 * scene)
    return np.asarray(np.clip((scene * balance + noise) * 255 + 0.5, 0, 255), np.uint8)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a grey or red-green-blue picture as PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = picture if picture.ndim == 2 else picture[..., ::-1]
    done, data = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OSError(f"{path}: could not be encoded as PNG")
    path.write_bytes(data.tobytes())
