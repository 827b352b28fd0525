"""The "why" as a picture: each defect beside the good patch that its place is nearest to."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.box import Box
from sclvi.data.good import TrainingPicture
from sclvi.data.pose import Affine, chain, inverse, scaling
from sclvi.data.thumbnails import decode_thumbnail
from sclvi.decision.inspection import Inspection, NearestGood
from sclvi.report.picture import to_drawn_rgb

SIDE = 128  # px, of either half
GAP = 4  # px, between the halves
MOST = 6  # defects of a picture; the milder ones are told in words alone
_CONTEXT = 2.0  # side of what is shown, in patches: the patch alone would not tell where one is
_OUTSIDE = (128, 128, 128)  # beyond the edge of a picture


def draw_comparisons(
    picture: NDArray[np.generic], inspection: Inspection, good: Mapping[str, TrainingPicture]
) -> NDArray[np.uint8] | None:
    """The worst defects of a picture, one below the other, each with its nearest good patch at its right.

    Both halves show the surroundings of a patch at the same scale and turned the same way.

    Args:
        picture: H x W x C as for `to_drawn_rgb`, the one inspected.
        inspection: of this picture.
        good: the training pictures by name.

    Returns:
        n SIDE x (2 SIDE + GAP) x 3 uint8 RGB of the first n <= MOST defects; grey where there is nothing to show. None
        where no good patch can be shown.
    """
    reasons = [defect.nearest_good for defect in inspection.defects[:MOST]]
    if not any(reason and _thumbnail(reason, good) for reason in reasons):
        return None
    drawn = to_drawn_rgb(picture)
    rows = [_row(drawn, inspection.size, reason, good) for reason in reasons]
    return np.concatenate(rows)


def cut_comparison(comparisons: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """That of one defect, from what `draw_comparisons` gave; number >= 0."""
    return comparisons[number * SIDE : (number + 1) * SIDE]


def _thumbnail(reason: NearestGood, good: Mapping[str, TrainingPicture]) -> bytes:
    known = good.get(reason.picture)
    return known.thumbnail if known and reason.placing and reason.compared else b""


def _row(
    drawn: NDArray[np.uint8],
    size: tuple[int, int],
    reason: NearestGood | None,
    good: Mapping[str, TrainingPicture],
) -> NDArray[np.uint8]:
    row = np.full((SIDE, 2 * SIDE + GAP, 3), _OUTSIDE, np.uint8)
    row[:, SIDE : SIDE + GAP] = 255
    if reason is None or reason.compared is None or reason.placing is None:
        return row
    window = _window(reason.compared)  # from the pixels of a half to those of the inspected picture
    row[:, :SIDE] = _look(drawn, chain(window, scaling(size, drawn.shape[:2])))
    thumbnail = decode_thumbnail(_thumbnail(reason, good))
    if thumbnail is not None:
        onto = scaling(good[reason.picture].size, thumbnail.shape[:2])
        row[:, SIDE + GAP :] = _look(thumbnail, chain(window, np.array(reason.placing), onto))
    return row


def _window(patch: Box) -> Affine:
    """From the pixels of a half to those of the picture that it shows a part of, around a patch."""
    side = _CONTEXT * max(patch.width, patch.height)
    left, top = patch.x + (patch.width - side) / 2, patch.y + (patch.height - side) / 2
    return chain(scaling((SIDE, SIDE), (side, side)), np.array([[1, 0, left], [0, 1, top]]))


def _look(picture: NDArray[np.uint8], there: Affine) -> NDArray[np.uint8]:
    """What a half shows of a picture; `there` leads from its pixels to those of the picture."""
    shrink = max(1.0, float(np.hypot(there[0, 0], there[1, 0])))  # px of the picture in one of the half
    fine = round(SIDE * np.ceil(shrink))  # drawn larger and averaged, or fine structure would flicker
    enlarged = chain(scaling((fine, fine), (SIDE, SIDE)), there)
    seen = cv2.warpAffine(picture, inverse(enlarged), (fine, fine), flags=cv2.INTER_LINEAR, borderValue=_OUTSIDE)
    return cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
