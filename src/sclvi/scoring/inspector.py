"""The way from pictures to scores: encoder, memory, eq. 4 to 7; the state around the pure functions."""

from dataclasses import dataclass

from torch import Tensor

from sclvi.encoders.compute import encode
from sclvi.encoders.interface import Encoder
from sclvi.memory.bank import Neighbours
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import Surface
from sclvi.scoring.affinity import Fusion, fuse_patterns, fusion_weights, patch_scores
from sclvi.scoring.pixels import pixel_map, smooth
from sclvi.settings import Settings

_SURFACE_SMOOTHING = 2  # times that of the scales: single responses see few pixels, so they are noisier


@dataclass(frozen=True)
class Found:
    """One scale's patches of B pictures, h x w each, and the memory items nearest to each."""

    codes: Tensor  # B h w x D float
    neighbours: Neighbours  # of B h w patches
    grid: tuple[int, int, int]  # (B, h, w)
    patch: int  # px
    stride: int  # px between the patches
    size: tuple[int, int]  # (H, W) of the pictures, px

    def nearest(self) -> tuple[Tensor, Tensor]:
        """Origin (int64) and distance of each patch's nearest item, B x h x w each."""
        near = self.neighbours
        return near.origins[:, 0].view(self.grid), near.distances[:, 0].view(self.grid)

    def pixels(self, fusion: Fusion, eta: int, limit: float) -> Tensor:
        """Eq. 4 to 7 with the `eta` nearest of the items found -> B x H x W float."""
        weights = fusion_weights(self.neighbours.distances[:, :eta], fusion, limit)
        fused = fuse_patterns(weights, self.neighbours.codes[:, :eta])
        return pixel_map(patch_scores(self.codes, fused).view(self.grid), self.patch, self.stride, self.size)


@dataclass(frozen=True)
class Inspector:
    """Scores pictures of the working size, prepared by `Light`."""

    encoder: Encoder
    memories: tuple[ScaleMemory, ...]
    surface: Surface | None
    settings: Settings

    def search(self, images: Tensor, eta: int, without: range | None = None) -> list[Found]:
        """Per scale, the patches of B x C x H x W float pictures and their `eta` nearest memory items.

        Args:
            without: numbers of training images whose patches are not looked at, to see these as if they were new.
        """
        size = (images.shape[2], images.shape[3])
        strides = tuple(self.settings.query_step * memory.stride for memory in self.memories)
        found = []
        for memory, encoded, stride in zip(self.memories, encode(self.encoder, images, strides), strides, strict=True):
            codes, neighbours = memory.search(encoded.cpu(), stride, eta, without)
            grid = (len(encoded), encoded.shape[2], encoded.shape[3])
            found.append(Found(codes, neighbours, grid, memory.patch, stride, size))
        return found

    def score(self, images: Tensor, without: range | None = None) -> tuple[list[Tensor], Found]:
        """The smoothed maps of B pictures, B x H x W float each, and what was found at the smallest scale.

        One map per scale (eq. 7), then that of the surface, where there is one.
        """
        settings = self.settings
        eta = 1 if settings.fusion == "nearest" else settings.eta
        found = self.search(images, eta, without)
        maps = [
            smooth(scale.pixels(settings.fusion, eta, settings.affinity_limit), settings.smoothing) for scale in found
        ]
        if self.surface is not None:
            maps.append(smooth(self.surface.pixels(images), _SURFACE_SMOOTHING * settings.smoothing))
        return maps, found[0]
