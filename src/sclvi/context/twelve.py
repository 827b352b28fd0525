"""The paper's pretext: which of twelve relative positions do two patches have?"""

from torch import Tensor, nn

from sclvi.context.positions import TWELVE_POSITIONS


class PositionClassifier(nn.Module):
    """Classifier C of eq. 1, on the difference of the two codes."""

    def __init__(self, code_length: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(code_length, 128),
            nn.LeakyReLU(0.1),
            nn.Linear(128, 128),
            nn.LeakyReLU(0.1),
            nn.Linear(128, len(TWELVE_POSITIONS)),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Codes of both patches, N x D each -> logits N x 12."""
        logits: Tensor = self.layers(first - second)
        return logits
