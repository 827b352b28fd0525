"""Defects: connected regions of the anomaly map."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.box import Box
from sclvi.decision.inspection import Defect, NearestGood, Polygon
from sclvi.decision.outline import trace_outline


@dataclass(frozen=True)
class Region:
    """A region in pixels of the map."""

    rows: slice
    columns: slice
    area: int
    peak: float
    peak_at: tuple[int, int]  # (row, column)
    mean: float
    mask: NDArray[np.bool_] = field(repr=False, compare=False)  # of the pixels in `rows` and `columns`, those inside


def find_regions(scores: NDArray[np.float32], outline: float, threshold: float) -> list[Region]:
    """Regions above `outline` that reach above `threshold` somewhere, highest peak first.

    Two levels, as in Canny's hysteresis: the higher one decides whether there is a defect, the lower one how far it
    reaches; a part that is good has none.

    Args:
        scores: H x W.
        outline: map value that ends a region, <= threshold.
        threshold: the image threshold.
    """
    if not (scores > threshold).any():  # most parts are good, and most of the work is to find components
        return []
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((scores > outline).view(np.uint8), connectivity=8)
    regions = []
    for label, (left, top, width, height, _) in enumerate(boxes[1:count].tolist(), start=1):
        rows, columns = slice(top, top + height), slice(left, left + width)
        mask = labels[rows, columns] == label
        inside = np.where(mask, scores[rows, columns], -np.inf)
        peak = float(inside.max())
        if peak > threshold:
            row, column = np.unravel_index(int(inside.argmax()), inside.shape)
            values = inside[np.isfinite(inside)]
            at = (rows.start + int(row), columns.start + int(column))
            regions.append(Region(rows, columns, values.size, peak, at, float(values.mean(dtype=np.float64)), mask))
    return sorted(regions, key=lambda region: -region.peak)


def to_defect(
    region: Region,
    size: tuple[float, float],
    original: tuple[int, int],
    threshold: float,
    nearest_good: NearestGood | None,
    region_of_interest: str = "",
) -> Defect:
    """A region of a map of `size`, (H, W) in its pixels, in pixels of the original picture."""
    share = original[0] * original[1] / (size[0] * size[1])
    return Defect(
        box=scale_box(
            (region.rows.start, region.rows.stop), (region.columns.start, region.columns.stop), size, original
        ),
        area=max(1, round(region.area * share)),
        peak=region.peak,
        mean=region.mean,
        severity=region.peak / threshold,
        nearest_good=nearest_good,
        polygon=scale_outline(region, size, original),
        region=region_of_interest,
    )


def scale_box(
    rows: tuple[float, float], columns: tuple[float, float], size: tuple[float, float], original: tuple[int, int]
) -> Box:
    """The smallest box of whole original pixels that covers [start, stop) rows and columns of a picture of `size`."""
    top, bottom = (edge * original[0] / size[0] for edge in rows)
    left, right = (edge * original[1] / size[1] for edge in columns)
    x, y = int(np.floor(left + 1e-9)), int(np.floor(top + 1e-9))
    x_end, y_end = int(np.ceil(right - 1e-9)), int(np.ceil(bottom - 1e-9))
    return Box(x, y, min(x_end, original[1]) - x, min(y_end, original[0]) - y)


def scale_outline(region: Region, size: tuple[float, float], original: tuple[int, int]) -> Polygon:
    """The outline of a region of a map of `size` in pixels of the original picture."""
    corners = trace_outline(region.mask) + np.array([region.columns.start, region.rows.start])
    scaled = (corners * [original[1] / size[1], original[0] / size[0]]).clip(0, original[::-1]).round(2)
    return tuple((float(x), float(y)) for x, y in scaled)
