"""What each part of the default is worth: taken away alone, everything else as it was.

    python -m benchmarks.ablation --data ../shared/data

Adds a row for each part and category to benchmarks/results/ablation.csv; the part "none" is the default itself. Parts
that only score share one training, whose time stands on each of their rows, and so do all that leave the pictures as
they are the network for synthetic defects, which sees nothing but these.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.accuracy import FIGURES
from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.encoders.dense import DenseEncoder
from sclvi.evaluation.evaluate import evaluate
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.learn import build_model, learn_good
from sclvi.lesson import Lesson
from sclvi.memory import lines
from sclvi.memory.surface import see_surface
from sclvi.progress import silent
from sclvi.scoring import maps
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import Role
from sclvi.settings import Settings
from sclvi.synthetic import detector

_CODES, _SURFACE, _LINES = (0, 1), (2,), (3,)  # places of their maps
Learned = Literal["nothing", "surface", "encoder", "everything"]


@dataclass(frozen=True)
class Without:
    """How one part is taken away."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    code: Callable[[], AbstractContextManager[Any]] = nullcontext  # where no setting does it: replaces what is called
    learned: Learned = "nothing"  # again, with all that comes after it but the network for synthetic defects


def _role(places: tuple[int, ...], change: Callable[[Role], Role]) -> AbstractContextManager[Any]:
    """The maps at these places play another role; `Inspector.roles` has them in the order of `Inspector.score`."""
    before = Inspector.roles

    def changed(inspector: Inspector, places_alike: bool) -> tuple[Role, ...]:
        roles = list(before(inspector, places_alike))
        for place in places:
            roles[place] = change(roles[place])
        return tuple(roles)

    return patch.object(Inspector, "roles", changed)


def _as_it_is(maps: Tensor, _reach: int) -> Tensor:
    return maps


def _one_view(seen_by: detector.Detector, images: Tensor, _views: tuple[detector.View, ...]) -> Tensor:
    return seen_by._seen_so(images)


def _largest(surprises: list[Tensor]) -> Tensor:
    return torch.stack(surprises).amax(0)


@contextmanager
def _one_length(length: float) -> Iterator[None]:
    """The geometric mean of a filter's answer with itself is that answer."""
    lines._spectra.cache_clear()
    try:
        with patch.multiple(lines, LONG=length, SHORT=length):
            yield
    finally:
        lines._spectra.cache_clear()


PARTS: Mapping[str, Without] = {
    "none": Without(),
    "affinity (nearest item instead)": Without({"fusion": "nearest"}),
    "affinity (mean of eta instead)": Without({"fusion": "mean"}),
    "surface": Without({"surface": False}),
    "rank of the surface": Without(code=partial(_role, _SURFACE, partial(replace, ranks=0.0))),
    "surface ranks nothing in pictures of many shapes": Without(
        code=partial(_role, _SURFACE, partial(replace, ranks=1.0))
    ),
    "one vote for all codes": Without(code=partial(_role, _CODES, partial(replace, ranks=1.0))),
    "lines' surprise": Without(code=partial(_role, _LINES, partial(replace, surprises=False))),
    "surface ranks only (surprises, too, instead)": Without(
        code=partial(_role, _SURFACE, partial(replace, surprises=True))
    ),
    "raised by surprise": Without({"raised": False}),
    "sum of surprises (largest instead)": Without(code=partial(patch.object, maps, "_together", _largest)),
    "synthetic defects": Without({"synthetic_steps": 0}),
    "blur of synthetic defects": Without(code=partial(patch.object, detector, "_BLUR", Settings().smoothing)),
    "mirrored views": Without(code=partial(patch.object, detector.Detector, "_seen", _one_view)),
    "lines sharpened": Without(code=partial(patch.object, maps, "sharpened", _as_it_is)),
    "smoothing": Without({"smoothing": 0.0}),
    "short lines": Without(code=partial(_one_length, lines.LONG), learned="surface"),
    "long lines": Without(code=partial(_one_length, lines.SHORT), learned="surface"),
    "nearness": Without({"nearness": 0.0}, learned="encoder"),
    "context learning": Without({"steps": 0}, learned="encoder"),
    "procedural start": Without({"start": "random"}, learned="encoder"),
    "soft length normalisation": Without({"softness": None}, learned="encoder"),
    "alignment": Without({"align": False}, learned="everything"),
    "working size 320": Without({"short_side": 256, "smoothing": 1.2}, learned="everything"),
}


def measure(
    category: Path, parts: Sequence[str], seed: int, changes: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each of the parts; `changes`: of the default that nothing is taken away from."""
    base = Settings(seed=seed, **(changes or {}))
    started = time.perf_counter()
    whole = learn_good(category, base)
    seconds = time.perf_counter() - started
    for part in parts:
        without = PARTS[part]
        settings = base.model_copy(update=dict(without.settings))
        started = time.perf_counter() - (seconds if without.learned == "nothing" else 0)
        with without.code():
            model = build_model(_learn_without(category, without, settings, whole), settings, started)
            figures = evaluate(model, category).figures
        timed = without.learned in ("nothing", "everything")
        yield {
            "without": part,
            "category": category.name,
            "seed": seed,
            **{name: rounded(figures[name], 5) for name in FIGURES},
            "train_seconds": model.metadata["train_seconds"] if timed else None,
            "images_per_second": rounded(figures["images_per_second"], 2),
            "settings": settings.fingerprint(),
            **provenance(),
        }


def _learn_without(category: Path, without: Without, settings: Settings, whole: Lesson) -> Lesson:
    """What is learned where the part is gone; `whole`: where it is not."""
    if without.learned == "everything":
        return learn_good(category, settings)
    if without.learned == "encoder":
        lesson = learn_good(category, settings.model_copy(update={"synthetic_steps": 0}))
        return replace(lesson, detector=whole.detector)
    if without.learned == "surface":
        assert isinstance(whole.encoder, DenseEncoder)  # the default's
        return replace(whole, moments=see_surface(whole.encoder, whole.images, silent))
    return whole


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--parts", nargs="*", default=[*PARTS], choices=[*PARTS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.csv")
    arguments = parser.parse_args()
    for category in find_categories(arguments.data, arguments.categories):
        for row in measure(category, arguments.parts, arguments.seed):
            append_rows(arguments.out, [row])


if __name__ == "__main__":
    main()
