"""What correcting a model does to the pictures that it was not corrected with:

    python -m benchmarks.teach --data ../shared/data --categories bottle screw --short-side 160

The threshold is moved to where half of the good (or defective) test pictures are decided wrongly. In each of several
splits, the ten worst of these in a random half of that kind are corrected: taught (whole, or the defects' boxes alone)
or flagged (the masks' boxes). The other half and the other kind, never shown to the model, tell what became of their
like. Each way is then undone. Rows go to benchmarks/results/teach.csv; shares are fractions of 1, means over splits.
Models are kept in a folder and not trained again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from benchmarks.trained import parser_for, timed, trained_once
from sclvi.data.box import Box
from sclvi.data.layouts import GOOD, Item, find_layout
from sclvi.data.reading import read_picture
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.model import Model
from sclvi.model_file import load, save
from sclvi.settings import Settings

CORRECTED = 10  # pictures
SPLITS = 3
WAYS = ("taught whole", "taught boxes", "flagged boxes")
Scores = dict[Path, float]


@dataclass(frozen=True)
class Split:
    """Which pictures a model is corrected with, and which tell what came of it."""

    chosen: list[Item]  # decided wrongly, of one half of their kind
    others: list[Item]  # the other half, and the other kind
    threshold: float


def draw_split(items: Sequence[Item], scores: Scores, kind: str, rng: np.random.Generator) -> Split:
    """Of a random half of the good or of the defective pictures, the `CORRECTED` worst of those decided wrongly."""
    mine = [item for item in items if (item.defect == GOOD) == (kind == "good")]
    threshold = float(np.median([scores[item.path] for item in mine]))
    half = {mine[place].path for place in rng.permutation(len(mine))[: len(mine) // 2]}
    wrong = [item for item in mine if item.path in half and (scores[item.path] > threshold) == (kind == "good")]
    wrong.sort(key=lambda item: scores[item.path], reverse=kind == "good")
    return Split(wrong[:CORRECTED], [item for item in items if item.path not in half], threshold)


def measure(category: Path, settings: Settings, splits: int, models: Path) -> Iterator[dict[str, Any]]:
    """A row for each way, after one training."""
    path = trained_once(category, settings, models)
    model, load_seconds = timed(lambda: load(path))
    _, save_seconds = timed(lambda: save(model, path))
    items = [item for item in find_layout(category).test if item.defect]
    before = _scores(model, items)
    for way in WAYS:
        rng = np.random.default_rng(settings.seed)
        kind = "defective" if way == "flagged boxes" else "good"
        judged = [correct(model, way, draw_split(items, before, kind, rng), before) for _ in range(splits)]
        means = {name: float(np.mean([one[name] for one in judged])) for name in judged[0]}
        yield {
            "category": category.name,
            "way": way,
            **{name: rounded(value, 4) for name, value in means.items()},
            "load_seconds": rounded(load_seconds, 2),
            "save_seconds": rounded(save_seconds, 2),
            "training_pictures": len(model.pictures),
            "splits": splits,
            "seed": settings.seed,
            "short_side": settings.short_side,
            "settings": settings.fingerprint(),
            **provenance(),
        }


def correct(model: Model, way: str, split: Split, before: Scores) -> dict[str, float]:
    """Correct a model with the chosen pictures, look at the others, undo it all; shares, points and seconds."""
    strict = with_threshold(model, split.threshold)
    corrected, seconds = strict, []
    for item in split.chosen:
        boxes = () if way == "taught whole" else _mask_boxes(item) if item.mask else _defect_boxes(strict, item)
        how = corrected.flag if way == "flagged boxes" else corrected.teach
        corrected, took = timed(lambda: how(item.path, boxes))  # noqa: B023  # called at once
        seconds.append(took)
    after = _scores(corrected, [*split.chosen, *split.others])
    undone = corrected
    for correction in corrected.corrections:
        undone = undone.undo(correction.number)
    some = [item.path for item in split.chosen]
    exact = undone.fingerprint == strict.fingerprint and all(
        np.array_equal(one.anomaly_map, other.anomaly_map)
        for one, other in zip(undone.inspect(some), strict.inspect(some), strict=True)
    )
    good = [item.path for item in split.others if item.defect == GOOD]
    bad = [item.path for item in split.others if item.defect != GOOD]
    wrong = np.mean([(after[path] > split.threshold) == (way != "flagged boxes") for path in some])
    return {
        "corrected_pictures": len(some),
        "still_wrong_rate": float(wrong),
        "rejected_rate_before": _share_above(before, good, split.threshold),
        "rejected_rate_after": _share_above(after, good, split.threshold),
        "detected_rate_before": _share_above(before, bad, split.threshold),
        "detected_rate_after": _share_above(after, bad, split.threshold),
        "image_auroc_before": _auroc(before, good, bad),
        "image_auroc_after": _auroc(after, good, bad),
        "most_raised": max(after[path] / before[path] - 1 for path in [*good, *bad]),
        "undone_exactly": float(exact),
        "seconds_each": median(seconds),
    }


def with_threshold(model: Model, threshold: float) -> Model:
    """The same scores, judged by another threshold; of a model with one region of interest, the whole picture."""
    calibration = model.calibration
    (region,) = calibration.regions  # maps are stretched by what the threshold is of that of the region
    changed = replace(
        calibration,
        threshold=replace(calibration.threshold, value=threshold),
        regions=(replace(region, value=threshold),),
    )
    return replace(model, calibration=changed)


def _scores(model: Model, items: Sequence[Item]) -> Scores:
    inspecting = model.inspect([item.path for item in items])
    return {item.path: inspection.score for item, inspection in zip(items, inspecting, strict=True)}


def _share_above(scores: Scores, paths: Sequence[Path], threshold: float) -> float:
    return float(np.mean([scores[path] > threshold for path in paths]))


def _auroc(scores: Scores, good: Sequence[Path], bad: Sequence[Path]) -> float:
    labels = [0] * len(good) + [1] * len(bad)
    return float(roc_auc_score(labels, [scores[path] for path in [*good, *bad]]))


def _defect_boxes(model: Model, item: Item) -> list[Box]:
    (inspection,) = model.inspect([item.path])
    return [defect.box for defect in inspection.defects]


def _mask_boxes(item: Item) -> list[Box]:
    """Around each connected region of the mask."""
    assert item.mask is not None
    labels, _ = ndimage.label(read_picture(item.mask)[..., 0] > 0, np.ones((3, 3)))
    slices = ndimage.find_objects(labels)
    return [
        Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start) for rows, columns in slices
    ]


def main() -> None:
    parser = parser_for(__doc__, "teach.csv")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = Settings(seed=arguments.seed, short_side=arguments.short_side)
    for category in find_categories(arguments.data, arguments.categories):
        append_rows(arguments.out, list(measure(category, settings, arguments.splits, arguments.models)))


if __name__ == "__main__":
    main()
