"""Whether thresholds keep the false-reject rate that they promise:

    python -m benchmarks.calibration --data ../shared/data --short-side 160

Three procedures. `calibrate`: a model of each category scores its good test pictures, which it has never seen; in each
of 200 random splits, each half of them sets the threshold that the other half is judged by, as `sclvi calibrate` does.
`whole`: the good test pictures by the threshold that training set. Both take one model of all good training pictures,
which is kept in a folder and not trained again. `train`: in each split a model is trained on 20 of the good training
pictures, which set its threshold; it judges the good test pictures (`test`), and good training pictures that it has not
seen (`same day`).

Rows go to benchmarks/results/calibration.csv, one for each category, procedure and rate; the plot beside it shows them.
`realised_rate` is the share of good pictures that are rejected, `realised_region_rate` that of those that show any
defect. Shares are fractions of 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.trained import parser_for, trained_once
from sclvi.data.layouts import GOOD, find_layout
from sclvi.decision.defects import find_regions
from sclvi.decision.threshold import Threshold, conformal_threshold
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded
from sclvi.learn import train
from sclvi.model import Model
from sclvi.model_file import load
from sclvi.settings import Settings

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
SPLITS = 200
TRAININGS = 12
IMAGES = 20  # good pictures of each of these trainings
_SAME_DAY = 60  # pictures that are judged
PROCEDURES = {  # what their plots say
    "calibrate": "sclvi calibrate",
    "whole": "sclvi train, all good pictures",
    "train": "sclvi train, few good pictures",
}


@dataclass(frozen=True)
class Judged:
    """N good pictures that a model has not seen."""

    scores: NDArray[np.float64]  # N
    maps: list[NDArray[np.float32]]
    outline: float  # of the model

    @classmethod
    def by(cls, model: Model, pictures: Sequence[Path]) -> "Judged":
        inspections = list(model.inspect(pictures))
        maps = [inspection.anomaly_map for inspection in inspections]
        return cls(np.array([inspection.score for inspection in inspections]), maps, model.calibration.outline)

    def rejected(self, threshold: float) -> NDArray[np.bool_]:
        """Whether each has a score above the threshold."""
        return self.scores > threshold

    def with_regions(self, threshold: float) -> NDArray[np.bool_]:
        """Whether each shows any defect."""
        outline = min(self.outline, threshold)
        return np.array([len(find_regions(one, outline, threshold)) > 0 for one in self.maps])


@dataclass(frozen=True)
class Outcome:
    """Of one split."""

    threshold: Threshold
    rejected: float  # share
    with_regions: float  # share


def judge_splits(judged: Judged, rate: float, seed: int) -> list[Outcome]:
    """In each of `SPLITS` splits, each half of the pictures by the threshold that the other sets, on average."""
    rng = np.random.default_rng(seed)
    half = len(judged.scores) // 2
    with_regions = cache(judged.with_regions)  # thresholds are scores, so there are few
    outcomes = []
    for _ in range(SPLITS):
        mixed = rng.permutation(len(judged.scores))
        halves = (mixed[:half], mixed[half : 2 * half])
        thresholds = [conformal_threshold(judged.scores[part].tolist(), rate) for part in halves]
        pairs = list(zip(thresholds, reversed(halves), strict=True))
        rejected = [judged.rejected(threshold.value)[rest].mean() for threshold, rest in pairs]
        shown = [with_regions(threshold.value)[rest].mean() for threshold, rest in pairs]
        outcomes.append(Outcome(thresholds[0], float(np.mean(rejected)), float(np.mean(shown))))
    return outcomes


def measure_calibrate(category: Path, settings: Settings, models: Path) -> Iterator[dict[str, Any]]:
    """A row for each rate, by one model of all good training pictures."""
    judged = Judged.by(load(trained_once(category, settings, models)), _good_test(category))
    for rate in RATES:
        outcomes = judge_splits(judged, rate, settings.seed)
        yield _row(category.name, "calibrate", "test", rate, outcomes, len(judged.scores), settings)


def measure_whole(category: Path, settings: Settings, models: Path) -> Iterator[dict[str, Any]]:
    """A row for each rate, by the same model and its own threshold."""
    model = load(trained_once(category, settings, models))
    judged = Judged.by(model, _good_test(category))
    for rate in RATES:
        outcome = _outcome(model, judged, rate)
        yield _row(category.name, "whole", "test", rate, [outcome], len(judged.scores), settings)


def measure_train(category: Path, settings: Settings, trainings: int, images: int) -> Iterator[dict[str, Any]]:
    """A row for each rate and kind of picture, after some trainings on few good pictures."""
    good, test = [item.path for item in find_layout(category).train], _good_test(category)
    outcomes: dict[tuple[str, float], list[Outcome]] = {}
    for split in range(trainings):
        mixed = [good[number] for number in np.random.default_rng(split).permutation(len(good))]
        model = train(mixed[:images], settings.model_copy(update={"seed": split}))
        for kind, pictures in (("test", test), ("same day", mixed[images : images + _SAME_DAY])):
            judged = Judged.by(model, pictures)
            for rate in RATES:
                outcomes.setdefault((kind, rate), []).append(_outcome(model, judged, rate))
    for (kind, rate), found in sorted(outcomes.items()):
        count = len(test) if kind == "test" else min(_SAME_DAY, len(good) - images)
        yield _row(category.name, "train", kind, rate, found, count, settings)


def _outcome(model: Model, judged: Judged, rate: float) -> Outcome:
    """By the threshold that training would have set had it been asked for that rate."""
    threshold = conformal_threshold(model.calibration.scores, rate)
    shares = (judged.rejected(threshold.value).mean(), judged.with_regions(threshold.value).mean())
    return Outcome(threshold, *map(float, shares))


def _good_test(category: Path) -> list[Path]:
    return [item.path for item in find_layout(category).test if item.defect == GOOD]


def _row(
    category: str,
    procedure: str,
    judged: str,
    rate: float,
    outcomes: Sequence[Outcome],
    good_pictures: int,
    settings: Settings,
) -> dict[str, Any]:
    """Means over the splits, with the standard error as if splits were independent; of one, as if pictures were."""
    threshold = outcomes[0].threshold
    rejected = [outcome.rejected for outcome in outcomes]
    mean = float(np.mean(rejected))
    spread = float(np.std(rejected, ddof=1)) if len(outcomes) > 1 else np.sqrt(mean * (1 - mean) / good_pictures)
    return {
        "category": category,
        "procedure": procedure,
        "judged": judged,
        "rate": rate,
        "promised_rate": rounded(threshold.promised_rate, 5),
        "realised_rate": rounded(mean, 5),
        "realised_region_rate": rounded(float(np.mean([outcome.with_regions for outcome in outcomes])), 5),
        "standard_error": rounded(spread / np.sqrt(len(outcomes)), 5),
        "calibration_images": threshold.pictures,
        "good_pictures": good_pictures,
        "splits": len(outcomes),
        "seed": settings.seed,
        "short_side": settings.short_side,
        "settings": settings.fingerprint(),
        **provenance(),
    }


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Realised over promised rate, a mark for each row; below the line the promise is kept."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (procedure, title) in zip(
        figure.subplots(1, len(PROCEDURES), sharey=True), PROCEDURES.items(), strict=True
    ):
        for category, marker in zip(sorted({row["category"] for row in rows}), cycle("osD^vPX*"), strict=False):
            mine = [row for row in rows if row["category"] == category and row["procedure"] == procedure]
            promised, realised = (
                [100 * float(row[name]) for row in mine] for name in ("promised_rate", "realised_rate")
            )
            axes.plot(promised, realised, marker, label=category)
        axes.axline((0, 0), slope=1, color="grey", linewidth=1)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("promised rate, %")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("realised rate, %")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = parser_for(__doc__, "calibration.csv")
    parser.add_argument("--procedures", nargs="+", choices=[*PROCEDURES], default=[*PROCEDURES])
    parser.add_argument("--trainings", type=int, default=TRAININGS, help="splits of the procedure `train`")
    parser.add_argument("--images", type=int, default=IMAGES, help="good pictures of each of these trainings")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = Settings(seed=arguments.seed, short_side=arguments.short_side)
    for procedure in arguments.procedures:
        for category in find_categories(arguments.data, arguments.categories):
            if procedure == "calibrate":
                rows = measure_calibrate(category, settings, arguments.models)
            elif procedure == "whole":
                rows = measure_whole(category, settings, arguments.models)
            else:
                rows = measure_train(category, settings, arguments.trainings, arguments.images)
            append_rows(arguments.out, list(rows))
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
