"""No pretext at all: the paper's NoSSL column of Table 1."""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions
from sclvi.encoders.places import Frame


class NoPretext(Pretext):
    """Asks nothing, so there is nothing to classify: training skips a pretext without questions."""

    name: ClassVar[str] = "none"

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return Questions((), torch.empty(0, dtype=torch.long))

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        return torch.empty(0, 1)
