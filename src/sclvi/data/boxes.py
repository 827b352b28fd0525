"""Regions: boxes in a picture as it was taken, and which patches of the aligned picture they mean."""

import operator
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.alignment import Alignment
from sclvi.data.box import Box
from sclvi.data.pose import Affine, Mask, chain, inverse, scaling
from sclvi.errors import SclviError

_COVERED = 0.1  # share of a patch, or of a smaller box, that the two must have in common
_REACH = 0.71  # px, from the middle of a box at least: so far from anywhere lies the middle of a pixel


def parse_box(text: str) -> Box:
    """Read a box from the command line: "x,y,w,h" in whole px.

    Raises:
        SclviError: it is something else.
    """
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise SclviError(
            f"box {text!r}: x,y,w,h in whole pixels of the picture is needed, such as 40,60,24,24"
        ) from None
    return Box(x, y, width, height)


def whole_boxes(boxes: Sequence[Box], name: str) -> tuple[Box, ...]:
    """The same in Python's own whole numbers, which files can hold, where a caller gave NumPy's.

    Raises:
        SclviError: one has a fraction.
    """
    try:
        return tuple(Box(*map(operator.index, (box.x, box.y, box.width, box.height))) for box in boxes)
    except TypeError:
        raise SclviError(f"{name}: boxes are in whole pixels of the picture") from None


def check_boxes(boxes: Sequence[Box], original: tuple[int, int], name: str) -> None:
    """Refuse boxes that are empty or reach outside the picture `name` of (height, width) px.

    Raises:
        SclviError: there is such a box.
    """
    height, width = original
    for box in boxes:
        inside = box.x >= 0 and box.y >= 0 and box.x + box.width <= width and box.y + box.height <= height
        if box.width < 1 or box.height < 1 or not inside:
            raise SclviError(
                f"{name}: box {box.x},{box.y},{box.width},{box.height} does not lie in the {width}x{height} px"
            )


def aligned_masks(boxes: Sequence[Box], original: tuple[int, int], alignment: Alignment, pose: Affine) -> list[Mask]:
    """Where each box lies in the aligned picture, h x w each; all of it, where there is no box.

    Args:
        boxes: upright, in pixels of the original picture of (height, width) `original`.
        alignment, pose: of the picture; parts may be turned and cut, and then a box is turned and cut, too.
    """
    if not boxes:
        return [np.ones(alignment.aligned, bool)]
    there = chain(scaling(original, alignment.upright), pose)
    return [_mask(box, inverse(there), alignment.aligned) for box in boxes]


def patches_inside(masks: Sequence[Mask], patch: int, stride: int, grid: tuple[int, int]) -> Mask:
    """Which patches belong to a region: a tenth of the patch lies in one of the masks, or a tenth of a mask in it.

    Patches that show some of what is in a tight box are unusual, too, and what is taught must pass; patches that only
    touch it stay out.

    Args:
        masks: h x w each.
        patch, stride: px; patch (i, j) starts at row i * stride, column j * stride, and may end outside the mask.
        grid: (rows, columns) of patches.

    Returns:
        rows x columns.
    """
    inside = np.zeros(grid, bool)
    for mask in masks:
        common = _covered(mask, patch, stride, grid)
        inside |= common >= max(1, _COVERED * min(patch * patch, int(mask.sum())))
    return inside


def _mask(box: Box, back: Affine, size: tuple[int, int]) -> Mask:
    """The pixels of (h, w) whose middles `back` brings into the box."""
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    places = back[:, :2] @ np.stack([x, y]) + back[:, 2:]
    sides = np.array([[box.width], [box.height]])
    middle = np.array([[box.x], [box.y]]) + (sides - 1) / 2
    pixel = np.sqrt(abs(np.linalg.det(back[:, :2])))  # side of one, in those of the original picture
    reach = np.maximum(sides / 2, _REACH * pixel)
    return np.asarray((np.abs(places - middle) < reach).all(0).reshape(size))


def _covered(mask: Mask, patch: int, stride: int, grid: tuple[int, int]) -> NDArray[np.int64]:
    """Pixels of the mask in each patch, by the summed-area table."""
    sums = cv2.integral(mask.astype(np.uint8)).astype(np.int64)
    starts = [np.minimum(np.arange(count) * stride, side) for count, side in zip(grid, mask.shape, strict=True)]
    stops = [np.minimum(start + patch, side) for start, side in zip(starts, mask.shape, strict=True)]
    corner = [sums[np.ix_(rows, columns)] for rows in (starts[0], stops[0]) for columns in (starts[1], stops[1])]
    return corner[3] - corner[2] - corner[1] + corner[0]
