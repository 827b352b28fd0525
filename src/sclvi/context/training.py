"""Context learning (section 3.1): the loop that trains an encoder on the user's good pictures, with any pretext."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sclvi.context.losses import context_loss, patch_svdd_loss, total_loss
from sclvi.context.moved import draw_moved_pairs
from sclvi.context.pretexts import PRETEXTS
from sclvi.context.pretexts.base import Pretext, Questions
from sclvi.context.views import crop_alike, repeat_quarter, two_views
from sclvi.encoders.compute import reduced_precision, repeatable
from sclvi.encoders.interface import PATCH_SIZES, Encoder
from sclvi.encoders.places import CodeReader, Frame
from sclvi.errors import SclviError
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

    Raises:
        SclviError: the two views of a picture, each some px smaller, are smaller than the largest patch.
    """
    learner = _Learner.start(encoder, settings)
    groups = [
        {"params": list(encoder.parameters()), "lr": settings.encoder_rate},
        {"params": list(learner.pretexts.parameters()), "lr": settings.classifier_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = _schedule(optimiser, settings)
    log = []
    encoder.train()
    with repeatable(next(encoder.parameters()).device):
        for step, indices in enumerate(_draw_batches(count, settings, learner.generator), start=1):
            loss, accuracy = learner.loss(load(indices))
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


@dataclass(frozen=True)
class _Learner:
    """What one training step needs: the encoder, a pretext per patch size, and where its draws come from."""

    encoder: Encoder
    pretexts: nn.ModuleList
    settings: Settings
    generator: torch.Generator  # of places and classes, on the CPU
    light_generator: torch.Generator  # of colour shift and noise, on the device; on the CPU it is the same one

    @classmethod
    def start(cls, encoder: Encoder, settings: Settings) -> "_Learner":
        device = next(encoder.parameters()).device
        generator = torch.Generator().manual_seed(settings.seed)
        light = generator if device.type == "cpu" else torch.Generator(device).manual_seed(settings.seed)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            pretexts = nn.ModuleList(PRETEXTS[settings.pretext](encoder.channels) for _ in PATCH_SIZES).to(device)
        return cls(encoder, pretexts, settings, generator, light)

    def loss(self, images: Tensor) -> tuple[Tensor, float | None]:
        """Both scales' loss on B x C x H x W pictures, and the share of right answers, if anything was asked."""
        settings = self.settings
        images = images.to(next(self.encoder.parameters()).device)
        shifts = self.encoder.placement - 1
        least = max(PATCH_SIZES) + shifts
        if min(images.shape[2:]) < least:
            raise SclviError(f"context is learned from pictures of {least} px at least; give a larger size, or 0 steps")
        pair = two_views(images, shifts, settings.colour_shift, settings.noise, self.generator, self.light_generator)
        kind = PRETEXTS[settings.pretext]
        views = torch.cat(pair)
        if settings.crop is not None:
            size = (min(settings.crop, views.shape[2]), min(settings.crop, views.shape[3]))
            views = crop_alike(views, size, self.generator)
        if kind.changes_views and settings.pairs > 1:  # one picture gives many questions, which want several answers
            views = repeat_quarter(views, self.generator)
        views, changes = kind.change_views(views, self.generator)
        views = views.contiguous(memory_format=torch.channels_last)
        losses: list[Tensor] = []
        shares: list[float] = []
        with reduced_precision(views.device):
            for read, pretext, patch in zip(self.encoder.read(views), self.pretexts, PATCH_SIZES, strict=True):
                assert isinstance(pretext, Pretext)
                frame = Frame(len(views), views.shape[2], views.shape[3], patch, self.encoder.placement)
                count = settings.pairs * len(images)
                first, moved = draw_moved_pairs(count, frame, self.generator)
                patch_svdd = patch_svdd_loss(read(first).float(), read(moved).float())
                context, share = _ask(read, pretext, pretext.draw(count, frame, changes, self.generator))
                losses.append(total_loss(context, patch_svdd, settings.alpha))
                shares += share
        return torch.stack(losses).sum(), sum(shares) / len(shares) if shares else None


def _ask(read: CodeReader, pretext: Pretext, questions: Questions) -> tuple[Tensor, list[float]]:
    """The pretext's loss and the share of right answers; 0 and nothing where nothing is asked."""
    if not len(questions.answers):
        return torch.zeros(()), []
    logits = pretext(tuple(read(places).float() for places in questions.patches)).float()
    answers = questions.answers.to(logits.device)
    return context_loss(logits, answers), [(logits.argmax(1) == answers).float().mean().item()]


def measure_statistics(encoder: Encoder, batches: Iterator[Tensor]) -> None:
    """Replace the running statistics of batch normalisation, if there is any, by plain means over these pictures."""
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
