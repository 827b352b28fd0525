"""The way from pictures to scores: encoder, memory, eq. 4 to 7; the state around the pure functions."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sclvi.encoders.compute import encode
from sclvi.encoders.interface import Encoder
from sclvi.memory.bank import Neighbours
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import Surface
from sclvi.scoring.affinity import Fusion, fuse_patterns, fusion_weights, patch_scores
from sclvi.scoring.flagged import raise_flagged
from sclvi.scoring.maps import Role
from sclvi.scoring.pixels import pixel_map, smooth
from sclvi.settings import Settings
from sclvi.synthetic.detector import Detector, excuse

_FEW = 2.0  # caution about places of which few pictures tell


@dataclass(frozen=True)
class Found:
    """One scale's patches of B pictures, h x w each, and the memory items nearest to each."""

    codes: Tensor  # B h w x D float
    neighbours: Neighbours  # of B h w patches
    learned: Tensor  # B h w float, distance to the nearest that was learned, whatever people said
    grid: tuple[int, int, int]  # (B, h, w)
    patch: int  # px
    stride: int  # px between the patches
    size: tuple[int, int]  # (H, W) of the pictures, px

    def nearest(self) -> tuple[Tensor, Tensor]:
        """Origin (int64) and distance of each patch's nearest item, B x h x w each."""
        near = self.neighbours
        return near.origins[:, 0].view(self.grid), near.distances[:, 0].view(self.grid)

    def scores(self, fusion: Fusion, eta: int, limit: float) -> Tensor:
        """Eq. 4 to 6 with the `eta` nearest of the items found -> B h w float."""
        weights = fusion_weights(self.neighbours.distances[:, :eta], fusion, limit)
        return patch_scores(self.codes, fuse_patterns(weights, self.neighbours.codes[:, :eta]))

    def pixels(self, scores: Tensor) -> Tensor:
        """Eq. 7: B h w float, of the patches -> B x H x W float."""
        return pixel_map(scores.view(self.grid), self.patch, self.stride, self.size)


@dataclass(frozen=True)
class Inspector:
    """Scores pictures of the working size, prepared by `Light`."""

    encoder: Encoder
    memories: tuple[ScaleMemory, ...]
    surface: Surface | None
    settings: Settings
    detector: Detector | None = None

    def roles(self, places_alike: bool) -> tuple[Role, ...]:
        """Of each map that `score` gives; `places_alike`: see `Alignment.places_alike`.

        The surface ranks places well, where it can know what is usual there, but its maxima on good pictures are
        chance: what surprises are its lines, and the detector sees wrong shades and small spots. Where there is none,
        nothing else may see these; and there are few good pictures then, which tell little of what is usual at a place.
        """
        roles = [Role()] * len(self.memories)
        if self.surface is not None:
            few = self.detector is None
            caution = _FEW if few else 1.0
            surface = Role(ranks=places_alike or few, surprises=few, caution=caution)
            roles += [surface, Role(ranks=False, caution=caution)]
        return (*roles, Role(caution=self.detector.caution)) if self.detector is not None else tuple(roles)

    def as_learned(self) -> "Inspector":
        """Without what people said."""
        memories = tuple(replace(memory, taught=None, flagged=None) for memory in self.memories)
        surface = None if self.surface is None else Surface(self.surface.filters, self.surface.levels)
        detector = None if self.detector is None else replace(self.detector, taught=None)
        return replace(self, memories=memories, surface=surface, detector=detector)

    @property
    def taught_alone(self) -> bool:
        """Whether people said of something that it is fine, and of nothing that it is not."""
        taught = [memory.taught for memory in self.memories]
        taught += () if self.surface is None else self.surface.taught
        excused = self.detector is not None and self.detector.taught is not None
        flagged = any(memory.flagged is not None for memory in self.memories)
        return not flagged and (excused or any(one is not None for one in taught))

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
            learned = neighbours.distances[:, 0]
            found.append(Found(codes, neighbours, learned, grid, memory.patch, stride, size))
        return found

    def score(self, images: Tensor, without: range | None = None) -> tuple[list[Tensor], Found]:
        """The maps of B pictures, B x H x W float each, as `roles` has them, and what was found at the smallest scale.

        One map per scale (eq. 7), then, where there are any, two of the surface and the detector's.
        """
        judged = self.judge(images, without)
        return self.maps(images, judged), judged[0][0]

    def maps(self, images: Tensor, judged: list[tuple[Found, Tensor]]) -> list[Tensor]:
        """As of `score`, from what `judge` gave."""
        maps = [smooth(found.pixels(scores), self.settings.smoothing) for found, scores in judged]
        if self.surface is not None:
            maps += [smooth(one, self.settings.smoothing) for one in self.surface.maps(images)]
        if self.detector is not None:
            maps.append(_detect(self.detector, images, judged[0][0]))
        return maps

    def judge(self, images: Tensor, without: range | None = None) -> list[tuple[Found, Tensor]]:
        """Per scale, what was found and the score of each patch, B h w float: eq. 4 to 6, and what a person said."""
        eta = 1 if self.settings.fusion == "nearest" else self.settings.eta
        pairs = zip(self.search(images, eta, without), self.memories, strict=True)
        return [self._correct(found, memory, eta) for found, memory in pairs]

    def _correct(self, found: Found, memory: ScaleMemory, eta: int) -> tuple[Found, Tensor]:
        """Patches that are not as usual are looked up among the taught ones, which never makes a score worse."""
        fusion, limit = self.settings.fusion, self.settings.affinity_limit
        scores = found.scores(fusion, eta, limit)
        if memory.taught is None and memory.flagged is None:
            return found, scores
        rows = memory.placed(found.codes.view(*found.grid, -1), found.stride)
        good = found.learned.clone()
        if memory.taught is not None and (unusual := scores > memory.taught.above).any():
            near = memory.search_with(memory.taught.exemplars, rows[unusual], _of(found.neighbours, unusual))
            again = replace(found, codes=found.codes[unusual], neighbours=near)
            scores[unusual] = torch.minimum(scores[unusual], again.scores(fusion, eta, limit))
            found = replace(found, neighbours=_set(found.neighbours, unusual, near))
            good[unusual] = torch.minimum(good[unusual], near.distances[:, 0])
        if memory.flagged is not None:
            scores = raise_flagged(scores, good, memory.distances_to(memory.flagged, rows))
        return found, scores


def _detect(detector: Detector, images: Tensor, found: Found) -> Tensor:
    """The map of the detector, B x H x W; `found` in these images at the smallest scale."""
    maps = detector.pixels(images)
    if detector.taught is None:
        return maps
    codes, learned = found.codes.view(*found.grid, -1), found.learned.view(found.grid)
    return excuse(maps, codes, learned, found.stride, found.patch, detector.taught)


def _of(neighbours: Neighbours, which: Tensor) -> Neighbours:
    return Neighbours(neighbours.distances[which], neighbours.codes[which], neighbours.origins[which])


def _set(neighbours: Neighbours, which: Tensor, others: Neighbours) -> Neighbours:
    """The neighbours with those of some queries replaced; which: Q bool."""
    distances, codes, origins = neighbours.distances.clone(), neighbours.codes.clone(), neighbours.origins.clone()
    distances[which], codes[which], origins[which] = others.distances, others.codes, others.origins
    return Neighbours(distances, codes, origins)
