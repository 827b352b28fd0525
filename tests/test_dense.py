import numpy as np
import pytest
import torch
from torch import nn

from sclvi.data.light import normalise_light
from sclvi.data.preparing import prepare
from sclvi.data.reading import read_picture
from sclvi.encoders.dense import STRIDE, DenseEncoder, adapt_channels, fold_batch_norm
from sclvi.encoders.interface import PATCH_SIZES
from sclvi.encoders.making import new_encoder
from sclvi.settings import Settings


def random_encoder(channels=3, seed=0):
    """Random weights and, so that batch normalisation is not the identity, random statistics."""
    torch.manual_seed(seed)
    encoder = DenseEncoder(channels)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return encoder.eval()


def check_dense_equals_patchwise(encoder, image, places):
    """The code at each place of the map against the patch cut out and encoded alone."""
    with torch.no_grad():
        maps = encoder(image)
        for scale, patch in enumerate(PATCH_SIZES):
            for row, column in places:
                top, left = row * STRIDE, column * STRIDE
                code = encoder.main(image[:, :, top : top + patch, left : left + patch])
                if patch == 64:
                    code = encoder.secondary(code)
                assert code.shape[2:] == (1, 1)
                torch.testing.assert_close(maps[scale][0, :, row, column], code[0, :, 0, 0], rtol=1e-4, atol=1e-5)


def test_map_equals_each_patch_cut_out_and_encoded_alone_on_real_pixels(real_data):
    picture = read_picture(min((real_data / "bottle" / "train" / "good").iterdir()))
    image = normalise_light(prepare(picture, (256, 256), 3)[None])
    rng = np.random.default_rng(0)
    places = [(0, 0), (48, 48), *rng.integers(0, 49, (20, 2)).tolist()]
    check_dense_equals_patchwise(random_encoder(), image, places)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 131)])
def test_map_equals_each_patch_on_odd_sizes(height, width):
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    last = ((height - 64) // STRIDE, (width - 64) // STRIDE)
    check_dense_equals_patchwise(random_encoder(), image, [(0, 0), last])


def test_map_sizes_are_those_of_the_paper():
    small, large = random_encoder()(torch.zeros(1, 3, 256, 256))
    assert small.shape == (1, 64, 57, 57)  # (256 - 32) / 4 + 1: 3,249 patches
    assert large.shape == (1, 64, 49, 49)


def test_folded_batch_norm_changes_nothing():
    encoder, image = random_encoder(), torch.randn(2, 3, 80, 96)
    folded = fold_batch_norm(encoder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for before, after in zip(encoder(image), folded(image), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_one_channel_weights_give_what_a_repeated_grey_picture_gives():
    colour, grey = random_encoder(3), random_encoder(1)
    grey.load_state_dict(adapt_channels(colour.state_dict(), 1))
    image = torch.randn(1, 1, 70, 70)
    torch.testing.assert_close(grey.eval()(image)[0], colour(image.expand(-1, 3, -1, -1))[0], rtol=1e-4, atol=1e-5)


def test_weights_for_more_channels_respond_alike_to_equal_channels():
    colour, many = random_encoder(3), random_encoder(5)
    many.load_state_dict(adapt_channels(colour.state_dict(), 5))
    image = torch.randn(1, 1, 70, 70)
    expected = colour(image.expand(-1, 3, -1, -1))[0]
    torch.testing.assert_close(many.eval()(image.expand(-1, 5, -1, -1))[0], expected, rtol=1e-4, atol=1e-5)


def first_layers(channels):
    colour = random_encoder(3).state_dict()
    return colour["main.0.weight"], adapt_channels(colour, channels)["main.0.weight"]


def test_three_channels_keep_their_weights():
    before, after = first_layers(3)
    assert torch.equal(before, after)


@pytest.mark.parametrize("channels", [4, 7, 16])
def test_each_kernel_keeps_its_strength_and_each_channel_is_seen_as_often_as_any(channels):
    """White noise in all channels then gives responses of the same variance as it gives in RGB."""
    before, after = first_layers(channels)
    torch.testing.assert_close(after.square().sum((1, 2, 3)), before.square().sum((1, 2, 3)))
    seen = (after.abs().amax((2, 3)) > 0).sum(0)
    assert seen.max() - seen.min() <= 1 and seen.sum() == 3 * 32


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_the_shipped_start_answers_grey_as_it_answers_grey_in_rgb(channels):
    many, colour = (new_encoder(Settings(), count).eval().cpu() for count in (channels, 3))
    assert many.channels == channels
    image = torch.randn(1, 1, 70, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pairs = zip(many(image.expand(-1, channels, -1, -1)), colour(image.expand(-1, 3, -1, -1)), strict=True)
    for codes, expected in pairs:
        torch.testing.assert_close(codes, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [(4, 4), (4, 8), (8, 16), (16, 32), (12, 8), (32, 4)])
def test_a_grid_is_the_map_thinned(strides):
    encoder, image = random_encoder(), torch.randn(2, 3, 121, 90, generator=torch.Generator().manual_seed(2))
    for one in (encoder, fold_batch_norm(encoder)):
        with torch.inference_mode():
            grid = one.encode_grid(image, strides)
            whole = [
                codes[:, :, :: stride // STRIDE, :: stride // STRIDE]
                for codes, stride in zip(encoder(image), strides, strict=True)
            ]
        for codes, expected in zip(grid, whole, strict=True):
            torch.testing.assert_close(codes, expected, rtol=1e-3, atol=1e-4)
