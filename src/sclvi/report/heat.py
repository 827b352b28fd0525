"""Heat: anomaly scores as colour, on one scale for all pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

FAINTEST = 0.8  # multiple of the pixel threshold below which the part is shown as it is
HOTTEST = 3.0  # multiple at which the colour is at its end
_LEVELS = 256


def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours (256 x 3 RGB, 0..255) and opacities (256 x 1, 0..1) from FAINTEST to HOTTEST."""
    multiples = np.linspace(FAINTEST, HOTTEST, _LEVELS)
    # inferno: even steps to the eye, also without colour sight; its dark start would look like shadow and is left out
    positions = np.interp(multiples, (FAINTEST, 1.0, HOTTEST), (0.35, 0.5, 0.95)) * 255
    bgr = cv2.applyColorMap(np.rint(positions).astype(np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    opacities = np.interp(multiples, (FAINTEST, 1.0, 2.0), (0.0, 0.3, 0.5))
    return np.asarray(bgr)[:, 0, ::-1].astype(np.float32), opacities.astype(np.float32)[:, None]


COLOURS, _OPACITIES = _tables()


def lay_heat(rgb: NDArray[np.uint8], anomaly_map: NDArray[np.float32], pixel_threshold: float) -> NDArray[np.uint8]:
    """Colour the picture where the map nears or passes the pixel threshold.

    Args:
        rgb: H x W x 3 uint8; left as it is.
        anomaly_map: h x w float of any size, stretched over the whole picture; not a number counts as no anomaly.
        pixel_threshold: the map value that all colours are anchored on.

    Returns:
        H x W x 3 uint8; pixels below FAINTEST x threshold equal `rgb`.
    """
    height, width = rgb.shape[:2]
    # distance from the threshold in thresholds: score / threshold for a positive one, and still ordered for others
    unit = max(abs(pixel_threshold), 1e-12)
    multiples = np.nan_to_num(1 + (anomaly_map.astype(np.float32) - pixel_threshold) / unit, nan=0.0)
    multiples = multiples.clip(0, 2 * HOTTEST).astype(np.float32)  # infinity would spread over its neighbours
    shrink = max(1, -(-multiples.shape[0] // height))
    multiples = cv2.dilate(
        multiples, np.ones((shrink, shrink), np.uint8)
    )  # or small defects of large pictures fall out
    multiples = np.asarray(cv2.resize(multiples, (width, height), interpolation=cv2.INTER_LINEAR))
    hot = multiples > FAINTEST
    scale = (_LEVELS - 1) / (HOTTEST - FAINTEST)
    levels = np.rint((multiples[hot] - FAINTEST) * scale).clip(0, _LEVELS - 1).astype(np.intp)
    opacity = _OPACITIES[levels]
    result = rgb.copy()
    result[hot] = np.rint(rgb[hot] * (1 - opacity) + COLOURS[levels] * opacity).astype(np.uint8)
    return result
