"""What it costs that parts lie anyhow:

    python -m benchmarks.laid --data ../shared/data --categories bottle pill

Real pictures of parts that lie alike in calm background are drawn anew, the parts smaller, so that they fit however
they lie: "alike", as they lay, and "anyhow", turned by any angle and moved by up to 3 % of the picture, masks too. Each
set is learned from and evaluated by the command line, as `benchmarks.accuracy` does; a row for each goes to
benchmarks/results/laid.csv. Only parts can be drawn so: beyond the edge of a turned picture lies its nearest pixel.
"""

import argparse
import tempfile
import zlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from benchmarks.accuracy import measure
from benchmarks.tables import RESULTS
from sclvi.data.layouts import find_layout
from sclvi.data.reading import read_picture
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows

Way = Literal["alike", "anyhow"]
Motion = tuple[float, float, float]  # degrees; down and across in parts of the picture's sides

_SMALLER = 0.85
_MOVED = 0.03  # of the picture's sides, at most
_WAYS: tuple[Way, ...] = ("alike", "anyhow")


def lay(category: Path, way: Way, seed: int, folder: Path) -> Path:
    """The category with its parts laid that way, in MVTec's layout below the folder."""
    layout, laid = find_layout(category), folder / category.name
    for split, items in (("train", layout.train), ("test", layout.test)):
        for item in items:
            name = item.path.relative_to(category).with_suffix("")
            motion = draw_motion(name, way, seed)
            _redraw(item.path, motion, laid / split / item.defect / f"{name.name}.png")
            if item.mask is not None:
                _redraw(item.mask, motion, laid / "ground_truth" / item.defect / f"{name.name}_mask.png", is_mask=True)
    return laid


def draw_motion(name: Path, way: Way, seed: int) -> Motion:
    """How the picture of that name is moved; the same for the same name and seed."""
    chance = np.random.default_rng([seed, zlib.crc32(name.as_posix().encode())])
    angle, down, across = chance.uniform((0, -_MOVED, -_MOVED), (360, _MOVED, _MOVED))
    return (float(angle), float(down), float(across)) if way == "anyhow" else (0.0, 0.0, 0.0)


def _redraw(source: Path, motion: Motion, target: Path, is_mask: bool = False) -> None:
    picture = read_picture(source)
    height, width = picture.shape[:2]
    angle, down, across = motion
    there = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, _SMALLER)
    there[:, 2] += across * width, down * height
    between, beyond = (cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) if is_mask else (cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    drawn = cv2.warpAffine(picture, there, (width, height), flags=between, borderMode=beyond)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn).save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MVTec-layout categories")
    parser.add_argument("--categories", nargs="+", required=True, help="of parts that lie alike in calm background")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "laid.csv")
    arguments = parser.parse_args()
    for category in find_categories(arguments.data, arguments.categories):
        for way in _WAYS:
            with tempfile.TemporaryDirectory() as folder:
                laid = lay(category, way, arguments.seed, Path(folder))
                row = measure(laid, arguments.seed, [])
            append_rows(arguments.out, [{"category": row["category"], "laid": way, **row}])


if __name__ == "__main__":
    main()
