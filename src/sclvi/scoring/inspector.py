"""The way from pictures to scores: encoder, memory, eq. 4 to 7; the state around the pure functions."""

from dataclasses import dataclass

from torch import Tensor

from sclvi.encoders.compute import encode
from sclvi.encoders.dense import STRIDE, DenseEncoder
from sclvi.memory.bank import MemoryBank
from sclvi.memory.codespace import soft_normalise
from sclvi.scoring.affinity import affinity, fuse_patterns, patch_scores
from sclvi.scoring.pixels import pixel_map
from sclvi.settings import Settings


@dataclass(frozen=True)
class ScaleMemory:
    """What is known of good patches of one size."""

    patch: int  # px
    stride: int  # px between remembered patches
    centre: Tensor  # D float, mean of the good codes
    length: float  # of the soft normalisation, code units
    bank: MemoryBank
    grid: tuple[int, int]  # (h, w) patches of one picture

    def codes(self, encoded: Tensor) -> Tensor:
        """B x D x h x w as the encoder gives them -> B x h x w x D in the space of the memory."""
        return soft_normalise(encoded.permute(0, 2, 3, 1), self.centre, self.length)


@dataclass(frozen=True)
class ScaleScores:
    """One scale's view of B pictures."""

    pixels: Tensor  # B x H x W float, eq. 7
    nearest_origins: Tensor  # B x h x w int64: which good patch is nearest to each scored one
    nearest_distances: Tensor  # B x h x w float


@dataclass(frozen=True)
class Inspector:
    """Scores light-normalised pictures of the working size."""

    encoder: DenseEncoder
    memories: tuple[ScaleMemory, ...]
    settings: Settings

    def score(self, images: Tensor, without_picture: int | None = None) -> list[ScaleScores]:
        """Per scale, the scores of B x C x H x W float pictures.

        Args:
            without_picture: training picture whose own patches are not looked at, to see it as if it were new.
        """
        size = (images.shape[2], images.shape[3])
        encoded = encode(self.encoder, images)
        return [
            self._score_scale(memory, codes.cpu(), size, without_picture)
            for memory, codes in zip(self.memories, encoded, strict=True)
        ]

    def _score_scale(
        self, memory: ScaleMemory, encoded: Tensor, size: tuple[int, int], without_picture: int | None
    ) -> ScaleScores:
        stride = self.settings.query_step * memory.stride  # px
        step = stride // STRIDE
        codes = memory.codes(encoded[:, :, ::step, ::step])  # B x h x w x D
        grid = codes.shape[:3]
        queries = codes.reshape(-1, codes.shape[3])
        patches = memory.grid[0] * memory.grid[1]
        without = None if without_picture is None else (without_picture * patches, (without_picture + 1) * patches)
        near = memory.bank.search(queries, self.settings.eta, without)
        fused = fuse_patterns(affinity(near.distances, self.settings.affinity_limit), near.codes)
        scores = patch_scores(queries, fused).view(grid)
        return ScaleScores(
            pixel_map(scores, memory.patch, stride, size),
            near.origins[:, 0].view(grid),
            near.distances[:, 0].view(grid),
        )
