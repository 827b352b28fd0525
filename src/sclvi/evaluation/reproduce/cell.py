"""One cell of a table: one category, one pretext, one seed; trained once, scored in every way that is asked for."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from sclvi.data.good import read_good
from sclvi.data.images import Images
from sclvi.data.layouts import GOOD, Item
from sclvi.data.preparing import prepare
from sclvi.data.reading import read_picture
from sclvi.encoders.compute import pick_device, to_device
from sclvi.encoders.interface import Encoder
from sclvi.encoders.making import empty_inspecting_encoder
from sclvi.errors import SclviError
from sclvi.evaluation.evaluate import Figures, compare, labelled_items
from sclvi.evaluation.reproduce.plan import Scoring
from sclvi.files import write_atomically
from sclvi.learn import learn_encoder, measure_light
from sclvi.memory.scale import fill_memories
from sclvi.progress import Progress, track
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import fuse_scales, image_scores
from sclvi.scoring.pixels import smooth
from sclvi.settings import Settings


@dataclass(frozen=True)
class CellResult:
    """What one cell came to."""

    figures: Mapping[Scoring, Figures]
    minutes: float  # of training the encoder


def measure_cell(
    category: Path, settings: Settings, scorings: tuple[Scoring, ...], cache: Path, progress: Progress
) -> CellResult:
    """Train on the good pictures, score the test pictures.

    The encoder is kept in `cache` and not trained again for the same settings and pictures. Labels are looked at
    before that only to see that there are both kinds; masks are opened after the last score is made.

    Raises:
        SclviError: a picture or mask is missing or broken; a table with gaps would not be the paper's.
    """
    items = scored_items(category)
    good = read_good(category, settings.size, settings.short_side, False, progress, None)
    light = measure_light(good.images, settings)
    images = good.lit(light)
    encoder, minutes = _learn_or_load(category.name, images, good.fingerprint, settings, cache, progress)
    inspector = Inspector(encoder, fill_memories(encoder, images, settings, progress), None, settings)
    maps: dict[Scoring, list[torch.Tensor]] = {scoring: [] for scoring in scorings}
    sizes = []
    for item in track(items, "scoring", len(items), progress):
        picture = read_picture(item.path)
        sizes.append((picture.shape[0], picture.shape[1]))
        image = light(prepare(picture, good.alignment.size, good.channels, good.levels)[None])
        for scoring, scored in score_in_ways(inspector, image, scorings).items():
            maps[scoring].append(scored[0])
    figures = {
        scoring: compare(items, image_scores(torch.stack(scored)).tolist(), [one.numpy() for one in scored], sizes)
        for scoring, scored in maps.items()
    }
    return CellResult(figures, minutes)


def scored_items(category: Path) -> list[Item]:
    """The test pictures that the figures are made of.

    Raises:
        SclviError: no labels, only one of good and defective, or a defective picture without a mask.
    """
    _, items = labelled_items(category, lambda name, error: None)  # a missing mask is told of below
    if len({item.defect == GOOD for item in items}) < 2:
        raise SclviError(f"{category}: AUROC needs both good and defective test pictures")
    for item in items:
        if item.defect != GOOD and item.mask is None:
            raise SclviError(f"{item.path}: has no mask in {category / 'ground_truth'}; pixel AUROC needs one")
    return items


def score_in_ways(
    inspector: Inspector, images: torch.Tensor, scorings: tuple[Scoring, ...]
) -> dict[Scoring, torch.Tensor]:
    """Maps by each way of fusing, from one search; the scales by their product; B x C x H x W -> B x H x W each."""
    found = inspector.search(images, max(scoring.eta for scoring in scorings))
    settings = inspector.settings
    maps = {}
    for scoring in scorings:
        scales = [scale.pixels(scoring.fusion, scoring.eta, settings.affinity_limit) for scale in found]
        maps[scoring] = smooth(fuse_scales(scales), settings.smoothing)
    return maps


def _learn_or_load(
    category: str, images: Images, data_fingerprint: str, settings: Settings, cache: Path, progress: Progress
) -> tuple[Encoder, float]:
    key = hashlib.sha256(f"{settings.training_fingerprint()} {data_fingerprint}".encode()).hexdigest()[:12]
    path = cache / f"{category}-{settings.encoder}-{settings.pretext}-seed{settings.seed}-{key}.safetensors"
    if path.exists():
        encoder = to_device(empty_inspecting_encoder(settings.encoder, images.shape[1]), pick_device())
        try:
            with safe_open(path, "pt") as file:
                encoder.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
                return encoder, float(file.metadata()["minutes"])
        except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise SclviError(f"{path}: damaged; delete it, and it is learned anew") from error
    started = time.perf_counter()
    encoder, log = learn_encoder(images, torch.arange(len(images)), settings, progress)
    minutes = (time.perf_counter() - started) / 60
    state = {name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}
    accuracy = json.dumps([step.accuracy for step in log])
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save_tensors(state, {"minutes": str(minutes), "accuracy": accuracy}))
    return encoder, minutes
