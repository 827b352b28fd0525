"""The paper's pretext (section 3.1, Figure 2): which of twelve relative positions do two patches have?"""

from typing import ClassVar

from sclvi.context.pretexts.offsets import OffsetPretext

# (rows, columns) that the second patch lies below and right of the first. Of the 24 offsets between two different cells
# of the grid, one of each pair (o, -o): the other is the same pair of cells taken in the other order.
TWELVE_POSITIONS = (
    (0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2),
)  # fmt: skip


class TwelvePositions(OffsetPretext):
    """Eq. 1, with the classifier on the difference of the two codes."""

    name: ClassVar[str] = "twelve"
    offsets: ClassVar[tuple[tuple[int, int], ...]] = TWELVE_POSITIONS
