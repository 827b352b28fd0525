"""A network learns to see synthetic defects on the good pictures, as they are and halved."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sclvi.ahead import ahead
from sclvi.data.images import Images
from sclvi.data.preparing import resize
from sclvi.encoders.compute import pick_device, reduced_precision, to_device
from sclvi.progress import Progress
from sclvi.synthetic.defects import Image, with_defects
from sclvi.synthetic.detector import Detector
from sclvi.synthetic.network import SegmentationNetwork, halved_side

_SCALES = (1, 2, 2, 2)  # px to a px of each crop: context teaches most, fine defects want the rest
_CLOSER = 0.25  # in logarithms, up to which crops are closer than that, so that no picture is seen twice alike
_BATCH = 2 * len(_SCALES)
_CROP = 160  # px; larger crops teach more a step, and less a minute
_DEFECTIVE = 0.75  # of the crops
_SHOWINGS = 40  # of each pixel, if no crop were halved: more and it may know by heart what is to set the threshold
_LEAST_STEPS = 1000  # fewer teach nothing of use (docs/experiments.md)
_ENOUGH = 4000  # steps; of fewer, what surprises it counts as much less as they are fewer
_RATE, _DECAY, _WARM_UP = 2e-3, 1e-3, 50  # learning rate, weight decay, steps in which the rate rises
_GAIN, _SHIFT, _NOISE = 0.05, 0.05, 0.02  # deviations, in units of `Light`
_FOCUS = 2.0  # gamma of the focal loss
_POSITIVE = 3.0  # weight of defective pixels: good ones are some thirty times as many


def steps_for(count: int, size: tuple[int, int], most: int) -> int:
    """How many steps can be learned from so many images of (h, w) px; 0: too few to learn anything of use."""
    crop = math.prod(_crop_size(size))
    steps = min(most, _SHOWINGS * count * math.prod(size) // (_BATCH * crop))
    return steps if steps >= min(most, _LEAST_STEPS) else 0


def _crop_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) px of crops of images of this size: there is none that the halved image does not hold."""
    return min(_CROP, halved_side(size[0])), min(_CROP, halved_side(size[1]))


def learn_defects(images: Images, most: int, seed: int, progress: Progress) -> Detector | None:
    """Learn for at most so many steps; None where that is none, or where there are too few images.

    Args:
        images: N x C x h x w float, prepared by `Light`.
        progress: told of each step.
    """
    steps = steps_for(len(images), (images.shape[2], images.shape[3]), most)
    if steps == 0:
        return None
    learner = _Learner(images.shape[1], seed)
    artist = _Artist(images, seed)
    for step, crops in enumerate(_drawn(artist, steps, learner.device)):
        loss = learner.step(crops, _rate(step, steps))
        progress("learning synthetic defects", step + 1, steps, f"loss {loss:.3f}")
    return Detector(learner.network.folded(), caution=max(1.0, _ENOUGH / steps))


def _drawn(artist: "_Artist", steps: int, device: torch.device) -> Iterator["_Crops"]:
    """The crops of each step. A GPU leaves the cores to draw the next meanwhile; threads that share a step do not."""
    if device.type != "cuda":
        yield from map(artist.draw, range(steps))
        return
    with ThreadPoolExecutor(1) as pool:
        yield from ahead(pool, artist.draw, range(steps), 1)


def _rate(step: int, steps: int) -> float:
    """Rises at first, then falls as a cosine."""
    return _RATE * min(1, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True)
class _Crops:
    pixels: Tensor  # B x C x h x w float
    defective: Tensor  # B x 1 x ceil(h / 2) x ceil(w / 2) float, 0 or 1


class _Artist:
    """Draws crops of good pictures with defects and without."""

    def __init__(self, images: Images, seed: int) -> None:
        self.images, self.rng = images, np.random.default_rng(seed)
        self.size = _crop_size((images.shape[2], images.shape[3]))

    def draw(self, _step: int) -> _Crops:
        """The crops of one step, whichever comes next."""
        chosen = self.images[torch.from_numpy(self.rng.integers(len(self.images), size=_BATCH))]
        pictures = chosen.permute(0, 2, 3, 1).numpy()
        crops = [self._crop(picture, scale) for picture, scale in zip(pictures, 2 * _SCALES, strict=True)]
        others = crops[len(_SCALES) :] + crops[: len(_SCALES)]  # of about the same scale as these
        drawn = [self._defective(crop, other) for crop, other in zip(crops, others, strict=True)]
        pixels = torch.from_numpy(np.stack([crop for crop, _ in drawn])).permute(0, 3, 1, 2)
        masks = torch.from_numpy(np.stack([mask for _, mask in drawn])[:, None].astype(np.float32))
        return _Crops(pixels, F.max_pool2d(masks, 2, ceil_mode=True))

    def _crop(self, picture: Image, scale: float) -> Image:
        """A part of the picture, `scale` or somewhat fewer of its px to each px of the crop."""
        scale *= math.exp(-self.rng.uniform(0, _CLOSER))
        high, wide = (min(side, round(scale * crop)) for side, crop in zip(picture.shape[:2], self.size, strict=True))
        top = int(self.rng.integers(picture.shape[0] - high + 1))
        left = int(self.rng.integers(picture.shape[1] - wide + 1))
        return resize(picture[top : top + high, left : left + wide], self.size)

    def _defective(self, crop: Image, other: Image) -> tuple[Image, np.ndarray]:
        """Three times out of four with defects, always in another light."""
        mask = np.zeros(crop.shape[:2], bool)
        if self.rng.random() < _DEFECTIVE:
            crop, mask = with_defects(crop, other, self.rng)
        gain, shift = 1 + _GAIN * self.rng.standard_normal(), _SHIFT * self.rng.standard_normal()
        noise = self.rng.standard_normal(crop.shape, np.float32)
        return (crop * gain + shift + _NOISE * noise).astype(np.float32), mask


class _Learner:
    """The network and its optimiser."""

    def __init__(self, channels: int, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = SegmentationNetwork(channels)
        self.device = pick_device()
        self.network = to_device(network, self.device).train()
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True)

    def step(self, crops: _Crops, rate: float) -> float:
        """One step; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with reduced_precision(self.device):
            logits = self.network(crops.pixels.to(self.device).contiguous(memory_format=torch.channels_last))
        loss = focal_loss(logits.float(), crops.defective.to(self.device))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean focal loss (Lin et al. 2017, eq. 5): pixels that are told already count little, defective ones more.

    logits, wanted: of one shape, float; wanted 0 or 1 -> scalar.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = 1 - torch.exp(-entropy)
    return (missed**_FOCUS * entropy * (1 + (_POSITIVE - 1) * wanted)).mean()
