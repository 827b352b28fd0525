"""Winograd's convolution against torch's own, in double precision."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sclvi.encoders.winograd import WinogradConvolution, transform_kernels, winograd


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 7), st.integers(3, 23), st.integers(3, 23))
def test_it_is_the_convolution(batch, inputs, outputs, height, width):
    generator = torch.Generator().manual_seed(height * width)
    images = torch.randn(batch, inputs, height, width, generator=generator)
    kernels = torch.randn(outputs, inputs, 3, 3, generator=generator)
    bias = torch.randn(outputs, generator=generator)
    expected = F.conv2d(images.double(), kernels.double(), bias.double()).float()
    torch.testing.assert_close(winograd(images, transform_kernels(kernels), bias), expected, rtol=1e-3, atol=2e-4)


def test_rounding_stays_small_at_the_size_of_the_encoder(generator):
    layer = nn.Conv2d(128, 128, 3)
    images = torch.randn(2, 128, 40, 41, generator=generator)
    with torch.inference_mode():
        expected = F.conv2d(images.double(), layer.weight.double(), layer.bias.double())
        error = WinogradConvolution.like(layer)(images) - expected
    assert error.abs().max() < 2e-4 * expected.std()


def test_other_weights_are_not_answered_with_the_old_ones(generator):
    first, second = nn.Conv2d(4, 5, 3), nn.Conv2d(4, 5, 3)
    images = torch.randn(1, 4, 9, 9, generator=generator)
    layer = WinogradConvolution.like(first)
    with torch.inference_mode():
        layer(images)
    layer.load_state_dict(second.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(layer(images), second(images), rtol=1e-4, atol=1e-5)


def test_with_gradients_it_is_torchs_own(generator):
    layer = WinogradConvolution(3, 4)
    images = torch.randn(1, 3, 8, 8, generator=generator)
    assert torch.equal(layer(images), F.conv2d(images, layer.weight, layer.bias))
    layer(images).sum().backward()
    assert layer.weight.grad is not None


def test_where_precision_is_reduced_torch_convolves(generator):
    layer = WinogradConvolution(16, 16)
    images = torch.randn(1, 16, 20, 20, generator=generator)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(images), F.conv2d(images, layer.weight, layer.bias))
