"""Single patches: what pretexts that change whole views ask about."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame, Places, draw_starts


class ChangedViewPretext(Pretext):
    """What was done to the whole view? The classifier gets the code of one patch of it."""

    changes_views: ClassVar[bool] = True

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, self.count_changes(channels))

    @staticmethod
    @abstractmethod
    def count_changes(channels: int) -> int:
        """How many changes are told apart in pictures of so many channels."""

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_single_patches(count, frame, changes, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        (code,) = codes
        logits: Tensor = self.classifier(code)
        return logits


def draw_changes(count: int, classes: int, generator: torch.Generator) -> Tensor:
    """What is done to each of `count` pictures, int64: every class comes once before any comes again."""
    rounds = [torch.randperm(classes, generator=generator) for _ in range(-(-count // classes))]
    return torch.cat(rounds)[:count]


def draw_single_patches(count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
    """Draw `count` patches, anywhere on the views in turn; the answer is what was done to the patch's view.

    Args:
        changes: per view, int64 classes.
    """
    views = torch.arange(count) % frame.view_count
    extents = torch.zeros(count, dtype=torch.long)
    tops = draw_starts(extents, frame.height, frame, generator)
    lefts = draw_starts(extents, frame.width, frame, generator)
    return Questions((Places(views, tops, lefts),), changes[views])
