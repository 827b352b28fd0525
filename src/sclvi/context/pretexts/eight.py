"""Which of the eight neighbours of the first patch is the second? (Doersch et al. 2015, as used by Patch-SVDD)"""

from typing import ClassVar

from sclvi.context.pretexts.offsets import OffsetPretext

# (rows, columns) that the second patch lies below and right of the first.
EIGHT_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


class EightNeighbours(OffsetPretext):
    """The classifier gets the difference of the two codes; dither and light are those of the paper's pretext."""

    name: ClassVar[str] = "eight"
    offsets: ClassVar[tuple[tuple[int, int], ...]] = EIGHT_NEIGHBOURS
