"""Whether encoder and detector make pictures that they learned from score lower than others, which would break the
promise of a threshold that these set:

    python -m benchmarks.learned --data ../shared/data --short-side 160

Two encoders, each with a detector, learn from one half each of some good pictures; the memory of either holds all of
them. Every picture is scored as if it were new by both. `effect` is how much higher the logarithm of the score is where
the picture was learned from, in deviations of the pictures' scores (below 0: lower), `uncertainty` its standard error.
A row for each category, number of pictures and number of steps goes to benchmarks/results/learned.csv.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.few_shot import draw_pictures
from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.data.alignment import Alignment
from sclvi.data.good import read_good
from sclvi.data.images import Images, Selection
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.learn import learn_encoder, measure_light
from sclvi.memory.scale import fill_memories
from sclvi.memory.surface import see_surface
from sclvi.progress import silent
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import Usual, fuse_maps, image_scores
from sclvi.scoring.places import nearness_that_fits
from sclvi.scoring.strangers import Stranger
from sclvi.settings import Settings
from sclvi.synthetic.learning import learn_defects, steps_for


def measure(category: Path, count: int, draws: int, settings: Settings) -> dict[str, Any]:
    """One row."""
    found = [effect_of(draw_pictures(category, count, seed), seed, settings) for seed in range(draws)]
    effects = [float(one.mean()) for one, _ in found]
    errors = [float(one.std(ddof=1) / np.sqrt(one.size)) for one, _ in found]
    return {
        "category": category.name,
        "images": count,
        "steps": settings.steps,
        "synthetic_steps": found[0][1],
        "effect": rounded(float(np.mean(effects)), 4),
        "uncertainty": rounded(float(np.sqrt(np.sum(np.square(errors)))) / draws, 4),
        "draws": draws,
        "short_side": settings.short_side,
        "settings": settings.fingerprint(),
        **provenance(),
    }


def effect_of(pictures: list[Path], seed: int, settings: Settings) -> tuple[NDArray[np.float64], int]:
    """Of each pair of a picture of one half and one of the other, in deviations; and the steps of their detectors."""
    settings = settings.model_copy(update={"seed": seed})
    data = read_good(pictures, settings.size, settings.short_side, settings.align, silent, None)
    images = data.lit(measure_light(data.images, settings))
    half = len(pictures) // 2
    halves = torch.arange(2 * half).split(half)
    pixels = half * data.pixels_of(0)
    first, second = (_log_scores(images, learned, pixels, settings, data.alignment)[: 2 * half] for learned in halves)
    gained = (first - second) / np.hypot(first.std(), second.std()) * np.sqrt(2)
    steps = steps_for(half, pixels, (images.shape[2], images.shape[3]), settings.synthetic_steps)
    return np.asarray((gained[:half] - gained[half:]) / 2), steps


def _log_scores(
    images: Images, learned: torch.Tensor, pixels: int, settings: Settings, alignment: Alignment
) -> NDArray[np.float64]:
    """Of each picture, scored as if it were new by what learned from some of them, which have so many pixels."""
    encoder, _ = learn_encoder(images, learned, settings, silent)
    moments = see_surface(encoder, images, silent)  # type: ignore[arg-type]  # the default's encoder is dense
    nearness = nearness_that_fits(encoder, images, settings, silent, alignment.places_alike)
    memories = fill_memories(encoder, images, settings, silent, nearness)
    detector = learn_defects(Selection(images, learned), pixels, settings.synthetic_steps, settings.seed, silent)
    inspector = Inspector(encoder, memories, moments.surface(), settings, detector)
    every = [range(number, number + 1) for number in range(len(images))]
    seen = [next(Stranger.to(inspector, moments, images, one).score(images, one)) for one in every]
    kinds = [torch.cat(kind) for kind in zip(*seen, strict=True)]
    roles = inspector.roles(alignment.places_alike)
    usual = tuple(Usual.measure(kind, role) for kind, role in zip(kinds, roles, strict=True))
    return np.log(image_scores(fuse_maps(kinds, usual, settings.raised)).double().numpy())


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[40, 100])
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--short-side", type=int, default=Settings().short_side, help="px; fewer are quicker")
    parser.add_argument("--out", type=Path, default=RESULTS / "learned.csv")
    arguments = parser.parse_args()
    settings = Settings(short_side=arguments.short_side, steps=arguments.steps)
    for category in find_categories(arguments.data, arguments.categories):
        append_rows(arguments.out, [measure(category, count, arguments.draws, settings) for count in arguments.images])


if __name__ == "__main__":
    main()
