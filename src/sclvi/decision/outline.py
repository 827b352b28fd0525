"""The outline of a region as a polygon."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SLACK = 0.35  # px; the middle of a pixel outside is sqrt(1/8) = 0.354 px from an inner corner that was cut


def trace_outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The polygon around a region; holes are filled.

    It runs along the edges of pixels, cuts inner corners, so that it does not touch itself where two pixels meet at a
    corner, and leaves out points that lie within 0.35 px of the rest. The pixels whose middle lies inside are those of
    the region and its holes.

    Args:
        mask: h x w, one eight-connected region.

    Returns:
        K x 2, (x, y) of K >= 4 corners in pixels, (0, 0) the upper left corner of the mask.
    """
    height, width = mask.shape
    grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)  # corners, edges and middles of the pixels
    for down in range(3):
        for right in range(3):
            grid[down : down + 2 * height : 2, right : right + 2 * width : 2] |= mask
    (contour,), _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.approxPolyDP(contour, 2 * _SLACK, True)[:, 0] / 2
