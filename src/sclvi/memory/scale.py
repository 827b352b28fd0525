"""One memory per patch size, filled with the codes of all good patches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sclvi.encoders.compute import encode
from sclvi.encoders.interface import PATCH_SIZES, Encoder, patch_grid
from sclvi.memory.bank import MemoryBank, items_within
from sclvi.memory.codespace import CodeSpace
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

    def codes(self, encoded: Tensor) -> Tensor:
        """B x D x h x w as the encoder gives them -> B x h x w x D in the space of the memory."""
        codes = encoded.permute(0, 2, 3, 1).contiguous()
        return codes if self.space is None else self.space(codes)


def fill_memories(encoder: Encoder, images: Tensor, settings: Settings, progress: Progress) -> tuple[ScaleMemory, ...]:
    """Encode every patch of every good picture; a memory over budget keeps the same random share of each picture.

    Args:
        images: N x C x H x W float, prepared by `Light`.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    strides = settings.memory_strides
    size = (images.shape[2], images.shape[3])
    grids = [patch_grid(size, patch, stride) for patch, stride in zip(PATCH_SIZES, strides, strict=True)]
    quota = items_within(settings.memory_mib) / (len(images) * sum(h * w for h, w in grids))
    kept: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    origins: list[list[Tensor]] = [[] for _ in PATCH_SIZES]
    for number, image in enumerate(track(images, "filling the memory", len(images), progress)):
        for scale, codes in enumerate(encode(encoder, image[None], strides)):
            rows = codes[0].flatten(1).T.cpu()  # h w x D
            places = torch.arange(len(rows))
            if quota < 1:
                places = torch.randperm(len(rows), generator=generator)[: max(1, int(quota * len(rows)))].sort().values
            kept[scale].append(rows[places].half())
            origins[scale].append(number * len(rows) + places)
    memories = []
    for scale, patch in enumerate(PATCH_SIZES):
        codes = torch.cat(kept[scale]).float()
        kept[scale].clear()
        space = None if settings.softness is None else CodeSpace.measure(codes, settings.softness)
        codes = codes if space is None else space(codes)
        bank = MemoryBank.build(codes, torch.cat(origins[scale]), settings.seed, settings.search)
        memories.append(ScaleMemory(patch, strides[scale], space, bank, grids[scale]))
    return tuple(memories)
