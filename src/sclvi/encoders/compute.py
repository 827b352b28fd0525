"""Where and in which precision the encoder runs."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from sclvi.encoders.interface import Encoder

M = TypeVar("M", bound=nn.Module)


def pick_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 convolutions run in hardware; elsewhere they are emulated and slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported())  # no public query yet; 5 x slower than fp32 where it is absent


def reduced_precision(device: torch.device, wanted: bool = True) -> AbstractContextManager[None]:
    """Autocast to bf16 where it is wanted and the hardware has it, else nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_bf16(device))


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Within it a GPU adds up in the same order every time, so that a seed gives one model; a CPU always does."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or matrix products are refused
    filling = cast(Any, torch.utils.deterministic)  # torch's stubs lack what is set
    before = torch.are_deterministic_algorithms_enabled(), filling.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    filling.fill_uninitialized_memory = False  # nothing is read before it is written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        filling.fill_uninitialized_memory = before[1]


def to_device(module: M, device: torch.device) -> M:
    """The module on the device, in the memory layout in which its convolutions are fastest."""
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it


def encode(encoder: Encoder, images: Tensor, strides: tuple[int, ...]) -> list[Tensor]:
    """Codes per scale, B x 64 x h x w float32 (see `Encoder.encode_grid`), of B x C x H x W; no gradient."""
    device = next(encoder.parameters()).device
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    exact = encoder.inspects_exactly
    # cuDNN would round the inputs of float32 convolutions to ten bits of mantissa; `flags` alone would turn it off
    tf32 = torch.backends.cudnn.flags(enabled=True, allow_tf32=not exact)
    with torch.inference_mode(), tf32, reduced_precision(device, wanted=not exact):
        return [codes.float() for codes in encoder.encode_grid(images, strides)]
