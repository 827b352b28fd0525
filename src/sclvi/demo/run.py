"""The demonstration: made-up parts, the real thing done to them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sclvi.data.layouts import expand_pictures
from sclvi.demo.pictures import CATEGORIES, write_category
from sclvi.errors import SclviError
from sclvi.evaluation.evaluate import Evaluation, evaluate
from sclvi.inspect_folder import inspect_folder
from sclvi.learn import train
from sclvi.model_file import save
from sclvi.progress import Progress
from sclvi.settings import Settings

# Small on purpose: two minutes on two cores in all. `sclvi train` learns longer, and from synthetic defects, too.
_TRAIN, _GOOD, _PER_DEFECT = 40, 10, 3
_STEPS, _SYNTHETIC_STEPS = 6, 0


@dataclass(frozen=True)
class DemoResult:
    """One category of the demonstration."""

    evaluation: Evaluation
    report: Path


def run_demo(out: Path, seed: int, progress: Progress) -> list[DemoResult]:
    """Draw, train, evaluate and inspect each category; everything is written below `out`.

    Raises:
        SclviError: `out` cannot be written.
    """
    return [_run_category(out, category, seed, progress) for category in CATEGORIES]


def _run_category(out: Path, category: str, seed: int, progress: Progress) -> DemoResult:
    def named(stage: str, done: int, total: int, reached: str = "") -> None:
        progress(f"{category}: {stage}", done, total, reached)

    named("drawing", 0, 1)
    try:
        shutil.rmtree(out / "pictures" / category, ignore_errors=True)  # of another seed
        pictures = write_category(out / "pictures", category, seed, _TRAIN, _GOOD, _PER_DEFECT)
    except OSError as error:
        raise SclviError(f"{out}: cannot be written ({error.strerror})") from None
    named("drawing", 1, 1)
    model = train(pictures, Settings(seed=seed, steps=_STEPS, synthetic_steps=_SYNTHETIC_STEPS), named)
    save(model, out / f"{category}.sclvi")
    evaluation = evaluate(model, pictures, named)
    summary = inspect_folder(model, expand_pictures([pictures / "test"]), out / category, named)
    return DemoResult(evaluation, summary.report)
