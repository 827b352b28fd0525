"""Images of one shape: a tensor that is there, or pictures that are prepared when they are asked for.

Ten thousand prepared pictures take some 12 GB. No stage of training needs more than a batch of them at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Images(Protocol):
    """N images; a tensor N x C x h x w float is one."""

    @property
    def shape(self) -> Sequence[int]:
        """(N, C, h, w)."""

    def __len__(self) -> int: ...

    def __getitem__(self, numbers: Tensor, /) -> Tensor:
        """B int64 numbers -> B x C x h x w float32."""


@dataclass(frozen=True)
class MadeImages:
    """Images that are made when they are asked for."""

    shape: tuple[int, int, int, int]  # (N, C, h, w)
    make: Callable[[int], Tensor]  # number -> C x h x w float32

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Tensor, /) -> Tensor:
        return torch.stack([self.make(number) for number in numbers.tolist()])


@dataclass(frozen=True)
class Selection:
    """Some of the images, in the order given."""

    images: Images
    numbers: Tensor  # int64

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.numbers), *self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, numbers: Tensor, /) -> Tensor:
        return self.images[self.numbers[numbers]]


def batch_length(images: Images) -> int:
    """How many of the images are looked at together: eight of the default size, and as few as have its pixels."""
    return max(1, _BATCH // (images.shape[2] * images.shape[3]))


def in_batches(images: Images) -> Iterator[Tensor]:
    """All images in order, B x C x h x w float each, B as of `batch_length`."""
    for numbers in torch.arange(len(images)).split(batch_length(images)):
        yield images[numbers]


_BATCH = 8 * 320**2  # px
