"""Pairs of patches a signed number of grid steps apart: what position pretexts are made of."""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame, Places, draw_starts, largest_step


class OffsetPretext(Pretext):
    """Which of its offsets do two patches have? The classifier gets the difference of the two codes."""

    offsets: ClassVar[tuple[tuple[int, int], ...]]  # (rows, columns) that the second patch lies below and right

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, len(self.offsets))

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_offset_pairs(count, self.offsets, frame, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        first, second = codes
        logits: Tensor = self.classifier(first - second)
        return logits


def draw_offset_pairs(
    count: int, offsets: tuple[tuple[int, int], ...], frame: Frame, generator: torch.Generator
) -> Questions:
    """Draw `count` pairs, all offsets equally likely; the first patch in a picture's first view, the other in its
    second.

    One grid step is 3/4 of the patch plus a dither below 1/4 patch, drawn for each pair and axis: 0 to 15 px at patch
    64 (section 3.1; the authors' sampling, docs/paper.md). First patches are uniform over where the pair fits. A
    picture too small for the grid gets a smaller step.

    Args:
        offsets: (rows, columns) in grid steps that the second patch lies below and right of the first.
    """
    table = torch.tensor(offsets)
    classes = torch.randint(len(table), (count,), generator=generator)
    first, second = [], []
    for axis, length in enumerate((frame.height, frame.width)):
        dither = torch.randint(max(1, frame.patch // 4 // frame.placement), (count,), generator=generator)
        step = 3 * frame.patch // 4 + dither * frame.placement
        step = step.clamp_max(largest_step(int(table[:, axis].abs().max()), length, frame))
        offset = table[classes, axis] * step  # px, signed
        start = draw_starts(offset.abs(), length, frame, generator) - offset.clamp_max(0)
        first.append(start)
        second.append(start + offset)
    pictures = torch.arange(count) % (frame.view_count // 2)
    return Questions(
        (Places(pictures, first[0], first[1]), Places(pictures + frame.view_count // 2, second[0], second[1])), classes
    )
