"""Context learning (section 3.1): the loop that trains the encoder on the user's good pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sclvi.context.losses import context_loss, patch_svdd_loss, total_loss
from sclvi.context.pairs import Pairs, draw_pairs
from sclvi.context.twelve import PositionClassifier
from sclvi.context.views import two_views
from sclvi.encoders.compute import reduced_precision
from sclvi.encoders.dense import CODE_LENGTH, PATCH_SIZES, STRIDE, DenseEncoder
from sclvi.progress import Progress
from sclvi.settings import Settings

ImageLoader = Callable[[Tensor], Tensor]  # indices N -> light-normalised pictures N x C x H x W


@dataclass(frozen=True)
class TrainingStep:
    """One row of the training log."""

    step: int
    loss: float
    position_accuracy: float  # share of pairs whose position was told rightly, both scales together


def train_encoder(
    encoder: DenseEncoder, load: ImageLoader, count: int, settings: Settings, progress: Progress
) -> list[TrainingStep]:
    """Train `encoder` in place on `count` pictures and return the log.

    The number of steps is fixed, not the time: the same seed gives the same encoder on a fast and on a slow day.
    """
    device = next(encoder.parameters()).device
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        classifiers = nn.ModuleList(PositionClassifier(CODE_LENGTH) for _ in PATCH_SIZES).to(device)
    groups = [
        {"params": encoder.parameters(), "lr": settings.encoder_rate},
        {"params": classifiers.parameters(), "lr": settings.classifier_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, settings.steps))
    log = []
    encoder.train()
    for step, indices in enumerate(_draw_batches(count, settings, generator), start=1):
        loss, accuracy = _step_loss(encoder, classifiers, load(indices), settings, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        log.append(TrainingStep(step, loss.item(), accuracy))
        progress("learning context", step, settings.steps, f"positions right {accuracy:.0%}")
    encoder.eval()
    return log


def _draw_batches(count: int, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Picture indices of each step; every picture is seen once before any is seen again."""
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(settings.steps):
        while len(waiting) < settings.batch:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[: settings.batch]
        waiting = waiting[settings.batch :]


def _step_loss(
    encoder: DenseEncoder, classifiers: nn.ModuleList, images: Tensor, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, float]:
    device = next(encoder.parameters()).device
    views = torch.cat(two_views(images, generator)).to(device).contiguous(memory_format=torch.channels_last)
    with reduced_precision(device):
        codes_per_scale = encoder(views)
    losses, correct = [], []
    for codes, classifier, patch in zip(codes_per_scale, classifiers, PATCH_SIZES, strict=True):
        loss, accuracy = _scale_loss(codes.float(), classifier, patch, settings, generator)
        losses.append(loss)
        correct.append(accuracy)
    return torch.stack(losses).sum(), sum(correct) / len(correct)


def _scale_loss(
    codes: Tensor, classifier: nn.Module, patch: int, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Eq. 3 on one scale; codes 2B x D x h x w, the first views of all pictures before the second ones."""
    batch, height, width = len(codes) // 2, codes.shape[2], codes.shape[3]
    rows = codes.permute(0, 2, 3, 1).flatten(0, 2)  # 2B h w x D
    pairs = draw_pairs(settings.pairs * batch, (height, width), patch, STRIDE, generator)
    first_at, second_at, moved_at = (index.to(codes.device) for index in _flat_indices(pairs, batch, height, width))
    first = rows[first_at]
    logits = classifier(first, rows[second_at])
    classes = pairs.classes.to(codes.device)
    accuracy = (logits.argmax(1) == classes).float().mean().item()
    return total_loss(context_loss(logits, classes), patch_svdd_loss(first, rows[moved_at]), settings.alpha), accuracy


def _flat_indices(pairs: Pairs, batch: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the first patches (view 1), of the second ones (view 2), of the first ones moved a few px (view 2)."""
    picture = torch.arange(len(pairs.classes)) % batch
    first = (picture * height + pairs.first_rows) * width + pairs.first_columns
    second = ((picture + batch) * height + pairs.second_rows) * width + pairs.second_columns
    return first, second, first + batch * height * width


def measure_statistics(encoder: DenseEncoder, batches: Iterator[Tensor]) -> None:
    """Replace the running statistics of batch normalisation by the plain mean over all given pictures."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean instead of an exponential one
    encoder.train()
    device = next(encoder.parameters()).device
    with torch.no_grad(), reduced_precision(device):
        for images in batches:
            encoder(images.to(device).contiguous(memory_format=torch.channels_last))
    encoder.eval()
