"""Encoders as they are made, and the precision they inspect in."""

import pytest
import torch
from torch import nn

from sclvi.encoders.compute import encode, reduced_precision
from sclvi.encoders.dense import STRIDE, DenseEncoder
from sclvi.encoders.making import new_encoder
from sclvi.encoders.paper import PaperEncoder
from sclvi.settings import Settings


def weights(seed):
    encoder = new_encoder(Settings(start="random", seed=seed), 3)
    return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()]).cpu()


def test_a_seed_is_one_random_start_and_leaves_the_generator_of_others_alone():
    torch.manual_seed(7)
    first = weights(0)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


@pytest.fixture
def with_bf16(monkeypatch):
    """As if the machine computed in bf16, which it does, slowly, where it has no instructions for it."""
    monkeypatch.setattr("sclvi.encoders.compute.has_bf16", lambda device: True)


@pytest.mark.usefixtures("with_bf16")
def test_precision_is_reduced_where_it_is_wanted_and_had(monkeypatch):
    cpu = torch.device("cpu")
    with reduced_precision(cpu):
        assert torch.is_autocast_enabled("cpu")
    with reduced_precision(cpu, wanted=False):
        assert not torch.is_autocast_enabled("cpu")
    monkeypatch.setattr("sclvi.encoders.compute.has_bf16", lambda device: False)
    with reduced_precision(cpu):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.usefixtures("with_bf16")
@pytest.mark.parametrize("kind", [PaperEncoder, DenseEncoder])
def test_only_encoders_that_may_round_do(kind):
    torch.manual_seed(0)
    encoder = kind(3).eval()
    images = torch.randn(1, 3, 64, 64)
    strides = (16, 16)
    with torch.no_grad():
        exact = encoder.encode_grid(images, strides)
    for codes, expected in zip(encode(encoder, images, strides), exact, strict=True):
        assert codes.dtype == torch.float32
        apart = (codes - expected).abs().max().item()
        assert (apart < 1e-4) == encoder.inspects_exactly
        assert apart < 0.1


def test_a_grid_that_learns_has_the_statistics_of_all_positions():
    torch.manual_seed(0)
    encoder = DenseEncoder(3).train()
    images = torch.randn(2, 3, 96, 80)
    grid = encoder.encode_grid(images, (8, 16))
    before = [module.num_batches_tracked.item() for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    whole = encoder(images)  # learning statistics move, those of a batch are the same
    assert set(before) == {1}
    for codes, expected, stride in zip(grid, whole, (8, 16), strict=True):
        torch.testing.assert_close(codes, expected[:, :, :: stride // STRIDE, :: stride // STRIDE])
