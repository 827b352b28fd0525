"""How a part lies in its picture: its contrast with the background, its centre, its angle, and maps between frames."""

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Outside = Literal["edge", "mirror", "zero"]
Affine = NDArray[np.float64]  # 2 x 3: (x, y, 1) in px of one frame -> (x, y) in px of another; pixel centres are whole

SIDE = 256  # px, long side of a contrast picture: on a part that fills it, a pixel is a quarter of a degree
_ANGLES, _RADII = 512, 64  # of a polar picture
_BLUR = 1.5  # px, against noise
_BORDERS = {"edge": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT_101, "zero": cv2.BORDER_CONSTANT}
_FINE_SIDE = 128  # px, long side of the pictures that a pose is made exact on; 256 px are no more exact
_FINE_STEPS = 10  # at most; three are mostly enough
_FINE_MOST = 0.08  # of the long side, that any corner may move: farther is another pose, and not trusted
_SPECK = 0.02  # of the foreground: less is dirt, not a piece of the part


def contrast_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the contrast picture of a picture of (H, W)."""
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def contrast_picture(image: Tensor) -> Array:
    """How far each place differs from the background, which is what most of the picture's edge shows.

    C x H x W float -> h x w float32 >= 0, the long side SIDE px, in units of the image; the largest of all channels.
    """
    small = contrast_size((image.shape[1], image.shape[2]))
    stack = np.stack([cv2.resize(one, small[::-1], interpolation=cv2.INTER_AREA) for one in image.numpy()])
    edge = np.concatenate([stack[:, 0], stack[:, -1], stack[:, :, 0], stack[:, :, -1]], axis=1)
    differences = np.abs(stack - np.median(edge, axis=1)[:, None, None]).max(0)
    return np.asarray(cv2.GaussianBlur(differences, (0, 0), _BLUR), np.float32)


def foreground(contrast: Array) -> Mask:
    """Where the part is: above Otsu's threshold, without specks; h x w -> h x w, true somewhere."""
    steps = np.round(contrast * (255 / max(float(contrast.max()), 1e-12))).astype(np.uint8)
    _, mask = cv2.threshold(steps, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if not mask.any():
        return np.ones(contrast.shape, bool)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask)
    areas = statistics[:, cv2.CC_STAT_AREA]
    pieces = areas >= min(_SPECK * areas[1:].sum(), areas[1:].max())  # of a weave, every piece is a speck
    pieces[0] = False
    return np.asarray(pieces[labels])


def centre_of(mask: Mask) -> tuple[float, float]:
    """(x, y) of the middle of the largest connected piece."""
    _, _, statistics, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    x, y = centres[1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())]
    return float(x), float(y)


def unroll(contrast: Array, centre: tuple[float, float]) -> Array:
    """The contrast picture around a centre, by angle and radius; ANGLES x RADII float32, mean 0 and length 1.

    A turn of the part about the centre is a shift along the first axis. Circles weigh by the root of their length, so
    that every place of the part counts alike.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
    polar = cv2.warpPolar(contrast, (_RADII, _ANGLES), centre, min(contrast.shape) / 2, flags)
    polar = (polar - polar.mean()) * np.sqrt(np.arange(_RADII, dtype=np.float32) + 0.5)
    return np.asarray(polar / max(float(np.linalg.norm(polar)), 1e-12), np.float32)


def turn_between(polar: Array, template: Array) -> float:
    """Radians by which a part is turned against the template: the best of all shifts, to parts of a step."""
    spectrum = np.fft.rfft(polar, axis=0) * np.fft.rfft(template, axis=0).conj()
    likeness = np.fft.irfft(spectrum.sum(1), n=_ANGLES)
    best = int(likeness.argmax())
    before, here, after = likeness[best - 1], likeness[best], likeness[(best + 1) % _ANGLES]
    bend = before - 2 * here + after
    between = 0.5 * (before - after) / bend if bend < 0 else 0.0  # top of the parabola through the three
    return float((best + between) * 2 * np.pi / _ANGLES)


def fine_picture(contrast: Array) -> Array:
    """A contrast picture reduced to what `make_exact` compares."""
    scale = _FINE_SIDE / SIDE
    height, width = (max(1, round(scale * side)) for side in contrast.shape)
    return np.asarray(cv2.resize(contrast, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def make_exact(there: Affine, contrast: Array, mean: Array, may_turn: bool) -> Affine:
    """Moves a part a little further, and turns it where it `may_turn`, so that it lies as parts do on the mean.

    The middle of the foreground, about which parts are turned, moves with a broken tooth or a stain that is dark as the
    background; the whole picture does not. By OpenCV's ECC (Evangelidis and Psarakis 2008).

    Args:
        there: from the contrast picture to the frame that parts lie alike in, of the same (h, w).
        mean: `fine_picture` of good parts that lie alike, their mean.

    Returns:
        `there` itself where no pose nearby is better.
    """
    fine = fine_picture(contrast)
    reduced = scaling(contrast.shape, fine.shape)
    height, width = fine.shape
    turned = cv2.warpAffine(fine, chain(inverse(reduced), there, reduced), (width, height))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _FINE_STEPS, 1e-4)
    try:  # from the turned picture: ECC starts from no turn of a right angle or more
        motion = cv2.MOTION_EUCLIDEAN if may_turn else cv2.MOTION_TRANSLATION
        _, back = cv2.findTransformECC(mean, turned, np.eye(2, 3, dtype=np.float32), motion, criteria)
    except cv2.error:  # it does not converge, as where nothing is to be seen
        return there
    further = inverse(back.astype(np.float64))
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    moved = np.abs(further @ corners - corners[:2]).max()
    return chain(there, reduced, further, inverse(reduced)) if moved <= _FINE_MOST * _FINE_SIDE else there


def shift_back(polar: Array, turn: float) -> Array:
    """A polar picture as if the part had not been turned."""
    return np.roll(polar, -round(turn * _ANGLES / (2 * np.pi)), axis=0)


def turning(centre: tuple[float, float], turn: float, shape: tuple[int, ...]) -> Affine:
    """Turns back a part about its centre and brings that to the middle of a frame of the same (h, w)."""
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    return np.column_stack([rotation, middle - rotation @ centre])


def scaling(source: tuple[float, ...], target: tuple[float, ...]) -> Affine:
    """From the pixels of a picture of (h, w) to those of the same picture at another size."""
    x, y = target[1] / source[1], target[0] / source[0]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def chain(*maps: Affine) -> Affine:
    """The maps one after the other, the first first."""
    whole = np.eye(3)
    for one in maps:
        whole = np.vstack([one, [0, 0, 1]]) @ whole
    return whole[:2]


def inverse(one: Affine) -> Affine:
    return np.asarray(cv2.invertAffineTransform(one), np.float64)


def warp(image: Tensor, there: Affine, size: tuple[int, int], outside: Outside) -> Tensor:
    """A picture drawn in another frame.

    Args:
        image: C x H x W float32.
        there: from its pixels to those of the frame.
        size: (h, w) of the frame.
        outside: what is drawn outside the picture: its nearest pixel, the picture mirrored at its edge, or 0.

    Returns:
        C x h x w float32.
    """
    drawn = [
        cv2.warpAffine(channel, there, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=_BORDERS[outside])
        for channel in image.numpy()
    ]
    return torch.from_numpy(np.stack(drawn))
