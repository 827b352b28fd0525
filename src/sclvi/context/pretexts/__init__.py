"""The pretexts by name; a new one is a file here and a line below."""

from sclvi.context.pretexts.base import Pretext
from sclvi.context.pretexts.colour import Colour
from sclvi.context.pretexts.eight import EightNeighbours
from sclvi.context.pretexts.nothing import NoPretext
from sclvi.context.pretexts.puzzle import Puzzle
from sclvi.context.pretexts.rotation import Rotation
from sclvi.context.pretexts.rotation_colour import RotationColour
from sclvi.context.pretexts.twelve import TwelvePositions

_ALL: tuple[type[Pretext], ...] = (
    TwelvePositions,
    EightNeighbours,
    Puzzle,
    Rotation,
    Colour,
    RotationColour,
    NoPretext,
)
PRETEXTS: dict[str, type[Pretext]] = {pretext.name: pretext for pretext in _ALL}
