"""The way from pictures to scores: encoder, memory, eq. 4 to 7; the state around the pure functions."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from sclvi.encoders.compute import encode, pick_device
from sclvi.encoders.interface import Encoder
from sclvi.memory.bank import Neighbours
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import Surface
from sclvi.scoring.affinity import Fusion, fuse_patterns, fusion_weights, patch_scores
from sclvi.scoring.closer import estimated, first_patches, nearest_known, worth_a_look
from sclvi.scoring.flagged import raise_flagged
from sclvi.scoring.maps import Role
from sclvi.scoring.pixels import pixel_map, smooth
from sclvi.settings import Settings
from sclvi.side_by_side import side_by_side
from sclvi.synthetic.detector import Detector, excuse

_Maps = Callable[[], list[Tensor]]  # B x H x W float each
_DOUBTFUL = 2.0  # a patch is looked up if a flagged one is nearer than so many times the estimate for a good one
_FEW = 2.0  # caution about places of which few pictures tell
_COLOURS = 3  # channels of which the detector sees each: it was shaped for pictures of no more


@dataclass(frozen=True)
class Found:
    """One scale's patches of B pictures, h x w each, and the memory items nearest to each."""

    codes: Tensor  # B h w x D float
    neighbours: Neighbours  # of B h w patches
    grid: tuple[int, int, int]  # (B, h, w)
    patch: int  # px
    stride: int  # px between the patches
    size: tuple[int, int]  # (H, W) of the pictures, px

    def pixels(self, fusion: Fusion, eta: int, limit: float) -> Tensor:
        """Eq. 4 to 7 with the `eta` nearest of the items found -> B x H x W float."""
        scores = _scores(self.codes, self.neighbours, fusion, eta, limit)
        return pixel_map(scores.view(self.grid), self.patch, self.stride, self.size)


@dataclass(frozen=True)
class Judged:
    """One scale's patches of B pictures, h x w each; scores and distances of those not looked up are estimates."""

    codes: Tensor  # B x h x w x D float
    scores: Tensor  # B x h x w float, eq. 6, and what a person said
    learned: Tensor  # B x h x w float, distance to the nearest that was learned, whatever people said
    distances: Tensor  # B x h x w float, to the nearest that was learned or taught
    origins: Tensor  # B x h x w int64, of that one; -1: not looked up, or there is none
    patch: int  # px
    stride: int  # px between the patches
    size: tuple[int, int]  # (H, W) of the pictures, px

    def pixels(self) -> Tensor:
        """Eq. 7 -> B x H x W float."""
        return pixel_map(self.scores, self.patch, self.stride, self.size)


@dataclass(frozen=True)
class NearestItem:
    """What a patch of the smallest size is most like; corners are (row, column), px."""

    here: tuple[int, int]  # upper left corner of the patch, in its image
    image: int  # in which the item was remembered
    there: tuple[int, int]  # its upper left corner there
    distance: float


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
        A wrong shade in one channel of many it does not see either: it learns from defects that all of them show.
        Beside it codes of all sizes share one vote, as they say much the same; without it they know most.
        """
        few = self.detector is None
        roles = [Role(ranks=1.0 if few else 1 / len(self.memories))] * len(self.memories)
        if self.surface is not None:
            caution = _FEW if few else 1.0
            unseen = few or self.encoder.channels > _COLOURS
            surface = Role(ranks=float(places_alike or few), surprises=unseen, caution=caution)
            roles += [surface, Role(ranks=0.0, caution=caution)]
        return (*roles, Role(caution=self.detector.caution)) if self.detector is not None else tuple(roles)

    def as_learned(self) -> "Inspector":
        """Without what people said."""
        memories = tuple(replace(memory, flagged=None) for memory in self.memories)
        return replace(self, memories=memories).untaught()

    def untaught(self) -> "Inspector":
        """Without what people said is fine."""
        memories = tuple(replace(memory, taught=None) for memory in self.memories)
        surface = None if self.surface is None else Surface(self.surface.filters, self.surface.levels)
        detector = None if self.detector is None else replace(self.detector, taught=None)
        return replace(self, memories=memories, surface=surface, detector=detector)

    @property
    def is_taught(self) -> bool:
        """Whether people said of something that it is fine."""
        taught = [memory.taught for memory in self.memories]
        taught += () if self.surface is None else self.surface.taught
        return self._excuses or any(one is not None for one in taught)

    @property
    def _excuses(self) -> bool:
        return self.detector is not None and self.detector.taught is not None

    @property
    def strides(self) -> tuple[int, ...]:
        """Px between the patches of new pictures, per scale."""
        return tuple(self.settings.query_step * memory.stride for memory in self.memories)

    def nearest_item(self, place: tuple[float, float], origins: Tensor, distances: Tensor) -> NearestItem | None:
        """Of the patch around a place, row and column, or of that nearest to it that was looked up; None: none was.

        origins, distances: of one image, h x w each, as of `Judged` at the smallest scale.
        """
        memory, stride = self.memories[0], self.strides[0]
        nearest = nearest_known(place, origins >= 0, memory.patch, stride)
        if nearest is None:
            return None
        image, cell = divmod(int(origins[nearest]), memory.grid[0] * memory.grid[1])
        row, column = divmod(cell, memory.grid[1])
        here, there = (stride * nearest[0], stride * nearest[1]), (memory.stride * row, memory.stride * column)
        return NearestItem(here, image, there, float(distances[nearest]))

    def search(self, images: Tensor, eta: int, without: range | None = None) -> list[Found]:
        """Per scale, all patches of B x C x H x W float pictures and their `eta` nearest memory items.

        Args:
            without: numbers of training images whose patches are not looked at, to see these as if they were new.
        """
        size = (images.shape[2], images.shape[3])
        found = []
        for memory, encoded, stride in self._encoded(images):
            codes, neighbours = memory.search(encoded, stride, eta, without)
            grid = (len(encoded), encoded.shape[2], encoded.shape[3])
            found.append(Found(codes, neighbours, grid, memory.patch, stride, size))
        return found

    def _encoded(self, images: Tensor) -> Iterator[tuple[ScaleMemory, Tensor, int]]:
        """Per scale, its memory, the codes of patches, B x D x h x w, and the px between these."""
        encoded = (codes.cpu() for codes in encode(self.encoder, images, self.strides))
        return zip(self.memories, encoded, self.strides, strict=True)

    def score(self, images: Tensor, without: range | None = None) -> tuple[list[Tensor], list[Judged]]:
        """The maps of B pictures, B x H x W float each, as `roles` has them, and what `judge` gives.

        One map per scale (eq. 7), then, where there are any, two of the surface and the detector's.
        """
        judged: list[Judged] = []

        def of_codes() -> list[Tensor]:
            judged.extend(self.judge(images, without))
            return [smooth(one.pixels(), self.settings.smoothing) for one in judged]

        kinds = [of_codes]
        if self.surface is not None:
            kinds.append(partial(_surface_maps, self.surface, images, self.settings.smoothing))
        if self.detector is not None:
            kinds.append(partial(_detector_map, self.detector, images))
        maps = list(chain.from_iterable(_in_the_best_order(kinds)))
        if self.detector is not None and self.detector.taught is not None:
            near = judged[0]
            maps[-1] = excuse(maps[-1], near.codes, near.learned, near.stride, near.patch, self.detector.taught)
        return maps, judged

    def judge(self, images: Tensor, without: range | None = None) -> list[Judged]:
        """Per scale, the patches of B pictures: eq. 4 to 6, and what a person said."""
        size = (images.shape[2], images.shape[3])
        return [
            self._judge(memory, encoded, stride, size, without) for memory, encoded, stride in self._encoded(images)
        ]

    def _judge(
        self, memory: ScaleMemory, encoded: Tensor, stride: int, size: tuple[int, int], without: range | None
    ) -> Judged:
        grid = (len(encoded), encoded.shape[2], encoded.shape[3])
        rows = memory.rows_of(encoded, stride)
        scores, learned = torch.empty(2, *grid)
        origins = torch.full(grid, -1)

        def look_at(patches: Tensor) -> None:
            # place by place: what was read of the memory for one picture is at hand for the next, much alike there
            down, across, picture = patches.permute(1, 2, 0).nonzero(as_tuple=True)
            at = (picture, down, across)
            chosen = rows.view(*grid, -1)[at]
            near = memory.nearest(chosen, self._eta, without)
            scores[at], learned[at] = self._fused(memory, chosen, near), near.distances[:, 0]
            origins[at] = near.origins[:, 0]

        first = torch.ones(grid, dtype=torch.bool) if self._looks_everywhere else first_patches(grid)
        look_at(first)
        if not first.all():
            scores, learned = estimated(scores), estimated(learned)
            look_at(worth_a_look(scores, self.settings.closer))
        flagged = None if memory.flagged is None else memory.distances_to(memory.flagged, rows).view(grid)
        if flagged is not None:  # no estimate may raise what is as near to a good patch; and nothing scores less
            estimates = scores.clone()
            look_at((origins < 0) & (flagged < _DOUBTFUL * learned))
            scores = torch.maximum(scores, estimates)
        codes = memory.codes_of(rows).view(*grid, -1)
        judged = Judged(codes, scores, learned, learned, origins, memory.patch, stride, size)
        return self._corrected(memory, rows, judged, flagged)

    @property
    def _looks_everywhere(self) -> bool:
        """Where something was taught: what an estimate says may be far from what a look would, and excuse too much."""
        return self._excuses or self.settings.closer == 1 or any(memory.taught is not None for memory in self.memories)

    @property
    def _eta(self) -> int:
        return 1 if self.settings.fusion == "nearest" else self.settings.eta

    def _fused(self, memory: ScaleMemory, rows: Tensor, near: Neighbours) -> Tensor:
        """Eq. 4 to 6 -> Q float."""
        return _scores(memory.codes_of(rows), near, self.settings.fusion, self._eta, self.settings.affinity_limit)

    def _corrected(self, memory: ScaleMemory, rows: Tensor, judged: Judged, flagged: Tensor | None) -> Judged:
        """Patches that are not as usual are looked up among the taught ones, which never makes a score worse.

        flagged: B x h x w float, the distance to the nearest flagged patch, if there are any.
        """
        scores, distances, origins = judged.scores, judged.distances, judged.origins
        if memory.taught is not None and (unusual := scores > memory.taught.above).any():
            chosen = rows[unusual.flatten()]
            near = memory.nearest_with(memory.taught.exemplars, chosen, self._eta)
            scores, distances, origins = scores.clone(), distances.clone(), origins.clone()
            scores[unusual] = torch.minimum(scores[unusual], self._fused(memory, chosen, near))
            distances[unusual], origins[unusual] = near.distances[:, 0], near.origins[:, 0]
        if flagged is not None:
            scores = raise_flagged(scores, distances, flagged)
        return replace(judged, scores=scores, distances=distances, origins=origins)


def _scores(codes: Tensor, near: Neighbours, fusion: Fusion, eta: int, limit: float) -> Tensor:
    """Eq. 4 to 6 with the `eta` nearest of the items found; Q x D float -> Q float."""
    weights = fusion_weights(near.distances[:, :eta], fusion, limit)
    return patch_scores(codes, fuse_patterns(weights, near.codes[:, :eta]))


def _surface_maps(surface: Surface, images: Tensor, smoothing: float) -> list[Tensor]:
    return [smooth(one, smoothing) for one in surface.maps(images)]


def _detector_map(detector: Detector, images: Tensor) -> list[Tensor]:
    return [detector.pixels(images)]


def _in_the_best_order(kinds: list[_Maps]) -> Iterator[list[Tensor]]:
    """Side by side where there are few cores: two on each kind in turn keep each other waiting.

    Many may well be best on each in turn, and a GPU has to be: what is set of cuDNN is set for all threads.
    """
    few = 1 < torch.get_num_threads() <= len(kinds) and pick_device().type == "cpu"
    return side_by_side(operator.call, kinds) if few else map(operator.call, kinds)
