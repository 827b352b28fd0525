"""The encoder's start: weights learned from procedural pictures only, shipped with the package, made again by

    python -m sclvi.context.start --out src/sclvi/encoders/weights/dense.safetensors

No picture of anybody is involved, so the weights have no other licence than this project's.
"""

import argparse
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from sclvi.ahead import ahead
from sclvi.context.contrastive import views_loss
from sclvi.context.procedural import draw_picture
from sclvi.data.light import normalise_light
from sclvi.encoders.compute import to_device
from sclvi.encoders.dense import DenseEncoder

PICTURE_SIZE = 256
BATCH = 4
PATCHES = 192  # per picture and scale


def train_start(steps: int, seed: int, log_every: int = 50) -> DenseEncoder:
    """Learn the start for `steps` steps of four procedural pictures; prints the loss every `log_every` steps."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = to_device(DenseEncoder(), torch.device("cpu"))
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-3, weight_decay=1e-4)
    for step, pictures in enumerate(_batches(steps, seed)):
        optimiser.param_groups[0]["lr"] = 5e-4 * (1 + math.cos(math.pi * step / steps))
        views = torch.cat([_view(pictures, generator), _view(pictures, generator)])
        codes_per_scale = encoder(views.contiguous(memory_format=torch.channels_last))
        loss = torch.stack([views_loss(codes, PATCHES, generator) for codes in codes_per_scale]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % log_every == 0:
            print(f"step {step + 1}/{steps}, loss {loss.item():.3f}", flush=True)
    return encoder.eval()


def _view(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Gain, colour shift, brightness and pixel noise, drawn anew; B x 3 x H x W -> the same."""
    batch, channels = pictures.shape[:2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    gain = 1 + 0.1 * normal(batch, 1, 1, 1)
    shift = 0.1 * normal(batch, channels, 1, 1) + 0.1 * normal(batch, 1, 1, 1)
    return pictures * gain + shift + 0.05 * normal(*pictures.shape)


def _batches(steps: int, seed: int) -> Iterator[Tensor]:
    """Light-normalised batches, drawn in a worker process; each step has a seed of its own, so order is fixed."""
    with ProcessPoolExecutor(max_workers=1) as pool:
        for pictures in ahead(pool, partial(_draw_batch, seed), range(steps), 4):
            yield normalise_light(torch.from_numpy(pictures).permute(0, 3, 1, 2))


def _draw_batch(seed: int, step: int) -> np.ndarray:
    rng = np.random.default_rng((seed, step))
    return np.stack([draw_picture(rng, PICTURE_SIZE) for _ in range(BATCH)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    encoder = train_start(arguments.steps, arguments.seed)
    weights = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    metadata = {"steps": arguments.steps, "seed": arguments.seed, "torch": torch.__version__}
    arguments.out.write_bytes(save(weights, {"start": json.dumps(metadata)}))


if __name__ == "__main__":
    main()
