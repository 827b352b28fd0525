"""Whether the place of a patch counts, measured on good pictures.

In a fixture, a good part shows the same at a place each time. Compared with good patches of about that place alone,
what is good elsewhere is no longer good here, and few pictures tell as much as many did. But speckles, grain and what
hangs loose are good wherever they lie, and have to be found wherever they were seen.
"""

from statistics import median

import torch

from sclvi.data.even import evenly
from sclvi.data.images import Images, Selection
from sclvi.encoders.interface import Encoder
from sclvi.memory.scale import fill_memories
from sclvi.progress import Progress, silent, track
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import image_scores
from sclvi.settings import Settings

_LOOKED_AT = 20  # good pictures, evenly spread, that decide; forty say the same
_NO_WORSE = 0.15  # of the logarithm of a good picture's worst score, that it may rise where places count


def nearness_that_fits(
    encoder: Encoder, images: Images, settings: Settings, progress: Progress, places_alike: bool
) -> float:
    """What a px between the places of two patches is to count: `settings.nearness`, or 0 where parts differ at a place.

    Some of the pictures are remembered, and each is seen as if it were new, with places that count and with places
    that do not. Places count where good pictures then look hardly worse at their worst. They never do in tiles.

    Args:
        images: N x C x H x W float, N >= 2, prepared by `Light`.
        places_alike: see `Alignment.places_alike`.
    """
    if settings.nearness == 0 or settings.tile is not None or not places_alike:
        return 0.0
    chosen = Selection(images, evenly(len(images), _LOOKED_AT))
    anywhere, near = (_inspector(encoder, chosen, settings, nearness) for nearness in (0.0, settings.nearness))
    rises = [
        _worst(near, chosen, number) - _worst(anywhere, chosen, number)
        for number in track(range(len(chosen)), "comparing places", len(chosen), progress)
    ]
    return settings.nearness if median(rises) < _NO_WORSE else 0.0


def _inspector(encoder: Encoder, images: Images, settings: Settings, nearness: float) -> Inspector:
    """That knows these images by their codes alone."""
    memories = fill_memories(encoder, images, settings, silent, nearness)
    return Inspector(encoder, memories, None, settings)


def _worst(inspector: Inspector, images: Images, number: int) -> float:
    """Logarithm of an image's largest score at the smallest scale, as if the image were new."""
    maps, _ = inspector.score(images[torch.tensor([number])], without=range(number, number + 1))
    return image_scores(maps[0]).clamp_min(1e-6).log().item()
