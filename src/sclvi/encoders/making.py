"""Encoders by name: new ones to train, and the form in which they inspect."""

from importlib.resources import files

import torch
from safetensors.torch import load as load_tensors

from sclvi.encoders.compute import pick_device, to_device
from sclvi.encoders.dense import DenseEncoder, adapt_channels, fold_batch_norm
from sclvi.encoders.interface import Encoder
from sclvi.encoders.paper import PaperEncoder
from sclvi.errors import SclviError
from sclvi.settings import Settings

_ENCODERS: dict[str, type[Encoder]] = {kind.name: kind for kind in (DenseEncoder, PaperEncoder)}


def new_encoder(settings: Settings, channels: int) -> Encoder:
    """The encoder that training starts from, on the device.

    Raises:
        SclviError: there is no start of this kind for the encoder.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        encoder = _ENCODERS[settings.encoder](channels)
    if settings.start == "procedural":
        if not isinstance(encoder, DenseEncoder):
            raise SclviError(f"the {settings.encoder} encoder has no procedural start; set start to random")
        weights = load_tensors(files("sclvi.encoders").joinpath("weights/dense.safetensors").read_bytes())
        encoder.load_state_dict(adapt_channels(weights, channels))
    return to_device(encoder, pick_device())


def inspecting_encoder(encoder: Encoder) -> Encoder:
    """The encoder as it inspects: batch normalisation folded where there is any."""
    return fold_batch_norm(encoder) if isinstance(encoder, DenseEncoder) else encoder.eval()


def empty_inspecting_encoder(name: str, channels: int) -> Encoder:
    """An encoder whose state fits what `inspecting_encoder` gave, to load that into."""
    return inspecting_encoder(_ENCODERS[name](channels).eval())
