"""Which of the eight neighbours of the first patch is the second? (Doersch et al. 2015, as used by Patch-SVDD)"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.context.pretexts.offsets import draw_offset_pairs
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame

# (rows, columns) that the second patch lies below and right of the first.
EIGHT_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


class EightNeighbours(Pretext):
    """The classifier gets the difference of the two codes; dither and light are those of the paper's pretext."""

    name: ClassVar[str] = "eight"

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, len(EIGHT_NEIGHBOURS))

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_offset_pairs(count, EIGHT_NEIGHBOURS, frame, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        first, second = codes
        logits: Tensor = self.classifier(first - second)
        return logits
