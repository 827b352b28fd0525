"""Views in which good pictures of a product look good: further opinions of the network, for nothing learned anew.

Grain may be mirrored any way, a strip top to bottom, an imprint no way. The network never saw a mirrored picture, so
what it says of one errs otherwise than what it says of the picture: their mean has less chance in it.
"""

from dataclasses import replace

import torch
from torch import Tensor

from sclvi.data.even import evenly
from sclvi.data.images import Images
from sclvi.progress import Progress, track
from sclvi.synthetic.detector import Detector, View

_VIEWS: tuple[View, ...] = ((3,), (2,), (2, 3))  # left to right, top to bottom, both
_PICTURES = 40  # good ones that are looked at
_ALIKE = 0.5  # deviations of the pictures' own peaks, that those of mirrored ones may lie higher in the mean


def with_views(detector: Detector, images: Images, progress: Progress) -> Detector:
    """The detector with those views in which good pictures do not look more like a defect than as they are.

    Args:
        images: N x C x h x w float, good ones, prepared by `Light`; N >= 1.
    """
    chosen = evenly(len(images), _PICTURES)
    one_by_one = track(chosen, "looking at mirrored pictures", len(chosen), progress)
    own, *mirrored = torch.stack([_peaks(detector, images[number[None]]) for number in one_by_one]).T
    most = _ALIKE * 1.4826 * (own - own.median()).abs().median()
    alike = [view for view, peaks in zip(_VIEWS, mirrored, strict=True) if (peaks - own).mean() <= most]
    return replace(detector, views=((), *alike))


def _peaks(detector: Detector, image: Tensor) -> Tensor:
    """Logarithm of the maximum of the map of a picture as it is and in each view; 1 x C x h x w -> 1 + views."""
    seen = (replace(detector, views=(view,)) for view in ((), *_VIEWS))
    return torch.stack([one.pixels(image).max() for one in seen]).log()
