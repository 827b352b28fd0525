"""Context learning (section 3.1): the loop that trains an encoder on the user's good pictures, with any pretext."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sclvi.context.losses import context_loss, patch_svdd_loss, total_loss
from sclvi.context.moved import draw_moved_pairs
from sclvi.context.places import CodeReader, Frame
from sclvi.context.pretexts import PRETEXTS
from sclvi.context.pretexts.base import Pretext
from sclvi.context.views import repeat_quarter, two_views
from sclvi.encoders.compute import reduced_precision
from sclvi.encoders.interface import PATCH_SIZES, Encoder
from sclvi.progress import Progress
from sclvi.settings import Settings

ImageLoader = Callable[[Tensor], Tensor]  # indices N -> pictures N x C x H x W, prepared by `Light`


@dataclass(frozen=True)
class TrainingStep:
    """One row of the training log."""

    step: int
    loss: float
    accuracy: float | None  # share of the pretext's questions answered rightly, both scales together


def train_encoder(
    encoder: Encoder, load: ImageLoader, count: int, settings: Settings, progress: Progress
) -> list[TrainingStep]:
    """Train `encoder` in place on `count` pictures and return the log.

    The number of steps is fixed, not the time: the same seed gives the same encoder on a fast and on a slow day.
    """
    device = next(encoder.parameters()).device
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        pretexts = nn.ModuleList(PRETEXTS[settings.pretext](encoder.channels) for _ in PATCH_SIZES).to(device)
    groups = [
        {"params": list(encoder.parameters()), "lr": settings.encoder_rate},
        {"params": list(pretexts.parameters()), "lr": settings.classifier_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = _schedule(optimiser, settings)
    log = []
    encoder.train()
    for step, indices in enumerate(_draw_batches(count, settings, generator), start=1):
        loss, accuracy = _step_loss(encoder, pretexts, load(indices), settings, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        log.append(TrainingStep(step, loss.item(), accuracy))
        reached = f"loss {loss.item():.2f}" if accuracy is None else f"answers right {accuracy:.0%}"
        progress("learning context", step, settings.steps, reached)
    encoder.eval()
    return log


def _schedule(optimiser: torch.optim.Optimizer, settings: Settings) -> torch.optim.lr_scheduler.LRScheduler:
    if settings.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, settings.steps))
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1)


def _draw_batches(count: int, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Picture indices of each step; every picture is seen once before any is seen again."""
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(settings.steps):
        while len(waiting) < settings.batch:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[: settings.batch]
        waiting = waiting[settings.batch :]


def _step_loss(
    encoder: Encoder, pretexts: nn.ModuleList, images: Tensor, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, float | None]:
    device = next(encoder.parameters()).device
    pair = two_views(images, encoder.placement - 1, settings.colour_shift, settings.noise, generator)
    kind = PRETEXTS[settings.pretext]
    views = torch.cat(pair)
    if kind.changes_views and settings.pairs > 1:  # one picture then gives many questions, which want several answers
        views = repeat_quarter(views, generator)
    views, changes = kind.change_views(views, generator)
    views = views.to(device).contiguous(memory_format=torch.channels_last)
    losses: list[Tensor] = []
    right: list[float] = []
    with reduced_precision(device):
        for read, pretext, patch in zip(encoder.read(views), pretexts, PATCH_SIZES, strict=True):
            assert isinstance(pretext, Pretext)
            frame = Frame(len(views), views.shape[2], views.shape[3], patch, encoder.placement)
            count = settings.pairs * len(images)
            losses.append(_scale_loss(read, pretext, frame, changes, count, settings.alpha, generator, right))
    return torch.stack(losses).sum(), sum(right) / len(right) if right else None


def _scale_loss(
    read: CodeReader,
    pretext: Pretext,
    frame: Frame,
    changes: Tensor,
    count: int,
    alpha: float,
    generator: torch.Generator,
    right: list[float],
) -> Tensor:
    """Eq. 3 on one scale with `count` questions and pairs; adds the share of right answers to `right`."""
    first, moved = draw_moved_pairs(count, frame, generator)
    patch_svdd = patch_svdd_loss(read(first).float(), read(moved).float())
    questions = pretext.draw(count, frame, changes, generator)
    if not len(questions.answers):
        return alpha * patch_svdd
    logits = pretext(tuple(read(places).float() for places in questions.patches)).float()
    answers = questions.answers.to(logits.device)
    right.append((logits.argmax(1) == answers).float().mean().item())
    return total_loss(context_loss(logits, answers), patch_svdd, alpha)


def measure_statistics(encoder: Encoder, batches: Iterator[Tensor]) -> None:
    """Replace the running statistics of batch normalisation, if there is any, by the plain mean over all pictures."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean instead of an exponential one
    encoder.train()
    device = next(encoder.parameters()).device
    with torch.no_grad(), reduced_precision(device):
        for images in batches:
            encoder.encode_grid(images.to(device).contiguous(memory_format=torch.channels_last), PATCH_SIZES)
    encoder.eval()
