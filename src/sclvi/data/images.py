"""Images of one shape: a tensor that is there, or pictures that are prepared when they are asked for.

Ten thousand prepared pictures take some 12 GB. No stage of training needs more than a batch of them at once; where
there are few they are kept, as learning asks for each a hundred times.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_KEPT_MIB = 512  # that prepared pictures may take


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


class KeptImages:
    """Images that are asked for once and kept; for one thread."""

    def __init__(self, images: Images) -> None:
        self.shape = tuple(images.shape)
        self._images = images
        self._kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Tensor, /) -> Tensor:
        asked = numbers.tolist()
        if missing := [number for number in dict.fromkeys(asked) if number not in self._kept]:
            self._kept.update(zip(missing, self._images[torch.tensor(missing)], strict=True))
        return torch.stack([self._kept[number] for number in asked])


def kept(images: Images, mebibytes: float = _KEPT_MIB) -> Images:
    """The images, from now on kept once they were made, if all of them take no more than that."""
    return KeptImages(images) if 4 * math.prod(images.shape) <= mebibytes * 2**20 else images


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
