"""The object of the demo: a turned gear with five holes, a keyway and engraved lettering, on a rubber mat."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.demo.fields import (
    COLUMNS,
    ROWS,
    SIZE,
    Colours,
    Field,
    Points,
    area,
    blur,
    light,
    shifted,
    slopes,
    smooth,
    stroke,
    wander,
)
from sclvi.demo.flaws import Layer, fibre, lay, spill

_TEETH = 26
_TIP, _ROOT, _RIM, _HUB, _BORE = 108.0, 94.0, 78.0, 36.0, 19.0  # radii, px
_HOLES, _HOLE_CIRCLE, _HOLE = 5, 57.0, 10.0  # number, radius of their circle, radius of each
_KEYWAY = 5.0  # half width and depth, px
_STEEL = np.array([0.60, 0.61, 0.63], np.float32)
_MAT = np.array([0.17, 0.19, 0.22], np.float32)


@dataclass(frozen=True)
class Gear:
    """One gear before the camera."""

    centre: tuple[float, float]  # (x, y), px
    turn: float  # radians
    scale: float
    outline: Points  # P x 2, (radius, angle) of the toothed edge, before the pose
    rings: NDArray[np.float32]  # brightness of the turning marks by radius, two a px
    cast: Field  # roughness of the unmachined web, mean 0
    patina: Field  # slow changes of the steel's tone, mean 0
    mat: Field  # roughness of the mat, mean 0
    light: Field
    lamp: float  # radians, where the light comes from
    gloss: float  # strength of the highlights
    relief: Field | None = None  # px, added to the height of the surface
    bright: Field | None = None  # added to the brightness of the steel
    layers: tuple[Layer, ...] = ()


def sample_gear(rng: np.random.Generator) -> Gear:
    """A good gear."""
    x, y = rng.normal(SIZE / 2 - 0.5, 2.5, 2)
    return Gear(
        centre=(float(x), float(y)),
        turn=float(np.deg2rad(rng.normal(0, 2.0))),
        scale=float(rng.normal(1, 0.006)),
        outline=_toothed_edge(),
        rings=_sample_rings(rng),
        cast=0.6 * smooth(rng, 128) + 0.4 * smooth(rng, 60),
        patina=0.7 * smooth(rng, 4) + 0.3 * smooth(rng, 12),
        mat=0.7 * smooth(rng, 200) + 0.3 * smooth(rng, 24),
        light=light(rng),
        lamp=float(np.deg2rad(rng.normal(228, 5))),
        gloss=float(rng.uniform(0.8, 1.2)),
    )


def _toothed_edge() -> Points:
    """(radius, angle) of the corners of all teeth: root, flank, tip, flank."""
    pitch = 2 * np.pi / _TEETH
    shares = np.array(
        [-0.5, -0.29, -0.24, -0.14, -0.10, 0.10, 0.14, 0.24, 0.29]
    )  # of a pitch; the flank is slightly curved
    radii = np.array([_ROOT, _ROOT, _ROOT + 2, _TIP - 2, _TIP, _TIP, _TIP - 2, _ROOT + 2, _ROOT])
    angles = (np.arange(_TEETH)[:, None] + shares) * pitch
    return np.stack([np.tile(radii, _TEETH), angles.ravel()], -1)


def _sample_rings(rng: np.random.Generator) -> NDArray[np.float32]:
    fine = rng.standard_normal(2 * SIZE)
    broad = np.interp(np.arange(2 * SIZE), np.arange(0, 2 * SIZE, 9), rng.standard_normal(57))
    return (0.6 * fine + 0.5 * broad).astype(np.float32)


def _place(gear: Gear, radius: NDArray[np.float64], angle: NDArray[np.float64]) -> Points:
    """Polar coordinates of the gear -> P x 2 pixels (x, y)."""
    reach, turned = radius * gear.scale, angle + gear.turn
    return np.stack([gear.centre[0] + reach * np.cos(turned), gear.centre[1] + reach * np.sin(turned)], -1)


def _circle(gear: Gear, radius: float, middle: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Outline of a circle around (radius, angle) `middle` of the gear."""
    around = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = (
        middle[0] * np.cos(middle[1]) + radius * np.cos(around),
        middle[0] * np.sin(middle[1]) + radius * np.sin(around),
    )
    return _place(gear, np.hypot(x, y), np.arctan2(y, x))


def _bore(gear: Gear) -> Points:
    """Outline of the bore with its keyway at the top."""
    around = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    x, y = _BORE * np.cos(around), _BORE * np.sin(around)
    key = (np.abs(x) < _KEYWAY) & (y < 0)
    y = np.where(key, -_BORE - _KEYWAY, y)
    return _place(gear, np.hypot(x, y), np.arctan2(y, x))


def _body(gear: Gear) -> Field:
    """Cover of the gear seen from above, holes left out."""
    holes = [_circle(gear, _HOLE, (_HOLE_CIRCLE, (hole + 0.25) * 2 * np.pi / _HOLES)) for hole in range(_HOLES)]
    return area([_place(gear, *gear.outline.T), _bore(gear), *holes])


def _lettering(gear: Gear) -> Field:
    """Cover of the engraved part number on the rim and the hub, one letter after the other along the circle."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    for text, radius, middle, size in (("SCL-VI 26/M4", 86.0, -np.pi / 2, 0.36), ("C45", 27.5, np.pi / 2, 0.32)):
        step = 20.5 * size / radius  # angle from letter to letter
        for place, letter in enumerate(text):
            angle = middle + (place - (len(text) - 1) / 2) * step
            _engrave(canvas, gear, letter, radius, angle, size)
    return canvas


def _engrave(canvas: Field, gear: Gear, letter: str, radius: float, angle: float, size: float) -> None:
    """Add one letter to the canvas, its foot towards the middle of the gear."""
    stamp = np.zeros((64, 64), np.uint8)
    cv2.putText(stamp, letter, (20, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3, cv2.LINE_AA)
    (x, y), lean = _place(gear, np.array([radius]), np.array([angle]))[0], angle + gear.turn + np.pi / 2
    shrink = size * gear.scale
    cos, sin = shrink * np.cos(lean), shrink * np.sin(lean)
    # The middle of the stamp, (30, 31), goes to (x, y); only the few pixels around it are touched.
    left, top = int(x) - 12, int(y) - 12
    move = np.array([[cos, -sin, x - left - cos * 30 + sin * 31], [sin, cos, y - top - sin * 30 - cos * 31]])
    patch = cv2.warpAffine(cv2.GaussianBlur(stamp, (0, 0), 0.9), move, (24, 24), flags=cv2.INTER_LINEAR)
    window = canvas[top : top + 24, left : left + 24]
    np.maximum(window, patch.astype(np.float32) / 255, out=window)


def render_gear(gear: Gear) -> Colours:
    """The gear as an ideal camera sees it; SIZE x SIZE x 3 float32, 0..1."""
    body = _body(gear)
    web = area([_circle(gear, _RIM), _circle(gear, _HUB)])
    height = 3.2 * blur(body, 1.1) - 3.0 * blur(web, 1.5) - 1.1 * _lettering(gear)
    if gear.relief is not None:
        height = height + gear.relief * body
    steel = _steel(gear, web, height)
    if gear.bright is not None:
        steel = steel + (gear.bright * body)[..., None]
    scene = _mat(gear, body) * (1 - body[..., None]) + steel * body[..., None]
    scene = lay(scene, gear.layers) * gear.light[..., None]
    return blur(np.clip(scene, 0, 1).astype(np.float32), 0.6)


def _steel(gear: Gear, web: Field, height: Field) -> Colours:
    """Colour of the metal, as if it filled the picture."""
    x, y = COLUMNS - np.float32(gear.centre[0]), ROWS - np.float32(gear.centre[1])
    radius = np.sqrt(x * x + y * y) + 1e-3
    marks = gear.rings[np.minimum(radius * (2 / gear.scale), 2 * SIZE - 1).astype(np.int32)]
    # Turning marks throw the light back in two opposite fans.
    sunward = (x * math.cos(gear.lamp) + y * math.sin(gear.lamp)) / radius  # cosine of the angle to the lamp
    fan = sunward * sunward
    turned = 0.86 + gear.gloss * (0.5 * fan * fan * fan - 0.10) + marks * (0.03 + 0.055 * fan)
    rough = 0.66 + 0.05 * gear.cast + 0.05 * gear.gloss * sunward
    tone = turned * (1 - web) + rough * web + 0.02 * gear.patina
    right, down = slopes(height)
    to_lamp = -(right * math.cos(gear.lamp) + down * math.sin(gear.lamp))
    steep = np.sqrt(1 + right**2 + down**2)
    facing = (1 + 0.75 * to_lamp) / steep
    glint = np.clip(to_lamp / steep - 0.45, 0, 1) * gear.gloss
    hollow = np.clip(blur(height, 4) - height, 0, 3) * 0.10  # corners see less of the lamp
    bright = tone * np.clip(facing, 0.15, 1.5) * (1 - hollow) + 0.9 * glint
    return np.asarray(bright[..., None] * _STEEL, np.float32)


def _mat(gear: Gear, body: Field) -> Colours:
    """Colour of the mat with the soft shadow of the gear."""
    away = np.array([-math.cos(gear.lamp), -math.sin(gear.lamp)])
    shadow = 0.55 * blur(shifted(body, *(away * 6)), 3.5) + 0.25 * blur(body, 9)
    return np.asarray(((1 + 0.10 * gear.mat) * (1 - shadow))[..., None] * _MAT, np.float32)


def broken_tooth(gear: Gear, rng: np.random.Generator) -> Gear:
    """One or two neighbouring teeth broken off, from a chipped corner to the whole tooth."""
    corners = len(gear.outline) // _TEETH
    first, teeth = int(rng.integers(_TEETH)), int(rng.choice([1, 1, 2]))
    outline = gear.outline.copy()
    rows = np.arange(first * corners, (first + teeth) * corners) % len(outline)
    left = rng.uniform(0, 0.75)  # share of the tooth that stays
    ragged = (
        _ROOT + (_TIP - _ROOT) * left + rng.normal(0, 1.3, rows.size) + np.linspace(-2, 2, rows.size) * rng.normal()
    )
    outline[rows, 0] = np.minimum(outline[rows, 0], ragged)
    return replace(gear, outline=outline)


def dent(gear: Gear, rng: np.random.Generator) -> Gear:
    """A blow that left a hollow with a raised lip."""
    x, y = _on_metal(gear, rng)
    size, turn, squeeze = rng.uniform(4, 9), rng.uniform(0, np.pi), rng.uniform(0.6, 1)
    along = (COLUMNS - x) * math.cos(turn) + (ROWS - y) * math.sin(turn)
    aside = ((ROWS - y) * math.cos(turn) - (COLUMNS - x) * math.sin(turn)) / squeeze
    distance = np.hypot(along, aside) / size + 0.08 * smooth(rng, 40)
    hollow = -np.exp(-(distance**2) * 2) + 0.35 * np.exp(-(((distance - 1.15) / 0.3) ** 2))
    return replace(gear, relief=(hollow * size * rng.uniform(0.25, 0.7)).astype(np.float32))


def stray_fibre(gear: Gear, rng: np.random.Generator) -> Gear:
    """A foreign fibre on the part."""
    return replace(gear, layers=(fibre(rng, _on_metal(gear, rng)),))


def scratch(gear: Gear, rng: np.random.Generator) -> Gear:
    """A scratch or a bundle of them: bare metal beside a dark groove."""
    start, length = _on_metal(gear, rng), rng.uniform(25, 110)
    path = wander(rng, start, length, rng.uniform(0.0, 0.012))
    groove = np.zeros_like(gear.cast)
    for _ in range(rng.integers(1, 4)):
        beside = path + rng.normal(0, 1.5, 2)
        groove = np.maximum(groove, stroke(beside, rng.uniform(0.4, 1.5)))
    uneven = groove * np.clip(0.8 + 0.35 * smooth(rng, 30), 0.2, 1).astype(np.float32)
    depth, shine = rng.uniform(0.5, 1.4), rng.uniform(-0.05, 0.3)
    return replace(gear, relief=-uneven * np.float32(depth), bright=uneven * np.float32(shine))


def stain(gear: Gear, rng: np.random.Generator) -> Gear:
    """Oil or rust on the metal."""
    layer = spill(rng, _on_metal(gear, rng))
    return replace(gear, layers=(replace(layer, cover=layer.cover * _body(gear)),))


def _on_metal(gear: Gear, rng: np.random.Generator) -> tuple[float, float]:
    """A pixel (x, y) on the gear between hub and teeth."""
    radius, angle = rng.uniform(_HUB - 8, _ROOT - 6), rng.uniform(0, 2 * np.pi)
    x, y = _place(gear, np.array([radius]), np.array([angle]))[0]
    return float(x), float(y)
