"""The paper's pretext (section 3.1, Figure 2): which of twelve relative positions do two patches have?"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.context.pretexts.offsets import draw_offset_pairs
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame

# (rows, columns) that the second patch lies below and right of the first. Of the 24 offsets between two different cells
# of the grid, one of each pair (o, -o): the other is the same pair of cells taken in the other order.
TWELVE_POSITIONS = (
    (0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2),
)  # fmt: skip


class TwelvePositions(Pretext):
    """Eq. 1, with the classifier on the difference of the two codes."""

    name: ClassVar[str] = "twelve"

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, len(TWELVE_POSITIONS))

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_offset_pairs(count, TWELVE_POSITIONS, frame, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        first, second = codes
        logits: Tensor = self.classifier(first - second)
        return logits
