import math

import numpy as np
import pytest
import torch

from sclvi.encoders.dense import DenseEncoder, fold_batch_norm
from sclvi.memory.exemplars import Exemplars, Taught
from sclvi.memory.gaussian import Gaussian
from sclvi.memory.surface import Answers, SurfaceMoments, _excuse, limits_of, see_surface
from sclvi.progress import silent
from sclvi.scoring.maps import Usual
from sclvi.scoring.pixels import pixel_map


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return fold_batch_norm(DenseEncoder(3).eval())


def pictures(count, size=(96, 128), seed=0):
    """Noise on a ramp, float, as `Light` gives pictures."""
    ramp = torch.linspace(-1, 1, size[1]).expand(3, *size)
    return ramp + 0.2 * torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_a_changed_spot_is_found_where_it_is_and_nowhere_else(encoder):
    size = (192, 256)
    surface = see_surface(encoder, pictures(20, size), silent).surface()
    good = pictures(1, size, seed=1)
    changed = good.clone()
    changed[:, :, 80:92, 120:132] += 2
    difference = (surface.pixels(changed) - surface.pixels(good))[0]
    row, column = divmod(difference.argmax().item(), difference.shape[1])
    assert 76 <= row < 96 and 116 <= column < 136
    first_layer = slice(0, len(surface.levels) - 2)
    for before, after in zip(surface.judge(good)[first_layer], surface.judge(changed)[first_layer], strict=True):
        there = (after[1] != before[1])[0].nonzero() * before[0].stride
        assert (there >= torch.tensor([80, 120]) - before[0].extent).all()
        assert (there < torch.tensor([92, 132])).all()
    # the spot is a line to filters as long as this picture, but less with each px
    assert difference.max() > 0.5 and difference.max() > 5 * difference[:, -60:].abs().max()


def test_good_pictures_score_about_one(encoder):
    surface = see_surface(encoder, pictures(60), silent).surface()
    assert surface.pixels(pictures(10, seed=1)).mean().item() == pytest.approx(1, abs=0.15)


def test_a_spot_that_is_usual_elsewhere_is_unusual_here(encoder):
    """Dark at the left is usual, the same dark at the right is not."""
    surface = see_surface(encoder, pictures(20), silent).surface()
    moved = pictures(1, seed=1)
    moved[:, :, 30:60, 90:120] = moved[:, :, 30:60, 4:34].clone()
    found = surface.pixels(moved)[0]
    assert found[40:50, 100:110].mean() > 2 * found[40:50, 10:24].mean()


def test_a_picture_left_out_is_as_if_never_seen(encoder):
    seen, other = pictures(9), pictures(1, seed=2) * 5
    moments = see_surface(encoder, torch.cat([seen, other]), silent)
    without = moments.surface_without(other).pixels(other)
    never = SurfaceMoments.of(encoder.first_layer(), seen).surface().pixels(other)
    torch.testing.assert_close(without, never, rtol=1e-3, atol=1e-3)
    assert (without > moments.surface().pixels(other)).all()


@pytest.mark.parametrize("size", [(64, 64), (67, 130), (96, 320), (601, 600)])
def test_the_outermost_pixels_of_any_size_are_seen(encoder, size):
    surface = see_surface(encoder, pictures(3, size), silent).surface()
    good = pictures(1, size, seed=1)
    before = surface.pixels(good)
    assert before.shape == (1, *size) and torch.isfinite(before).all()
    for edge in (
        (..., slice(-2, None)),
        (..., slice(-2, None), slice(None)),
        (..., slice(2)),
        (..., slice(2), slice(None)),
    ):
        changed = good.clone()
        changed[edge] += 5
        assert (surface.pixels(changed)[edge] > before[edge] + 0.5).float().mean() > 0.9


def test_a_line_fainter_than_the_grain_is_found_along_its_length(encoder):
    """Each of its pixels lies within the deviation of the grain; a block of so many pixels would be hidden too."""
    surface = see_surface(encoder, pictures(40), silent).surface()
    good = pictures(6, seed=1)
    rows, columns = torch.arange(30, 66), torch.arange(40, 76)
    lined = good.clone()
    lined[:, :, rows, columns] += 0.2
    lined[:, :, rows + 1, columns] += 0.2
    gained = (surface.pixels(lined) - surface.pixels(good))[:, rows, columns].mean()
    shuffled = good.clone()
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):
        shuffled[:, :, rows, columns[torch.randperm(36, generator=generator)]] += 0.2
    scattered = (surface.pixels(shuffled) - surface.pixels(good))[:, 30:66, 40:76].mean()
    assert gained > 0.1 and gained > 3 * scattered


def test_excusing_a_response_is_what_the_plain_loops_do(generator):
    responses, maps = torch.randn(2, 5, 6, 3, generator=generator), torch.rand(2, 24, 28, generator=generator) ** 8
    level = Gaussian(torch.zeros(5, 6, 3), torch.randn(5, 6, 3, 3, generator=generator))
    taught = Taught(Exemplars(torch.randn(9, 3, generator=generator), torch.arange(9)), 0.8)
    distances = level.distances(responses)
    expected = distances.clone()
    for picture, row, column in np.ndindex(2, 5, 6):
        over = maps[picture, 4 * row : 4 * row + 8, 4 * column : 4 * column + 8]
        distance = distances[picture, row, column].item()
        if distance <= 0.8 or over.max() <= 0.8:
            continue
        apart = responses[picture, row, column] - taught.exemplars.codes
        nearest = apart[apart.norm(dim=1).argmin()] @ level.whiteners[row, column]
        excused = nearest.norm().item() / math.sqrt(3) / math.sqrt(2)  # mean over the three; two of one kind differ so
        if excused < 0.6 * distance:
            expected[picture, row, column] = excused
    assert 3 < (expected != distances).sum() < 50
    torch.testing.assert_close(_excuse(distances, Answers(responses, 8, 4), maps, level, taught), expected)


def test_the_map_is_the_root_mean_square_over_all_levels_and_lines_have_two(encoder):
    surface = see_surface(encoder, pictures(20), silent).surface()
    images = pictures(2, seed=1)
    squares = [
        pixel_map(distances.square(), seen.extent, seen.stride, (96, 128)) for seen, distances in surface.judge(images)
    ]
    assert len(squares) == 5
    for found, levels in zip(surface.maps(images), (squares, squares[3:]), strict=True):
        torch.testing.assert_close(found, torch.stack(levels).mean(0).sqrt())


def test_each_level_has_the_limit_of_its_own_map():
    surface, lines = Usual(1.0, 0.4, 1.0), Usual(2.0, 0.4, 1.0)
    assert limits_of((surface, lines)) == (surface.unusual,) * 3 + (lines.unusual,) * 2
