"""Settling: the encoder gets its batch statistics from the user's pictures and the form in which it inspects."""

from sclvi.context.training import measure_statistics
from sclvi.data.even import evenly
from sclvi.data.images import Images
from sclvi.encoders.interface import Encoder
from sclvi.encoders.making import inspecting_encoder
from sclvi.progress import Progress, track

_STATISTICS = 64  # pictures that batch statistics come from, thousands of places each; more change nothing but time
_BATCH = 16


def settle(encoder: Encoder, images: Images, progress: Progress) -> Encoder:
    """The encoder as it inspects, with batch statistics of up to 64 of the pictures.

    Args:
        encoder: left with these statistics, if it has any.
        images: N x C x H x W float, prepared by `Light`.
    """
    chosen = evenly(len(images), _STATISTICS).split(_BATCH)
    batches = (images[numbers] for numbers in chosen)
    measure_statistics(encoder, iter(track(batches, "measuring statistics", len(chosen), progress)))
    return inspecting_encoder(encoder)
