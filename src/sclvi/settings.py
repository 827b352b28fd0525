"""Everything that can be set, in one value that travels inside the model and on every result row."""

import hashlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sclvi.context.losses import ALPHA
from sclvi.scoring.affinity import LAMBDA

Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """One fixed setting for all kinds of parts; what depends on the part is measured on its good pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    size: tuple[int, int] | None = Field(None, description="working (height, width), px; None: short side, shape kept")
    short_side: int = Field(256, ge=64, le=4096, description="px, where no size is given")
    steps: int = Field(20, ge=0, description="steps of context learning, each of `batch` pictures in two views")
    batch: int = Field(4, ge=1)
    pairs: int = Field(512, ge=1, description="pairs per picture and scale in each step")
    encoder_rate: float = Field(2e-5, gt=0, description="learning rate of the encoder: it starts from good weights")
    classifier_rate: float = Field(1e-3, gt=0, description="learning rate of the classifiers: they start from nothing")
    alpha: float = Field(ALPHA, ge=0, description="weight of the patch-SVDD loss, eq. 3")
    eta: int = Field(10, ge=1, description="memory items that are fused, section 4.2")
    affinity_limit: float = Field(LAMBDA, gt=0, description="lambda of eq. 4")
    memory_mib: float = Field(512, gt=0, description="what the memory may take, MiB")
    softness: float = Field(0.3, ge=0, description="of the length normalisation, in median lengths of a good code")
    query_step: int = Field(2, ge=1, description="every which remembered position of a new picture is scored")
    smoothing: float = Field(2.0, gt=0, description="sigma of the map's Gaussian filter, px")
    set_aside: Share = Field(0.2, description="share of good pictures that sets the threshold and is not learned from")
    false_reject_rate: Share = Field(0.01, description="share of good parts that may be rejected")

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any setting."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
