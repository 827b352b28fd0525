from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sclvi.encoders import paper
from sclvi.encoders.paper import PaperEncoder
from sclvi.encoders.places import Places

# The paper's tables: layer, output size and channels, kernel, stride.
TABLE_5 = [
    ("Conv1", 28, 96, 5, 1),
    ("Maxpool1", 14, 96, 3, 2),
    ("Conv2", 14, 256, 5, 1),
    ("Maxpool2", 6, 256, 3, 2),
    ("Conv3", 6, 384, 3, 1),
    ("Conv4", 6, 384, 3, 1),
    ("Conv5", 6, 256, 3, 1),
    ("Maxpool3", 3, 256, 3, 2),
    ("Conv6", 2, 128, 2, 1),
    ("Conv7", 1, 64, 2, 1),
]
TABLE_6 = [("Conv1", 1, 128, 2, 1), ("Conv2", 1, 64, 1, 2)]
TABLES = pytest.mark.parametrize(
    ("part", "inputs", "table"), [("main", (3, 32), TABLE_5), ("secondary", (64, 2), TABLE_6)]
)


def random_encoder(channels=3):
    """Random weights, also in the normalisations, which start as 1 and 0; float64, so that equal means equal."""
    torch.manual_seed(0)
    encoder = PaperEncoder(channels)
    for module in encoder.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return encoder.double()


def quick_encoder(channels=3):
    """A stand-in for the main encoder that sees each pixel, where a test is about which patches go through it."""
    encoder = random_encoder(channels)
    encoder.main = nn.Sequential(
        nn.Flatten(), nn.Linear(channels * 32 * 32, 64), nn.Tanh(), nn.Unflatten(1, (64, 1, 1))
    )
    return encoder.double()


def random_images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_equal_but_for_rounding(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


def encode_alone(encoder, patch):
    """The code of one patch C x 32 x 32 or C x 64 x 64, quarter by quarter."""
    if patch.shape[1] == 32:
        return encoder.main(patch[None])[0, :, 0, 0]
    square = torch.empty(1, 64, 2, 2, dtype=torch.float64)
    for i in range(2):
        for j in range(2):
            square[0, :, i, j] = encode_alone(encoder, patch[:, 32 * i : 32 * i + 32, 32 * j : 32 * j + 32])
    return encoder.secondary(square)[0, :, 0, 0]


def grid_by_loops(encoder, images, patch, stride):
    rows, columns = range(0, images.shape[2] - patch + 1, stride), range(0, images.shape[3] - patch + 1, stride)
    codes = torch.empty(len(images), 64, len(rows), len(columns), dtype=torch.float64)
    for b, image in enumerate(images):
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                codes[b, :, i, j] = encode_alone(encoder, image[:, top : top + patch, left : left + patch])
    return codes


def main_encoder_passes(encoder, images, strides):
    """How many patches the main encoder takes in for a grid, chunk by chunk."""
    chunks = []
    hook = encoder.main.register_forward_hook(lambda _module, inputs, _output: chunks.append(len(inputs[0])))
    with torch.no_grad():
        encoder.encode_grid(images, strides)
    hook.remove()
    return chunks


def macs_by_the_table(table, channels):
    total = 0
    for layer, size, outputs, kernel, _ in table:
        if layer.startswith("Conv"):
            total += size**2 * kernel**2 * channels * outputs
        channels = outputs
    return total


@TABLES
def test_layers_are_those_of_the_table(part, inputs, table):
    layers = []

    def note(module, _inputs, output):
        kernel, stride = (
            value if isinstance(value, int) else value[0] for value in (module.kernel_size, module.stride)
        )
        layers.append((type(module).__name__, output.shape[2], output.shape[3], output.shape[1], kernel, stride))

    network = getattr(PaperEncoder(3), part)
    for module in network:
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(note)
    channels, size = inputs
    network(torch.zeros(1, channels, size, size))
    for (layer, *_), found in zip(table, layers, strict=True):
        print(part, layer, found)
    assert layers == [
        ("Conv2d" if layer.startswith("Conv") else "MaxPool2d", size, size, outputs, kernel, stride)
        for layer, size, outputs, kernel, stride in table
    ]


@TABLES
def test_each_convolution_is_followed_by_group_norm_and_the_last_layer_is_tanh(part, inputs, table):
    layers = list(getattr(PaperEncoder(3), part))
    norms = [after for layer, after in pairwise(layers) if isinstance(layer, nn.Conv2d)]
    assert all(isinstance(norm, nn.GroupNorm) for norm in norms)
    groups = {"main": [12, 32, 48, 48, 32, 16, 8], "secondary": [16, 8]}
    assert [norm.num_groups for norm in norms] == groups[part]
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.1] * (len(norms) - 1)
    assert isinstance(layers[-1], nn.Tanh)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_parameters_are_those_of_the_tables(channels):
    expected = 0
    for inputs, table in ((channels, TABLE_5), (64, TABLE_6)):
        for layer, _, outputs, kernel, _ in table:
            if layer.startswith("Conv"):
                expected += kernel**2 * inputs * outputs + outputs  # weights, bias
                expected += 2 * outputs  # scale and shift of GroupNorm
            inputs = outputs
    assert sum(parameter.numel() for parameter in PaperEncoder(channels).parameters()) == expected


@TABLES
def test_macs_are_those_of_the_table(part, inputs, table):
    channels, size = inputs
    with FlopCounterMode(display=False) as counter:
        getattr(PaperEncoder(3), part)(torch.zeros(1, channels, size, size))
    assert counter.get_total_flops() == 2 * macs_by_the_table(table, channels)


def test_the_docstrings_tell_what_it_costs():
    main, secondary = macs_by_the_table(TABLE_5, 3), macs_by_the_table(TABLE_6, 64)
    assert f"{main / 1e6:.0f} MMAC per 32 x 32 patch" in PaperEncoder.__doc__
    assert f"{secondary / 1e6:.2f} MMAC per 64 x 64 patch" in PaperEncoder.__doc__
    shared, alone = ((256 - 32) // 4 + 1) ** 2, 4 * ((256 - 64) // 16 + 1) ** 2
    grid_cost = " ".join(PaperEncoder.encode_grid.__doc__.split())
    assert (
        f"{shared:,} passes of the main encoder and not {shared + alone:,}: {shared * main / 1e9:.0f} GMAC" in grid_cost
    )


@pytest.mark.parametrize(
    ("make", "size", "strides"),
    [
        (random_encoder, (64, 80), (16, 16)),
        (random_encoder, (64, 67), (12, 16)),
        (quick_encoder, (80, 100), (16, 16)),
        (quick_encoder, (80, 100), (4, 16)),
        (quick_encoder, (80, 100), (12, 16)),
        (quick_encoder, (67, 71), (16, 3)),
        (quick_encoder, (64, 64), (32, 64)),
    ],
)
def test_grid_equals_each_patch_cut_out_and_encoded_alone(make, size, strides):
    encoder, images = make(), random_images(1 if make is random_encoder else 2, 3, *size)
    with torch.no_grad():
        maps = encoder.encode_grid(images, strides)
        assert len(maps) == 2
        for patch, stride, codes in zip((32, 64), strides, maps, strict=True):
            assert_equal_but_for_rounding(codes, grid_by_loops(encoder, images, patch, stride))
            assert codes.abs().max() <= 1


@pytest.mark.parametrize("strides", [(4, 16), (8, 16), (16, 16), (32, 32), (16, 32), (2, 30)])
def test_codes_of_quarters_taken_from_the_small_grid_equal_encoding_them(strides, monkeypatch):
    encoder, images = quick_encoder(), random_images(2, 3, 97, 130)
    with torch.no_grad():
        taken = encoder.encode_grid(images, strides)
        monkeypatch.setattr(paper, "_quarters_on_grid", lambda *_: False)
        encoded = encoder.encode_grid(images, strides)
    for one, other in zip(taken, encoded, strict=True):
        assert_equal_but_for_rounding(one, other)


@pytest.mark.parametrize(
    ("strides", "encoded_again"),
    [((4, 16), False), ((16, 16), False), ((16, 8), True), ((12, 24), True), ((12, 16), True)],
)
def test_quarters_are_encoded_only_where_the_small_grid_lacks_them(strides, encoded_again):
    small = len(range(0, 80 - 31, strides[0])) * len(range(0, 100 - 31, strides[0]))
    quarters = 4 * len(range(0, 80 - 63, strides[1])) * len(range(0, 100 - 63, strides[1]))
    passes = sum(main_encoder_passes(quick_encoder(), random_images(1, 3, 80, 100), strides))
    assert passes == small + (quarters if encoded_again else 0)


def test_a_grid_is_encoded_in_chunks_that_change_nothing(monkeypatch):
    encoder, images = quick_encoder(), random_images(2, 3, 80, 100)
    with torch.no_grad():
        whole = encoder.encode_grid(images, (8, 12))
        monkeypatch.setattr(paper, "CHUNK", 7)
        assert max(main_encoder_passes(encoder, images, (8, 12))) == 7
        chunked = encoder.encode_grid(images, (8, 12))
    for one, other in zip(whole, chunked, strict=True):
        assert_equal_but_for_rounding(one, other)


@pytest.mark.parametrize(
    ("make", "channels", "layout", "count"),
    [
        (random_encoder, 3, torch.channels_last, 3),
        (quick_encoder, 1, torch.contiguous_format, 20),
        (quick_encoder, 3, torch.contiguous_format, 20),
        (quick_encoder, 5, torch.channels_last, 20),
    ],
)
def test_readers_equal_patches_cut_out_at_random_places(make, channels, layout, count):
    encoder, views = make(channels), random_images(4, channels, 70, 90).contiguous(memory_format=layout)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for patch, reader in zip((32, 64), encoder.read(views), strict=True):
            places = Places(
                torch.randint(4, (count,), generator=generator),
                torch.randint(70 - patch + 1, (count,), generator=generator),
                torch.randint(90 - patch + 1, (count,), generator=generator),
            )
            codes = reader(places)
            assert codes.shape == (count, 64)
            for n in range(count):
                view, top, left = (int(field[n]) for field in (places.views, places.tops, places.lefts))
                cut = views[view, :, top : top + patch, left : left + patch]
                assert_equal_but_for_rounding(codes[n], encode_alone(encoder, cut))


def test_readers_pass_gradients_to_all_parameters():
    encoder = random_encoder()
    places = Places(torch.tensor([0, 1]), torch.tensor([0, 3]), torch.tensor([5, 1]))
    small, large = encoder.read(random_images(2, 3, 70, 70))
    small(places)[:, 0].sum().backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is None) == name.startswith("secondary"), name
    encoder.zero_grad()
    large(places).pow(2).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_training_and_evaluation_mode_give_the_same_codes():
    encoder, images = random_encoder(), random_images(1, 3, 64, 64)
    with torch.no_grad():
        trained, evaluated = encoder.train().encode_grid(images, (32, 32)), encoder.eval().encode_grid(images, (32, 32))
    for one, other in zip(trained, evaluated, strict=True):
        assert torch.equal(one, other)


def test_a_code_depends_on_its_own_pixels_alone():
    encoder, image = random_encoder(), random_images(1, 3, 96, 96)
    places = Places(torch.tensor([0, 0]), torch.tensor([16, 9]), torch.tensor([16, 16]))  # itself, a neighbour above
    for scale, patch in enumerate((32, 64)):
        changed = random_images(1, 3, 96, 96, seed=3)
        changed[:, :, 16 : 16 + patch, 16 : 16 + patch] = image[:, :, 16 : 16 + patch, 16 : 16 + patch]
        with torch.no_grad():
            before, after = (encoder.read(one)[scale](places) for one in (image, changed))
        assert_equal_but_for_rounding(before[0], after[0])
        assert (before[1] - after[1]).abs().max() > 0.01


def test_one_padded_pass_over_the_picture_would_let_neighbours_in():
    """Why every patch is cut out: the first code of the pass should be that of the patch at (0, 0), and is not."""
    encoder, image = random_encoder(), random_images(1, 3, 64, 64)
    changed = random_images(1, 3, 64, 64, seed=3)
    changed[:, :, :32, :32] = image[:, :, :32, :32]
    with torch.no_grad():
        before, after = (encoder.main(one)[0, :, 0, 0] for one in (image, changed))
        alone = encode_alone(encoder, image[0, :, :32, :32])
    assert (before - after).abs().max() > 0.01
    assert (before - alone).abs().max() > 0.01


def test_every_pixel_of_a_patch_counts():
    views = random_images(1, 3, 70, 90).requires_grad_()
    for patch, reader in zip((32, 64), random_encoder().read(views), strict=True):
        codes = reader(Places(torch.tensor([0]), torch.tensor([3]), torch.tensor([7])))
        (gradient,) = torch.autograd.grad(codes.pow(2).sum(), views)
        inside = torch.zeros(70, 90, dtype=torch.bool)
        inside[3 : 3 + patch, 7 : 7 + patch] = True
        reached = (gradient[0] != 0).any(0)
        assert torch.equal(reached, inside)


def test_patches_are_cut_channels_last():
    places = Places(torch.tensor([0, 1]), torch.tensor([0, 3]), torch.tensor([5, 1]))
    patches = paper._cut(random_images(2, 3, 70, 70), places, 32)
    assert patches.shape == (2, 3, 32, 32)
    assert patches.is_contiguous(memory_format=torch.channels_last)
