"""`Inspection`: the one value that leaves the decision; report and files take it and nothing else."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sclvi.data.appearance import Appearance
from sclvi.data.box import Box

Verdict = Literal["good", "defective"]
Polygon = tuple[tuple[float, float], ...]  # (x, y) of its corners in pixels; (0, 0) is the picture's upper left corner
Placing = tuple[tuple[float, float, float], tuple[float, float, float]]  # 2 x 3 affine map of (x, y, 1) to (x, y), px


@dataclass(frozen=True)
class NearestGood:
    """The good patch that the memory holds nearest to a defect: the "why" beside it."""

    picture: str  # name of the training picture
    box: Box  # where the patch lies in that picture, in its original pixels
    distance: float  # between the two codes, in code units
    compared: Box | None = None  # the patch of the inspected picture that it is nearest to
    placing: Placing | None = field(default=None, repr=False)  # from that picture onto this, pixel centres whole


@dataclass(frozen=True)
class Defect:
    """A connected region of the anomaly map above the pixel threshold."""

    box: Box
    area: int  # px of the original picture
    peak: float  # highest anomaly score inside, same unit as the map
    mean: float  # mean anomaly score inside
    severity: float  # peak / threshold: at 1 the part is just still good
    nearest_good: NearestGood | None = None
    polygon: Polygon = ()  # the outline, see `trace_outline`; holes are filled
    region: str = ""  # name of the region of interest that it lies in; empty where none is named


@dataclass(frozen=True)
class Inspection:
    """What the inspector says about one picture."""

    image: str  # path of the picture, or "array N" for arrays
    size: tuple[int, int]  # (height, width) of the original picture, px
    score: float  # image score, raw, never clamped
    threshold: float  # score above which the part is defective
    pixel_threshold: float  # map value above which a pixel belongs to a defect
    defects: tuple[Defect, ...]  # most severe first
    anomaly_map: NDArray[np.float32] = field(repr=False, compare=False)  # h x w, unit of the score
    model: str  # fingerprint of the model
    milliseconds: float = field(compare=False)  # from picture in memory to map, its share of the batch
    appearance: Appearance = field(repr=False, compare=False)  # what `find_drift` watches beside the score
    p_value: float  # share of good parts that score as high, as far as the calibration can tell; see `p_value`
    promised_rate: float  # of good parts, at most so many are rejected, which are those that show any defect

    @property
    def verdict(self) -> Verdict:
        return "good" if self.score <= self.threshold else "defective"  # a score that is no number is never good

    @property
    def name(self) -> str:
        return Path(self.image).name
