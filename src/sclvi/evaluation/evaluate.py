"""How good a model is on labelled pictures; the model never sees the labels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sclvi.data.arrays import full_scale
from sclvi.data.layouts import Item, find_layout, missing_masks
from sclvi.data.reading import read_picture
from sclvi.data.shape import have_one_shape
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.evaluation.metrics import evaluate_scores
from sclvi.memory_use import peak_memory_mib
from sclvi.model import Model
from sclvi.progress import Progress, silent, track

_LOSSY = (".jpg", ".jpeg")
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Figures (fractions of 1, None where undefined) and what they were made from."""

    category: str
    figures: Figures
    good: int
    defective: int


def evaluate(
    model: Model, category: str | Path, progress: Progress = silent, on_skip: OnSkip | None = None
) -> Evaluation:
    """Inspect the test pictures of a category and compare with its labels and masks.

    Pixel figures are taken at the model's working size; a mask is brought to it by area, cut at one half. A defective
    picture without its mask counts for the image figures only. Of a model with tiles there are pixel figures where all
    pictures have one size.

    Raises:
        SclviError: no test pictures; or a bad picture or missing mask without `on_skip`.
    """
    name, labelled = labelled_items(category, on_skip)
    items = {str(item.path): item for item in labelled}
    started = time.perf_counter()
    inspecting = model.inspect(list(items), on_skip)
    inspections = list(track(inspecting, "inspecting", len(items), progress))
    seconds = time.perf_counter() - started
    peak = peak_memory_mib()  # before the figures are made, which is no part of inspecting
    kept = [items[inspection.image] for inspection in inspections]
    scores = [inspection.score for inspection in inspections]
    sizes = [inspection.size for inspection in inspections]
    figures = compare(kept, scores, [inspection.anomaly_map for inspection in inspections], sizes, on_skip)
    figures["images_per_second"] = len(inspections) / seconds
    figures["peak_memory_mib"] = peak
    defective = sum(_is_defective(item) for item in kept)
    return Evaluation(name, figures, len(kept) - defective, defective)


def labelled_items(category: str | Path, on_skip: OnSkip | None = None) -> tuple[str, list[Item]]:
    """Name and labelled test pictures of a category; errors as in `evaluate`."""
    layout = find_layout(Path(category))
    if not layout.test:
        raise SclviError(f"{category}: no test pictures; evaluation needs a category with test/ and labels")
    for mask in missing_masks(layout):
        error = SclviError(f"{mask}: mask is missing; its picture is left out of the pixel figures")
        leave_out(str(mask), error, on_skip)
    items = [item for item in layout.test if item.defect]
    if not items:
        raise SclviError(f"{category}: test pictures have no labels")
    return layout.name, items


def compare(
    items: Sequence[Item],
    scores: Sequence[float],
    maps: Sequence[NDArray[np.float32]],
    sizes: Sequence[tuple[int, int]],
    on_skip: OnSkip | None = None,
) -> Figures:
    """The metrics of scores and maps (H x W each, at one size) against the labels and masks of the items.

    The picture of a mask that cannot be read, or is of another shape than the picture, is left out of the pixel
    figures, as of one that is missing; without `on_skip` the error is raised.

    Args:
        sizes: (height, width) of the pictures, px.
    """
    labels = np.array([_is_defective(item) for item in items])
    with_truth = [place for place, item in enumerate(items) if item.mask is not None or not _is_defective(item)]
    if not any(item.mask is not None for item in items) or len({one.shape for one in maps}) > 1:
        return cast(Figures, evaluate_scores(labels, scores, None, None))
    size = (maps[0].shape[0], maps[0].shape[1])
    masks, seen = [], []
    for place in with_truth:
        try:
            masks.append(_read_mask(items[place], sizes[place], size))
        except SclviError as error:
            leave_out(str(items[place].mask), error, on_skip)
            continue
        seen.append(maps[place])
    truth = (np.stack(masks), np.stack(seen)) if seen else (None, None)
    return cast(Figures, evaluate_scores(labels, scores, *truth))


def _is_defective(item: Item) -> bool:
    return item.defect != "good"


def _read_mask(item: Item, of_picture: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """H x W at the working size; `of_picture`: its size, px."""
    if item.mask is None:
        return np.zeros(size, bool)
    picture = read_picture(item.mask).max(axis=2)  # some are coloured
    if not have_one_shape((picture.shape[0], picture.shape[1]), of_picture):
        raise SclviError(
            f"{item.mask}: is {picture.shape[1]} x {picture.shape[0]} px, but its picture {of_picture[1]} x "
            f"{of_picture[0]} px, which is another shape"
        )
    faintest = full_scale(picture) / 2 if item.mask.suffix.lower() in _LOSSY else 0  # JPEG is not 0 beside a defect
    mask = (picture > faintest).astype(np.float32)
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_AREA) >= 0.5
