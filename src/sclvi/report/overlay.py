"""The overlay: the picture with heat, numbered defect boxes and a verdict strip below it."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sclvi.data.regions import WHOLE, Regions
from sclvi.decision.inspection import Defect, Inspection
from sclvi.report.heat import COLOURS, FAINTEST, HOTTEST, lay_heat
from sclvi.report.picture import drawn_size, shown_channels, to_drawn_rgb

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; the last two outside

VERDICT_COLOURS = {"good": (0, 90, 156), "defective": (179, 71, 0)}  # blue and vermilion differ for every eye
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)
_GROUND = (32, 33, 36)  # beside pictures narrower than their strip
_LEAST_STRIP = 360  # px wide, so that the verdict can be read under the narrowest picture
_DASH = (6, 5)  # px, down and across, of the edges of regions; unlike, so that diagonals are dashed, too
_MOST_TAGS = 30  # numbers beyond this would only cover each other; the boxes are still drawn


def draw_overlay(picture: NDArray[np.generic], inspection: Inspection, regions: Regions = WHOLE) -> NDArray[np.uint8]:
    """Draw what the inspector saw.

    The part looks as it is where its scores are well below the pixel threshold; colours mean the same multiple of that
    threshold on every picture. Boxes are numbered in the order of `inspection.defects`, with their severity.

    Args:
        picture: H x W x C uint8, uint16 or float, in original size; the strip says which channels are shown if not all.
        inspection: of this picture.
        regions: of interest; dashed lines a pixel wide show their edges.

    Returns:
        h x w x 3 uint8 RGB: the picture at the upper left, `drawn_size(inspection.size)` large (longer side 512 to
        1600), the verdict strip below; wider than the picture only where that is narrower than the strip.

    Raises:
        ValueError: the picture has another size than the inspection says, or is no picture (see `to_drawn_rgb`).
    """
    if picture.shape[:2] != tuple(inspection.size):
        raise ValueError(f"picture of {picture.shape[:2]}, but its inspection is of {tuple(inspection.size)}")
    rgb = lay_heat(to_drawn_rgb(picture), inspection.anomaly_map, inspection.pixel_threshold)
    _draw_edges(rgb, regions)
    drawn = Image.fromarray(rgb)
    _draw_defects(drawn, inspection)
    shown = shown_channels(picture.shape[2]) if picture.ndim == 3 else ""
    strip = _strip(max(drawn.width, _LEAST_STRIP), _text_size(drawn.size), inspection, shown)
    canvas = Image.new("RGB", (strip.width, drawn.height + strip.height), _GROUND)
    canvas.paste(drawn, (0, 0))
    canvas.paste(strip, (0, drawn.height))
    return np.asarray(canvas).copy()


def number_text(value: float) -> str:
    """A score for people: four significant digits."""
    return f"{value:.4g}"


def _text_size(size: tuple[int, int]) -> int:
    return int(np.clip(max(size) / 30, 17, 40))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # comes with Pillow: the same letters on every machine


def _draw_edges(rgb: NDArray[np.uint8], regions: Regions) -> None:
    """Dashes of black and white, which show on every ground, along the edges of the regions of interest."""
    labels = regions.labels((rgb.shape[0], rgb.shape[1]))
    edges = np.zeros(labels.shape, bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    rows, columns = np.nonzero(edges)
    white = (rows // _DASH[0] + columns // _DASH[1]) % 2 == 0
    rgb[rows, columns] = np.where(white[:, None], _WHITE, _BLACK)


def _draw_defects(drawn: Image.Image, inspection: Inspection) -> None:
    draw = ImageDraw.Draw(drawn)
    line = max(1, round(max(drawn.size) / 500))
    frames = [_frame(defect, inspection.size, line) for defect in inspection.defects]
    for left, top, right, bottom in reversed(frames):  # the most severe on top
        draw.rectangle((left - line, top - line, right - 1 + line, bottom - 1 + line), outline=_BLACK, width=3 * line)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=_WHITE, width=line)
    taken: list[Rectangle] = []
    for number, defect in enumerate(inspection.defects[:_MOST_TAGS], 1):
        # the font that comes with Pillow has no multiplication sign
        taken.append(_draw_tag(draw, drawn.size, f"{number}: {defect.severity:.1f}x", number - 1, frames, taken))


def _frame(defect: Defect, size: tuple[int, int], line: int) -> Rectangle:
    """Outer rectangle of the white line, on the drawn picture: around the defect, so that it hides nothing of it."""
    height, width = drawn_size(size)
    down, across = height / size[0], width / size[1]
    box = defect.box
    margin = 2 * line  # white line and the inner black one
    return (
        max(0, round(box.x * across) - margin),
        max(0, round(box.y * down) - margin),
        min(width, round((box.x + box.width) * across) + margin),
        min(height, round((box.y + box.height) * down) + margin),
    )


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    text: str,
    index: int,
    frames: list[Rectangle],
    taken: list[Rectangle],
) -> Rectangle:
    """Write the number beside the box `frames[index]`, covering no other number and no box if there is room."""
    font = _font(round(_text_size(size) * 1.1))  # in the report pictures are seen at half their size
    width, height = _extent(draw, text, font)
    width, height = width + height // 2, round(height * 1.1)
    left, top, right, bottom = frames[index]
    corners = [(left, top - height), (left, bottom), (right - width, top - height), (right - width, bottom)]
    corners += [(right, top), (left - width, top), (right, bottom - height), (left - width, bottom - height)]
    inside = (min(max(left, 0), size[0] - width), min(max(top, 0), size[1] - height))
    places = [(x, y, x + width, y + height) for x, y in [*corners, inside]]
    fits = [
        place for place in places if place[0] >= 0 and place[1] >= 0 and place[2] <= size[0] and place[3] <= size[1]
    ]
    free = [place for place in fits if not any(_overlap(place, other) for other in taken)]
    clear = [place for place in free if not any(_overlap(place, frame) for frame in frames)]
    place = (clear or free or fits or places[-1:])[0]
    draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=_BLACK)
    draw.text(((place[0] + place[2]) / 2, (place[1] + place[3]) / 2), text, _WHITE, font, anchor="mm")
    return place


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _extent(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[int, int]:
    """(width, height) of a line of text; the height is the same for all texts of a font."""
    _, top, _, bottom = draw.textbbox((0, 0), "0gTx", font)
    return round(draw.textlength(text, font)), round(bottom + top)


def _strip(width: int, text_size: int, inspection: Inspection, shown: str) -> Image.Image:
    """Verdict as mark, word and colour, score and threshold, what is shown; heat's scale where there is room."""
    height = round(text_size * 2.1)
    strip = Image.new("RGB", (width, height), VERDICT_COLOURS[inspection.verdict])
    draw = ImageDraw.Draw(strip)
    word = inspection.verdict.upper()
    rest = f"score {number_text(inspection.score)} / threshold {number_text(inspection.threshold)}"
    if shown:
        rest += f"  ·  shows {shown}"
    gap = text_size
    while text_size > 8 and gap * 5 + draw.textlength(word + rest, _font(text_size)) > width:
        text_size -= 1
        gap = text_size
    font = _font(text_size)
    middle = height / 2
    _draw_mark(draw, gap * 0.7, middle, text_size * 0.8, inspection.verdict == "good")
    x = gap * 1.9
    x = _draw_bold(draw, x, middle, word, text_size) + gap * 0.8
    draw.text((x, middle), rest, _WHITE, font, anchor="lm")
    _draw_scale(strip, x + draw.textlength(rest, font) + 2 * gap, round(text_size * 0.75))
    return strip


def _draw_bold(draw: ImageDraw.ImageDraw, x: float, middle: float, word: str, text_size: int) -> float:
    """Write a word from x on and return where it ends; the font has one weight, a stroke makes it a bold one."""
    font = _font(text_size)
    stroke = max(1, text_size // 24)
    for letter in word:  # one by one, since a stroke alone would glue the letters together
        draw.text((x, middle), letter, _WHITE, font, anchor="lm", stroke_width=stroke, stroke_fill=_WHITE)
        x += draw.textlength(letter, font) + 1.5 * stroke
    return x


def _draw_mark(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, good: bool) -> None:
    """A tick or a cross of `side` px, its left middle at (x, y)."""
    pen = max(2, round(side / 6))
    half = side / 2
    if good:
        corners = [(x, y), (x + side * 0.35, y + half * 0.7), (x + side, y - half * 0.7)]
        draw.line(corners, _WHITE, pen, joint="curve")
    else:
        draw.line([(x + side * 0.1, y - half * 0.8), (x + side * 0.9, y + half * 0.8)], _WHITE, pen)
        draw.line([(x + side * 0.1, y + half * 0.8), (x + side * 0.9, y - half * 0.8)], _WHITE, pen)


def _draw_scale(strip: Image.Image, free_from: float, text_size: int) -> None:
    """The colours with the multiples of the pixel threshold they stand for, at the right end if they fit there."""
    draw = ImageDraw.Draw(strip)
    font = _font(text_size)
    low, high = f"{FAINTEST:g}", f"{HOTTEST:g} x pixel threshold"
    length = text_size * 7
    gap = text_size // 2
    right = strip.width - text_size - round(draw.textlength(high, font)) - gap
    left = right - length
    if left - gap - draw.textlength(low, font) < free_from:
        return
    thick = max(4, text_size // 2)
    top = (strip.height - thick) // 2
    levels = np.linspace(0, len(COLOURS) - 1, length).astype(np.intp)
    bar = np.broadcast_to(COLOURS[levels].astype(np.uint8), (thick, length, 3))
    strip.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, top))
    draw.rectangle((left - 1, top - 1, right, top + thick), outline=_WHITE)
    one = left + round(length * (1 - FAINTEST) / (HOTTEST - FAINTEST))
    draw.line([(one, top - thick // 2), (one, top + thick + thick // 2)], _WHITE, 2)
    draw.text((left - gap, strip.height / 2), low, _WHITE, font, anchor="rm")
    draw.text((right + gap, strip.height / 2), high, _WHITE, font, anchor="lm")
