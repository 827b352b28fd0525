"""The texture of the demo: a twill cloth of dark warp and light weft, with yarns of uneven thickness and tone."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sclvi.demo.fields import COLUMNS, ROWS, SIZE, Colours, Field, area, blur, light, slopes, smooth, wander
from sclvi.demo.flaws import Layer, fibre, lay, spill

_PITCH = 8.0  # px from yarn to yarn
_YARNS = 64  # more than a picture shows, so that a turned and shifted cloth still has one everywhere
_WARP = np.array([0.20, 0.29, 0.44], np.float32)
_WEFT = np.array([0.80, 0.76, 0.67], np.float32)
_BACKING = np.array([0.07, 0.07, 0.075], np.float32)  # what shows through a hole
_FRAY = np.array([0.70, 0.70, 0.68], np.float32)  # loose fibres at a cut
_HAIR = (0.78, 0.76, 0.72)  # loosely spun fibres of a thick place
_DEPTH = -1.2  # height where no yarn is, in half yarns
_MARGIN = 28  # px between the middle of a defect and the border


@dataclass(frozen=True)
class Yarns:
    """The yarns of one direction."""

    width: Field  # thickness as a share of the pitch
    tone: NDArray[np.float32]  # _YARNS, brightness of each, about 1
    twist: NDArray[np.float32]  # _YARNS, where the twist of each begins, radians
    fuzz: Field  # brightness of the single fibres, mean 0


@dataclass(frozen=True)
class Weave:
    """One piece of cloth before the camera."""

    across: Field  # number of the warp yarn at each pixel, fractions within the yarn
    down: Field  # the same for the weft
    warp: Yarns
    weft: Yarns
    light: Field
    lamp: tuple[float, float]  # direction the light comes from, (x, y)
    warp_lift: Field | float = 0.0  # added to the height of the warp, half yarns
    weft_lift: Field | float = 0.0  # the same for the weft
    gash: Field | None = None  # 0..1, where all yarns are cut
    layers: tuple[Layer, ...] = ()


def sample_weave(rng: np.random.Generator) -> Weave:
    """A good piece of cloth."""
    turn = math.radians(rng.normal(0, 1.0))
    x, y = COLUMNS + np.float32(rng.uniform(0, 4 * _PITCH)), ROWS + np.float32(rng.uniform(0, 4 * _PITCH))
    right = x * math.cos(turn) + y * math.sin(turn) + 1.4 * smooth(rng, 5) + 0.55 * smooth(rng, 24, 32)
    down = y * math.cos(turn) - x * math.sin(turn) + 1.4 * smooth(rng, 5) + 0.55 * smooth(rng, 32, 24)
    stretch = [_PITCH * rng.normal(1, 0.012) for _ in range(2)]
    angle = math.radians(rng.uniform(200, 235))
    return Weave(
        across=np.asarray(right / stretch[0] + 12, np.float32),
        down=np.asarray(down / stretch[1] + 12, np.float32),
        warp=_sample_yarns(rng, upright=True),
        weft=_sample_yarns(rng, upright=False),
        light=light(rng),
        lamp=(math.cos(angle), math.sin(angle)),
    )


def _sample_yarns(rng: np.random.Generator, upright: bool) -> Yarns:
    rows, columns = (
        (10, 40) if upright else (40, 10)
    )  # a yarn changes along its length more slowly than from one to the next
    fuzz = smooth(rng, 60, SIZE) if upright else smooth(rng, SIZE, 60)
    return Yarns(
        width=np.clip(0.90 + 0.05 * smooth(rng, rows, columns), 0.74, 1),
        tone=rng.normal(1, 0.055, _YARNS).astype(np.float32),
        twist=rng.uniform(0, 2 * np.pi, _YARNS).astype(np.float32),
        fuzz=fuzz,
    )


def render_weave(cloth: Weave) -> Colours:
    """The cloth as an ideal camera sees it; SIZE x SIZE x 3 float32, 0..1."""
    warp_height, warp_tone = _lay_yarns(cloth.across, cloth.down, cloth.warp, side=1)
    weft_height, weft_tone = _lay_yarns(cloth.down, cloth.across, cloth.weft, side=-1)
    warp_height, weft_height = warp_height + cloth.warp_lift, weft_height + cloth.weft_lift
    above = 1 / (1 + np.exp(-9 * (warp_height - weft_height)))
    height = blur(np.maximum(warp_height, weft_height), 0.6)
    colour = (warp_tone * above)[..., None] * _WARP + (weft_tone * (1 - above))[..., None] * _WEFT
    rise_right, rise_down = slopes(height * 2.2)
    facing = (1 - rise_right * cloth.lamp[0] * 0.8 - rise_down * cloth.lamp[1] * 0.8) / np.sqrt(
        1 + rise_right**2 + rise_down**2
    )
    depth = np.clip((height - _DEPTH) / 1.7, 0.05, 1)  # little light reaches the gaps between yarns
    scene = colour * (np.clip(0.42 + 0.66 * facing, 0.1, 1.4) * depth)[..., None]
    if cloth.gash is not None:
        lips = np.clip(2.2 * blur(cloth.gash, 1.8) - cloth.gash, 0, 1) * (0.55 + 0.3 * cloth.warp.fuzz)
        scene = scene + (np.clip(lips, 0, 0.8) * (1 - cloth.gash))[..., None] * (_FRAY - scene)
        scene = scene + (_BACKING - scene) * cloth.gash[..., None]
    scene = lay(scene, cloth.layers) * cloth.light[..., None]
    return blur(np.clip(scene, 0, 1).astype(np.float32), 0.65)


def _lay_yarns(across: Field, along: Field, yarns: Yarns, side: int) -> tuple[Field, Field]:
    """Height (half yarns, about -1.2..1.3) and brightness of the yarns of one direction; `side` 1 warp, -1 weft."""
    number = np.floor(across)
    offset = (across - number - 0.5) / (0.5 * yarns.width)
    round_top = np.sqrt(np.clip(1 - offset**2, 0, 1))
    over = np.clip(1.5 * np.sin(np.pi / 2 * (number + along)), -1, 1) * side  # two over, two under: twill
    height = np.where(np.abs(offset) < 1, 0.85 * round_top + 0.45 * over, _DEPTH)
    index = number.astype(np.intp) % _YARNS
    twist = np.sin(2 * np.pi * (2.1 * along + 0.5 * side * offset) + yarns.twist[index])
    tone = yarns.tone[index] * (1 + 0.07 * twist + 0.10 * yarns.fuzz)
    return height.astype(np.float32), tone.astype(np.float32)


def cut(cloth: Weave, rng: np.random.Generator) -> Weave:
    """A slash through the yarns that gapes in the middle, its lips frayed and pulled apart unevenly."""
    length = rng.uniform(22, 90)
    path = wander(rng, _somewhere(rng), length, 0.015)
    along = np.linspace(0, np.pi, len(path))
    aside = np.gradient(path, axis=0)[:, ::-1] * (-0.5, 0.5)  # half a px to the left; the points are 2 px apart
    width = min(rng.uniform(1.2, 4.5), length / 9)
    lips = [aside * (width * np.sin(along) * rng.uniform(0.5, 1.3, len(path)))[:, None] for _ in range(2)]
    hole = area([np.concatenate([path + lips[0], (path - lips[1])[::-1]])])
    threads = 0.8 * np.clip(smooth(rng, 90, 60) - 0.6, 0, 1)  # single fibres still span the hole
    return replace(cloth, gash=np.clip(blur(hole, 0.6) * 1.2 - threads, 0, 1).astype(np.float32))


def stray_fibre(cloth: Weave, rng: np.random.Generator) -> Weave:
    """A foreign fibre on the cloth."""
    return replace(cloth, layers=(fibre(rng, _somewhere(rng)),))


def missing_thread(cloth: Weave, rng: np.random.Generator) -> Weave:
    """One warp yarn, or two, broken out over part of the picture; the weft sags into the gap."""
    x, y = _somewhere(rng)
    number = np.floor(cloth.across) - np.floor(cloth.across[int(y), int(x)])
    gone = (number >= 0) & (number < rng.choice([1, 1, 2]))
    reach = rng.uniform(30, 150) / 2
    bare = gone * np.clip((reach - np.abs(ROWS - y)) / 3, 0, 1)
    return replace(cloth, warp_lift=3 * _DEPTH * bare, weft_lift=-rng.uniform(0.2, 0.8) * blur(bare, 1.0))


def slub(cloth: Weave, rng: np.random.Generator) -> Weave:
    """A thick place in one yarn, which lies on top and pushes its neighbours aside."""
    x, y = _somewhere(rng)
    upright = rng.random() < 0.5
    numbers = cloth.across if upright else cloth.down
    offset = numbers - (math.floor(numbers[int(y), int(x)]) + 0.5)
    reach = rng.uniform(12, 36)
    away = ((ROWS - y) if upright else (COLUMNS - x)) / reach
    thick = np.exp(-(away**4))
    squeezed = numbers - offset * rng.uniform(0.25, 0.45) * thick * np.exp(-((offset / 1.1) ** 2))
    core = thick * np.clip(3 - 6 * np.abs(squeezed - numbers + offset), 0, 1)  # the thick yarn itself
    lift = rng.uniform(0.8, 1.6) * core
    hairs = Layer(_HAIR, (rng.uniform(0.05, 0.22) * core).astype(np.float32), np.zeros_like(numbers), tints=False)
    if upright:
        return replace(cloth, across=squeezed, warp_lift=lift, layers=(hairs,))
    return replace(cloth, down=squeezed, weft_lift=lift, layers=(hairs,))


def stain(cloth: Weave, rng: np.random.Generator) -> Weave:
    """A spill soaked into the cloth."""
    return replace(cloth, layers=(spill(rng, _somewhere(rng)),))


def _somewhere(rng: np.random.Generator) -> tuple[float, float]:
    x, y = rng.uniform(_MARGIN, SIZE - _MARGIN, 2)
    return float(x), float(y)
