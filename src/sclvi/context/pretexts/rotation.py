"""By which multiple of 90 degrees is the picture turned? (Gidaris et al. 2018)"""

from typing import ClassVar

import torch
from torch import Tensor

from sclvi.context.pretexts.base import Pretext, Questions, classifier
from sclvi.context.pretexts.singles import draw_changes, draw_single_patches
from sclvi.encoders.interface import CODE_LENGTH
from sclvi.encoders.places import Frame

TURNS = 4


class Rotation(Pretext):
    """The classifier gets the code of one patch."""

    name: ClassVar[str] = "rotation"
    changes_views: ClassVar[bool] = True

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = classifier(CODE_LENGTH, TURNS)

    @classmethod
    def change_views(cls, views: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turn pictures counterclockwise by 0 to 3 quarters; what is not square is first cut to a random square of it.

        2B x C x H x W float -> 2B x C x S x S with S = min(H, W), and the quarter turns, 2B int64 in 0..3.
        """
        pictures, (height, width) = len(views) // 2, views.shape[2:]
        side = min(height, width)
        tops = torch.randint(height - side + 1, (pictures,), generator=generator).repeat(2)
        lefts = torch.randint(width - side + 1, (pictures,), generator=generator).repeat(2)
        turns = draw_changes(pictures, TURNS, generator).repeat(2)
        turned = [
            torch.rot90(view[:, top : top + side, left : left + side], turn, (1, 2))
            for view, top, left, turn in zip(views, tops.tolist(), lefts.tolist(), turns.tolist(), strict=True)
        ]
        return torch.stack(turned), turns

    def draw(self, count: int, frame: Frame, changes: Tensor, generator: torch.Generator) -> Questions:
        return draw_single_patches(count, frame, changes, generator)

    def forward(self, codes: tuple[Tensor, ...]) -> Tensor:
        (code,) = codes
        logits: Tensor = self.classifier(code)
        return logits
