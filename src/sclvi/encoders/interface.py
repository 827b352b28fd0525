"""What an encoder is to the rest: codes of 32- and 64-px patches, on a grid for inspection, anywhere for training."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from sclvi.encoders.places import CodeReader

CODE_LENGTH = 64
PATCH_SIZES = (32, 64)  # px, section 4.1


class Encoder(nn.Module, ABC):
    """Encodes patches of both sizes; `channels` is that of the pictures."""

    name: ClassVar[str]
    placement: ClassVar[int]  # px: patches can be had at multiples of this
    inspects_exactly: ClassVar[bool]  # in float32 even where bf16 is faster

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def encode_grid(self, images: Tensor, strides: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Codes of all patches, `strides` px apart (one stride per patch size, each a multiple of the placement).

        B x C x H x W float, prepared by `Light`; H, W >= 64 -> per patch size B x 64 x h x w float in -1..1, with
        h = (H - patch) // stride + 1; the patch of (i, j) has its top left corner at (stride i, stride j).
        """

    @abstractmethod
    def read(self, views: Tensor) -> tuple[CodeReader, ...]:
        """One reader per patch size, which gives the codes of patches at chosen places of the views 2B x C x H x W."""


def patch_grid(size: tuple[int, int], patch: int, stride: int) -> tuple[int, int]:
    """How many patches of `patch` px, `stride` px apart, a picture of size (H, W) has: (rows, columns)."""
    return (size[0] - patch) // stride + 1, (size[1] - patch) // stride + 1
