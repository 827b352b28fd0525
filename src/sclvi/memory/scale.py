"""One memory per patch size, filled with the codes of all good patches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sclvi.data.images import Images
from sclvi.encoders.compute import encode
from sclvi.encoders.interface import CODE_LENGTH, PATCH_SIZES, Encoder, patch_grid
from sclvi.memory.bank import MemoryBank, Neighbours, items_within
from sclvi.memory.codespace import CHUNK, CodeSpace
from sclvi.memory.exemplars import Exemplars, Taught, nearest_of_both
from sclvi.memory.nearness import PLACES, with_places, without_places
from sclvi.progress import Progress, track
from sclvi.settings import Settings


@dataclass(frozen=True)
class ScaleMemory:
    """What is known of good patches of one size."""

    patch: int  # px
    stride: int  # px between remembered patches
    space: CodeSpace | None  # None: codes as the encoder gives them
    bank: MemoryBank
    grid: tuple[int, int]  # (h, w) patches of one picture
    nearness: float = 0.0  # what a px between places counts, in units of the codes; 0: patches of any place compare
    taught: Taught | None = None
    flagged: Exemplars | None = None

    def search(self, encoded: Tensor, stride: int, eta: int, without: range | None) -> tuple[Tensor, Neighbours]:
        """The codes of patches in the space of the memory, B h w x D float, and their nearest items.

        Args:
            encoded: B x D x h x w float as the encoder gives them.
            stride: px between these patches.
            eta: how many items.
            without: numbers of training images whose patches are not looked at.
        """
        rows = self.rows_of(encoded, stride)
        return self.codes_of(rows), self.nearest(rows, eta, without)

    def nearest(self, rows: Tensor, eta: int, without: range | None = None) -> Neighbours:
        """The nearest items of patches, Q rows as of `rows_of`; the other arguments as of `search`."""
        patches = self.grid[0] * self.grid[1]
        hidden = None if without is None else (without.start * patches, without.stop * patches)
        return self._without_places(rows, self.bank.search(rows, eta, hidden))

    def nearest_with(self, taught: Exemplars, rows: Tensor, eta: int) -> Neighbours:
        """The nearest of all that is remembered and of what was taught, of this scale; see `nearest`."""
        return self._without_places(rows, nearest_of_both(self.bank.search(rows, eta), taught.search(rows, eta)))

    def distances_to(self, flagged: Exemplars, rows: Tensor) -> Tensor:
        """From each patch to the flagged one that is nearest; Q rows -> Q float."""
        return self._without_places(rows, flagged.search(rows, 1)).distances[:, 0]

    def rows_of(self, encoded: Tensor, stride: int) -> Tensor:
        """Patches as they are searched; B x D x h x w float as the encoder gives them -> B h w x D (or D + PLACES)."""
        return self.placed(self.in_space(encoded), stride)

    def codes_of(self, rows: Tensor) -> Tensor:
        """In the space of the memory, without places; Q rows -> Q x D float."""
        return rows if self.nearness == 0 else rows[:, :-PLACES]

    def _without_places(self, rows: Tensor, near: Neighbours) -> Neighbours:
        return near if self.nearness == 0 else without_places(rows, near)

    def in_space(self, encoded: Tensor) -> Tensor:
        """B x D x h x w float as the encoder gives them -> B x h x w x D in the space of the memory."""
        codes = encoded.permute(0, 2, 3, 1).contiguous()
        return codes if self.space is None else self.space(codes)

    def placed(self, codes: Tensor, stride: int) -> Tensor:
        """Codes in the space of the memory as they are searched, with their places where nearness counts.

        B x h x w x D float -> B h w x D (or D + PLACES) float; `stride` px between the patches.
        """
        placed = codes if self.nearness == 0 else with_places(codes, stride, self.nearness)
        return placed.flatten(0, 2)


def fill_memories(
    encoder: Encoder, images: Images, settings: Settings, progress: Progress, nearness: float = 0.0
) -> tuple[ScaleMemory, ...]:
    """Encode every patch of every good picture; a memory over budget keeps the same random share of each picture.

    Args:
        images: N x C x H x W float, prepared by `Light`.
        nearness: what a px between the places of two patches counts, in units of the codes; 0: nothing.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    strides = settings.memory_strides
    size = (images.shape[2], images.shape[3])
    grids = [patch_grid(size, patch, stride) for patch, stride in zip(PATCH_SIZES, strides, strict=True)]
    length = CODE_LENGTH + (PLACES if nearness else 0)
    quota = items_within(settings.memory_mib, length) / (len(images) * sum(h * w for h, w in grids))
    kept: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    origins: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    for number in track(range(len(images)), "filling the memory", len(images), progress):
        for scale, codes in enumerate(encode(encoder, images[torch.tensor([number])], strides)):
            rows = codes[0].flatten(1).T.cpu()  # h w x D
            places = torch.arange(len(rows))
            if quota < 1:
                places = torch.randperm(len(rows), generator=generator)[: max(1, int(quota * len(rows)))].sort().values
            kept[scale].append(rows[places].half())
            origins[scale].append(number * len(rows) + places)
    memories = []
    for scale, patch in enumerate(PATCH_SIZES):
        codes = torch.cat(kept[scale])
        kept[scale].clear()
        space = None if settings.softness is None else CodeSpace.measure(codes, settings.softness)
        if space is not None:
            for chunk in codes.split(CHUNK):  # in place: a full memory would fill gigabytes in single precision
                chunk.copy_(space(chunk.float()))
        kept_origins = torch.cat(origins[scale])
        if nearness:
            places = with_places(torch.empty(1, *grids[scale], 0), strides[scale], nearness).flatten(0, 2)
            codes = torch.cat([codes, places.half()[kept_origins % len(places)]], dim=1)
        bank = MemoryBank.build(codes, kept_origins, settings.seed, settings.search)
        memories.append(ScaleMemory(patch, strides[scale], space, bank, grids[scale], nearness))
    return tuple(memories)
