"""A network learns to see synthetic defects on the good pictures, as they are and halved."""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sclvi.data.halving import halved_side
from sclvi.data.images import Images
from sclvi.data.preparing import resize
from sclvi.encoders.compute import pick_device, reduced_precision, repeatable, to_device
from sclvi.encoders.recorded import Recorded
from sclvi.progress import Progress
from sclvi.settings import Settings
from sclvi.synthetic.defects import Image, Mask, with_defects
from sclvi.synthetic.detector import FRESH, Detector
from sclvi.synthetic.network import SegmentationNetwork
from sclvi.synthetic.symmetry import with_views

_SCALES = (1, 2, 2, 2)  # px to a px of each crop: context teaches most, fine defects want the rest
_CLOSER = 0.25  # in logarithms, up to which crops are closer than that, so that no picture is seen twice alike
_BATCH = 2 * len(_SCALES)
_CROP = 160  # px; larger crops teach more a step, and less a minute
_DEFECTIVE = 0.75  # of the crops
_SHOWINGS = 200  # of each pixel, if no crop were halved: more and it knows by heart what is to set the threshold
_LEAST_STEPS = 1000  # fewer teach nothing of use (docs/experiments.md)
_FEWEST = 10  # images: of fewer, large ones too, the network takes for a defect what only others show
_ENOUGH = Settings().synthetic_steps  # of fresh showings: the fewer they are, the less counts what surprises it
_RATE, _DECAY, _WARM_UP = 2e-3, 1e-3, 50  # learning rate, weight decay, steps in which the rate rises
_GAIN, _SHIFT, _NOISE = 0.05, 0.05, 0.02  # deviations, in units of `Light`
_FOCUS = 2.0  # gamma of the focal loss
_POSITIVE = 3.0  # weight of defective pixels: good ones are some thirty times as many
_DRAWERS = 6  # processes beside a GPU, at most: as many as keep it busy


def steps_for(images: int, pixels: int, size: tuple[int, int], most: int) -> int:
    """How many steps can be learned from images of (h, w) px that show so many pixels; 0: they teach nothing of use.

    Who asks for less than is of use gets it.
    """
    steps = min(most, int(_SHOWINGS / _showings(1, pixels, size)))
    if most < _LEAST_STEPS:
        return steps if steps == most else 0
    return steps if images >= _FEWEST and steps >= _LEAST_STEPS else 0


def caution_after(steps: int, pixels: int, size: tuple[int, int]) -> float:
    """About what surprises the network, where it learned for few steps or from few images; see `Role`."""
    fresh = max(_LEAST_STEPS, float(FRESH / _showings(1, pixels, size)))
    return max(1.0, _ENOUGH / min(steps, fresh))


def _showings(steps: int, pixels: int, size: tuple[int, int]) -> Fraction:
    """How often each of so many pixels, in images of (h, w) px, is shown, if no crop is halved; sides as if even."""
    crop = math.prod((min(Fraction(_CROP), Fraction(side, 2)) for side in size), start=Fraction(1))
    return steps * _BATCH * crop / pixels


def _crop_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) px of crops of images of this size: there is none that the halved image does not hold."""
    return min(_CROP, halved_side(size[0])), min(_CROP, halved_side(size[1]))


def learn_defects(images: Images, pixels: int, most: int, seed: int, progress: Progress) -> Detector | None:
    """Learn for at most so many steps; None where that is none, or where there are too few images.

    Args:
        images: N x C x h x w float, prepared by `Light`.
        pixels: how many these show; tiles that overlap show some of them more than once.
        progress: told of each step.
    """
    size = (images.shape[2], images.shape[3])
    steps = steps_for(len(images), pixels, size, most)
    if steps == 0:
        return None
    learner = _Learner(images.shape[1], seed)
    artist = _Artist(images, seed)
    with repeatable(learner.device):
        for step, crops in enumerate(_drawn(artist, steps, learner.device)):
            loss = learner.step(crops, _rate(step, steps))
            progress("learning synthetic defects", step + 1, steps, f"loss {loss:.3f}")
    detector = Detector(
        to_device(learner.network.folded(), learner.device),
        caution=caution_after(steps, pixels, size),
        showings=float(_showings(steps, pixels, size)),
    )
    return with_views(detector, images, progress)


def _drawn(artist: "_Artist", steps: int, device: torch.device) -> Iterator["_Crops"]:
    """The crops of each step. A GPU leaves the cores to draw the next meanwhile; threads that share a step do not.

    Processes draw, as threads would hold up the one that feeds the GPU. They know the images by being forked: where
    that cannot be, nothing is drawn ahead.
    """
    forks = device.type == "cuda" and "fork" in multiprocessing.get_all_start_methods()
    drawers = min(_DRAWERS, os.cpu_count() or 1) if forks else 0
    yield from DataLoader(
        artist,
        batch_size=None,
        sampler=range(steps),
        num_workers=drawers,
        multiprocessing_context="fork" if drawers else None,
        worker_init_fn=_draw_alone,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # that of all torch stays as it is
    )


def _draw_alone(_number: int) -> None:
    cv2.setNumThreads(0)  # the threads of the process that was forked are not there


def _rate(step: int, steps: int) -> float:
    """Rises at first, then falls as a cosine."""
    return _RATE * min(1, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2


class _Crops(NamedTuple):
    pixels: Tensor  # B x C x h x w float
    defective: Tensor  # B x 1 x ceil(h / 2) x ceil(w / 2) float, 0 or 1


class _Artist(Dataset[_Crops]):
    """Draws crops of good pictures with defects and without; those of a step are the same whatever was drawn before."""

    def __init__(self, images: Images, seed: int) -> None:
        self.images, self.seed = images, seed
        self.size = _crop_size((images.shape[2], images.shape[3]))

    def __getitem__(self, step: int) -> _Crops:
        rng = np.random.default_rng((self.seed, step))
        chosen = self.images[torch.from_numpy(rng.integers(len(self.images), size=_BATCH))]
        pictures = chosen.permute(0, 2, 3, 1).numpy()
        crops = [self._crop(picture, scale, rng) for picture, scale in zip(pictures, 2 * _SCALES, strict=True)]
        others = crops[len(_SCALES) :] + crops[: len(_SCALES)]  # of about the same scale as these
        drawn = [_perhaps_defective(crop, other, rng) for crop, other in zip(crops, others, strict=True)]
        pixels = torch.from_numpy(np.stack([crop for crop, _ in drawn])).permute(0, 3, 1, 2)
        masks = torch.from_numpy(np.stack([mask for _, mask in drawn])[:, None].astype(np.float32))
        return _Crops(pixels, F.max_pool2d(masks, 2, ceil_mode=True))

    def _crop(self, picture: Image, scale: float, rng: np.random.Generator) -> Image:
        """A part of the picture, `scale` or somewhat fewer of its px to each px of the crop."""
        scale *= math.exp(-rng.uniform(0, _CLOSER))
        high, wide = (min(side, round(scale * crop)) for side, crop in zip(picture.shape[:2], self.size, strict=True))
        top = int(rng.integers(picture.shape[0] - high + 1))
        left = int(rng.integers(picture.shape[1] - wide + 1))
        return resize(picture[top : top + high, left : left + wide], self.size)


def _perhaps_defective(crop: Image, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Three times out of four with defects, and where."""
    if rng.random() < _DEFECTIVE:
        return with_defects(crop, other, rng)
    return crop, np.zeros(crop.shape[:2], bool)


class _Learner:
    """The network and its optimiser."""

    def __init__(self, channels: int, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = SegmentationNetwork(channels)
        self.device = pick_device()
        self.network = to_device(network, self.device).train()
        self.light = torch.Generator(self.device).manual_seed(seed)
        self.rate = torch.tensor(_RATE, device=self.device)
        gpu = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=self.rate, weight_decay=_DECAY, fused=True, capturable=gpu
        )
        self.learn: Callable[[Tensor, Tensor], Tensor] = Recorded(self._learn) if gpu else self._learn

    def step(self, crops: _Crops, rate: float) -> float:
        """One step; returns the loss."""
        self.rate.fill_(rate)
        pixels = self._in_another_light(crops.pixels.to(self.device, non_blocking=True))
        return self.learn(pixels, crops.defective.to(self.device, non_blocking=True)).item()

    def _learn(self, pixels: Tensor, wanted: Tensor) -> Tensor:
        with reduced_precision(self.device):
            logits = self.network(pixels.contiguous(memory_format=torch.channels_last))
        loss = focal_loss(logits, wanted)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _in_another_light(self, pixels: Tensor) -> Tensor:
        """Brighter or darker, harder or softer, crop by crop, and with noise; B x C x h x w float."""
        gain, shift, noise = (
            torch.randn(shape, generator=self.light, device=self.device)
            for shape in (*((len(pixels), 1, 1, 1),) * 2, pixels.shape)
        )
        return pixels * (1 + _GAIN * gain) + _SHIFT * shift + _NOISE * noise


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean focal loss (Lin et al. 2017, eq. 5): pixels that are told already count little, defective ones more.

    logits, wanted: of one shape, float; wanted 0 or 1 -> scalar.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = 1 - torch.exp(-entropy)
    return (missed**_FOCUS * entropy * (1 + (_POSITIVE - 1) * wanted)).mean()
