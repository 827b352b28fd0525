"""What was learned from synthetic defects: where a picture looks like one."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from sclvi.data.halving import halved
from sclvi.encoders.compute import reduced_precision
from sclvi.memory.exemplars import Exemplars, Taught
from sclvi.scoring.maps import Usual
from sclvi.scoring.pixels import mean_of, patches_over, smooth
from sclvi.synthetic.network import SegmentationNetwork

View = tuple[int, ...]  # axes of B x C x H x W along which a picture is mirrored
FRESH = 40  # showings of a picture, up to which each teaches something new; more is known by heart
_BLUR = 8.0  # px, sigma


@dataclass(frozen=True)
class TaughtLooks:
    """What a person said is fine, by the codes of the smallest patches."""

    taught: Taught
    usual: float  # what a unit of distance between codes is in units of the map, where both are as usual


def looks_of(exemplars: Exemplars | None, usual: tuple[Usual, ...]) -> TaughtLooks | None:
    """What was taught, if anything; `usual` of all kinds of map: the smallest scale's is the first, ours the last."""
    taught = Taught.of(exemplars, usual[-1].unusual)
    return None if taught is None else TaughtLooks(taught, usual[-1].level / usual[0].level)


@dataclass(frozen=True)
class Detector:
    """The network as it inspects, and what it should not mind."""

    network: SegmentationNetwork
    taught: TaughtLooks | None = None
    caution: float = 1.0  # about what it is surprised by, while what is usual is measured; see `Role`
    showings: float = 0.0  # of each pixel it learned from, while the threshold is set; see `familiarity`
    views: tuple[View, ...] = ((),)  # of the picture, in which a good one looks good; the first is the picture itself

    @property
    def exemplars(self) -> Exemplars | None:
        """The codes that were taught."""
        return None if self.taught is None else self.taught.taught.exemplars

    def pixels(self, images: Tensor) -> Tensor:
        """Probability of a defect, blurred; B x C x H x W float, prepared by `Light` -> B x H x W 0..1.

        The mean of what the network says of the images and of the halved ones, in which it sees more around a pixel;
        of each, the mean over views. The halved ones are so cheap that it looks at all of these, at full size at two.
        Blurred, it says how much of a neighbourhood looks like a defect: a spot of certainty in grain is often none.
        """
        device = next(self.network.parameters()).device
        moved = images.to(device)
        few = dict.fromkeys((self.views[0], self.views[-1]))
        with torch.inference_mode(), reduced_precision(device):
            seen = [self._seen(moved, tuple(few)), self._seen(halved(moved), self.views)]
        fine = mean_of([seen[0], _widened(seen[1], seen[0].shape[2:])]).cpu()
        # blurred at half the size: a quarter of the pixels, and half as many of them around each
        return _widened(smooth(fine[:, 0], _BLUR / 2)[:, None], images.shape[2:])[:, 0]

    def _seen(self, images: Tensor, views: tuple[View, ...]) -> Tensor:
        """Mean probability over views, B x 1 x h x w."""
        return mean_of([self._seen_so(images.flip(view)).flip(view) for view in views])

    def _seen_so(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.network(images.contiguous(memory_format=torch.channels_last)).sigmoid())


def _widened(maps: Tensor, size: torch.Size) -> Tensor:
    """B x 1 x h x w -> B x 1 x H x W."""
    return F.interpolate(maps, size=size, mode="bilinear")


def excuse(maps: Tensor, codes: Tensor, learned: Tensor, stride: int, patch: int, looks: TaughtLooks) -> Tensor:
    """The maps, lowered where a patch is as near to a taught one as good patches are to the memory.

    A pixel is excused by any patch that covers it and is nearer to a taught one than to any that was learned: that
    patch, this pixel with it, looks like what was taught. What looks ordinary to the codes is near to an ordinary patch
    that was taught as well, and says nothing of what the network sees there.

    Args:
        maps: B x H x W float, of `Detector.pixels`.
        codes: B x h x w x D float, of patches of `patch` px, `stride` px apart.
        learned: B x h x w float, their distances to what was learned.

    Returns:
        B x H x W float, nowhere more than before.
    """
    unusual = maps > looks.taught.above
    if not unusual.any():
        return maps
    times = patch // stride
    wanted = patches_over(unusual, patch, stride, (codes.shape[1], codes.shape[2]))
    distances = torch.full(codes.shape[:3], torch.inf)
    distances[wanted] = looks.taught.exemplars.search(codes[wanted], 1).distances[:, 0]
    distances[distances >= learned] = torch.inf
    padded = F.pad(distances, (times - 1,) * 4, value=float("inf"))
    nearest = -F.max_pool2d(-padded, times, stride=1)  # of all patches that cover a cell of stride x stride px
    cells = nearest.repeat_interleave(stride, 1).repeat_interleave(stride, 2)[:, : maps.shape[1], : maps.shape[2]]
    below, right = (whole - part for whole, part in zip(maps.shape[1:], cells.shape[1:], strict=True))
    allowed = looks.usual * F.pad(cells[:, None], (0, right, 0, below), mode="replicate")[:, 0]
    return torch.where(unusual, torch.minimum(maps, allowed), maps)
