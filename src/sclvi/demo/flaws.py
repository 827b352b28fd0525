"""What may lie on a surface and should not: a spill or a stray fibre, on cloth as on metal."""

from dataclasses import dataclass

import numpy as np

from sclvi.demo.fields import Colours, Field, blotch, blur, shifted, stroke, wander

_FIBRES = ((0.72, 0.10, 0.12), (0.92, 0.90, 0.84), (0.06, 0.06, 0.07), (0.10, 0.42, 0.22), (0.80, 0.62, 0.16))
_SPILLS = ((0.45, 0.34, 0.20), (0.30, 0.30, 0.33), (0.62, 0.38, 0.22), (0.70, 0.66, 0.40))


@dataclass(frozen=True)
class Layer:
    """Something laid over a scene."""

    colour: tuple[float, float, float]  # red, green, blue, 0..1
    cover: Field  # 0..1, how far it hides or tints what lies below
    shade: Field  # 0..1, how much light it takes from what lies below
    tints: bool  # multiplies the colour below, as a liquid does, instead of replacing it


def spill(rng: np.random.Generator, centre: tuple[float, float]) -> Layer:
    """A stain around `centre` (x, y), from a faint damp mark to a plain blotch."""
    cover = blotch(rng, centre, rng.uniform(12, 32)) * np.float32(rng.uniform(0.3, 0.9))
    return Layer(_SPILLS[rng.integers(len(_SPILLS))], cover, np.zeros_like(cover), tints=True)


def fibre(rng: np.random.Generator, centre: tuple[float, float]) -> Layer:
    """A hair or thread through `centre` (x, y), with the shadow of something that lies loosely."""
    width = rng.uniform(0.7, 2.2)
    cover = stroke(wander(rng, centre, rng.uniform(35, 130), rng.uniform(0.02, 0.09)), width)
    shade = blur(shifted(cover, 1.5, 2.0), 1.2) * np.float32(0.45)
    return Layer(_FIBRES[rng.integers(len(_FIBRES))], cover * np.float32(0.92), shade, tints=False)


def lay(scene: Colours, layers: tuple[Layer, ...]) -> Colours:
    """The scene with the layers on it, first one lowest; SIZE x SIZE x 3 float32 -> the same."""
    for layer in layers:
        scene = scene * (1 - layer.shade[..., None])
        colour = np.array(layer.colour, np.float32)
        over = scene * colour if layer.tints else np.broadcast_to(colour, scene.shape)
        scene = scene + (over - scene) * layer.cover[..., None]
    return scene
