import pytest
import torch

from sclvi.encoders.dense import DenseEncoder, fold_batch_norm
from sclvi.memory.surface import SurfaceMoments, see_surface
from sclvi.progress import silent


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
