"""How soon a change of camera or light is noticed, and how often one is seen where there is none:

    python -m benchmarks.drift --data ../shared/data

Only what pictures look like is watched, not their scores, so that nothing need be trained. Light and place change by
little and, for pictures that differ by as much among themselves, by much. In each run fifty good training pictures are
held out; the others are known. Rows of benchmarks/results/drift.csv:

- a change: `undisturbed` pictures come first, then the `changed` held-out ones. Where there are undisturbed pictures
  they and the known ones are both drawn with replacement from those not held out, so that they are exchangeable.
- "none", 50 undisturbed: the held-out pictures as they are.
- "none", 10,000 undisturbed: these and the known ones are drawn, with replacement, from all.
- "another day": the good test pictures, which in some categories were taken under other light.

`found` is the share of runs with an alarm after the change, `false_alarms` of those with one before (or without) it;
`promised` is the most that undisturbed runs may have; `median_pictures` counts from the change to the alarm.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.data.appearance import Appearance, measure_appearance
from sclvi.data.arrays import Picture
from sclvi.data.layouts import GOOD, find_layout
from sclvi.data.preparing import prepare, working_size
from sclvi.data.reading import read_picture
from sclvi.decision.drift import FALSE_ALARM_RATE, Drift, find_drift
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.report.drift import change_words
from sclvi.settings import Settings

HELD_OUT = 50  # the bar: found within as many pictures
LATE = 1000  # undisturbed pictures before a late change
LONG = 10_000
HUE_STEP = 5  # OpenCV counts hue in 2 degrees


def _gain(factor: float) -> Callable[[Picture], Picture]:
    return lambda picture: np.clip(np.round(picture * factor), 0, 255).astype(np.uint8)


def _blur(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1)).reshape(picture.shape)


def _shift(pixels: int) -> Callable[[Picture], Picture]:
    there = np.array([[1.0, 0, pixels], [0, 1, 0]])

    def shifted(picture: Picture) -> Picture:
        moved = cv2.warpAffine(picture, there, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved).reshape(picture.shape)

    return shifted


def _hue(picture: Picture) -> Picture:
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + HUE_STEP) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "none": lambda picture: picture,
    "gain 0.5": _gain(0.5),
    "gain 0.8": _gain(0.8),
    "gain 1.2": _gain(1.2),
    "gain 1.5": _gain(1.5),
    "blur 1 px": _blur,
    "shift 4 px": _shift(4),
    "shift 32 px": _shift(32),
    "hue 10 degrees": _hue,
}


@dataclass
class Tally:
    """What came of the runs."""

    runs: int = 0
    false_alarms: int = 0
    waited: list[int] = field(default_factory=list)  # pictures from the change to the alarm
    said: Counter[str] = field(default_factory=Counter)  # by the first statistic of each alarm

    def add(self, drift: Drift, undisturbed: int) -> None:
        self.runs += 1
        if drift.changes:
            first = drift.changes[0]
            self.said[change_words(first)] += 1
            if first.noticed <= undisturbed:
                self.false_alarms += 1
            else:
                self.waited.append(first.noticed - undisturbed)


def look(pictures: Sequence[Path], change: Callable[[Picture], Picture], size: tuple[int, int]) -> list[Appearance]:
    """Appearance of each picture, changed at its own size, before it is brought to the working size."""
    read = (change(read_picture(path)) for path in pictures)
    return [measure_appearance(prepare(picture, size, picture.shape[2])) for picture in read]


def runs_of_change(
    looks: Sequence[Appearance], changed: Sequence[Appearance], undisturbed: int, runs: int, *, split: bool
) -> Tally:
    """Alarms of runs that change after `undisturbed` pictures.

    Args:
        looks: of good training pictures.
        changed: of the same pictures, changed; or of others.
        split: whether they are the same, so that a picture is either known or held out.
    """
    tally = Tally()
    for run in range(runs):
        rng = np.random.default_rng((11, run))
        order = rng.permutation(len(looks))
        held, known = (order[:HELD_OUT], order[HELD_OUT:]) if split else (rng.permutation(len(changed)), order)
        drawn = rng.choice(known, len(known) + undisturbed) if undisturbed else known
        good, before = drawn[: len(known)], drawn[len(known) :]
        seen = [looks[number] for number in before] + [changed[number] for number in held]
        tally.add(find_drift(_by_statistic(looks, good), seen, seed=run), undisturbed)
    return tally


def runs_without_change(looks: Sequence[Appearance], length: int, runs: int) -> Tally:
    """Alarms of undisturbed runs."""
    tally = Tally()
    for run in range(runs):
        drawn = np.random.default_rng((12, run)).choice(len(looks), len(looks) + length)
        seen = [looks[number] for number in drawn[len(looks) :]]
        tally.add(find_drift(_by_statistic(looks, drawn[: len(looks)]), seen, seed=run), length)
    return tally


def _by_statistic(looks: Sequence[Appearance], numbers: NDArray[np.int64]) -> dict[str, list[float]]:
    return {name: [looks[number][name] for number in numbers] for name in looks[0]}


def measure(category: Path, runs: int) -> Iterator[dict[str, Any]]:
    """The rows of a category."""
    layout = find_layout(category)
    pictures = [item.path for item in layout.train]
    test = [item.path for item in layout.test if item.defect == GOOD]
    first = read_picture(pictures[0])
    size = working_size([read_picture(path).shape[:2] for path in pictures], Settings().short_side)
    looks = look(pictures, CHANGES["none"], size)

    def row(change: str, known: int, undisturbed: int, changed: int, tally: Tally) -> dict[str, Any]:
        return {
            "category": category.name,
            "change": change,
            "known": known,
            "undisturbed": undisturbed,
            "changed": changed,
            "runs": tally.runs,
            "found": rounded(len(tally.waited) / tally.runs, 4) if changed else None,
            "median_pictures": float(np.median(tally.waited)) if tally.waited else None,
            "false_alarms": rounded(tally.false_alarms / tally.runs, 4),
            "promised": FALSE_ALARM_RATE,
            "says": tally.said.most_common(1)[0][0] if tally.said else None,
            **provenance(),
        }

    known = len(pictures) - HELD_OUT
    for name, change in CHANGES.items():
        if name.startswith("hue") and first.shape[2] != 3:
            continue
        changed = look(pictures, change, size)
        if name == "none":
            tally = runs_of_change(looks, changed, 0, runs, split=True)
            tally.false_alarms, tally.waited = len(tally.waited), []
            yield row(name, known, HELD_OUT, 0, tally)
            continue
        for undisturbed in (0, LATE):
            tally = runs_of_change(looks, changed, undisturbed, runs, split=True)
            yield row(name, known, undisturbed, HELD_OUT, tally)
    yield row("none", len(looks), LONG, 0, runs_without_change(looks, LONG, runs))
    another = look(test, CHANGES["none"], size)
    yield row("another day", len(looks), 0, len(another), runs_of_change(looks, another, 0, runs, split=False))


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULTS / "drift.csv")
    arguments = parser.parse_args()
    for category in find_categories(arguments.data, arguments.categories):
        for row in measure(category, arguments.runs):
            append_rows(arguments.out, [row])


if __name__ == "__main__":
    main()
