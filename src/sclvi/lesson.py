"""What training has learned, before the threshold is set."""

from dataclasses import dataclass

from torch import Tensor

from sclvi.audit.audit import Audit
from sclvi.context.training import TrainingStep
from sclvi.data.good import GoodPictures
from sclvi.data.images import Images
from sclvi.data.light import Light
from sclvi.encoders.interface import Encoder
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import SurfaceMoments
from sclvi.synthetic.detector import Detector


@dataclass(frozen=True)
class Lesson:
    """What was learned of good parts; how it is searched, fused and judged may still change, and maps go."""

    data: GoodPictures
    images: Images  # of `data`, prepared by `light`
    light: Light
    held: Tensor  # indices of the pictures that set the threshold
    learned: Tensor  # indices of those that the encoder learned from: all, or the others
    encoder: Encoder
    memories: tuple[ScaleMemory, ...]
    moments: SurfaceMoments | None
    detector: Detector | None
    log: list[TrainingStep]
    audit: Audit | None = None  # of all pictures that were read
