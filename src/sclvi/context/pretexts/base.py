"""What every pretext is: a question about patches, the right answers, and a classifier of codes that answers it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sclvi.encoders.places import Frame, Places


@dataclass(frozen=True)
class Questions:
    """N questions of a pretext."""

    patches: tuple[Places, ...]  # the k patches of each question: k times N places
    answers: Tensor  # N int64 classes


class Pretext(nn.Module, ABC):
    """One pretext task on one patch size, with its own classifier.

    A training step makes two views of each of B pictures (other light, other noise), lets the pretext change them as a
    whole (rotate, swap colours), draws questions, has the encoder read the codes of their patches, and asks.
    """

    name: ClassVar[str]
    changes_views: ClassVar[bool] = False  # and asks what was changed: a step then needs several views

    def __init__(self, channels: int) -> None:
        """`channels`: of the pictures."""
        super().__init__()

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Change whole views, both views of a picture alike.

        2B x C x H x W float -> the changed views and, 2B int64, what was done to each (0 where nothing is).
        """
        return views, torch.zeros(len(views), dtype=torch.long)

    @abstractmethod
    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        """Draw `count` questions; `changes` is what `change_views` said."""

    @abstractmethod
    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        """The k codes of each question, N x D float each -> logits N x classes."""


class NormalisedLinear(nn.Linear):
    """A linear layer whose weights are scaled to unit length by column (one per input), as in the authors' code."""

    def forward(self, inputs: Tensor) -> Tensor:
        """N x inputs -> N x outputs."""
        return F.linear(inputs, F.normalize(self.weight, dim=0), self.bias)


def classifier(inputs: int, classes: int) -> nn.Sequential:
    """Classifier C of eq. 1: inputs -> 128 -> 128 -> classes, LeakyReLU(0.1) (docs/paper.md)."""
    return nn.Sequential(
        nn.Linear(inputs, 128),
        nn.LeakyReLU(0.1),
        nn.Linear(128, 128),
        nn.LeakyReLU(0.1),
        NormalisedLinear(128, classes),
    )
