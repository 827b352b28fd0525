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
    surface = see_surface(encoder, pictures(20), silent).surface()
    good = pictures(1, seed=1)
    changed = good.clone()
    changed[:, :, 40:52, 60:72] += 2
    difference = (surface.pixels(changed) - surface.pixels(good))[0]
    row, column = divmod(difference.argmax().item(), difference.shape[1])
    assert 36 <= row < 56 and 56 <= column < 76
    far = difference.clone()
    far[40 - 24 : 52 + 24, 60 - 24 : 72 + 24] = 0  # a response at quarter resolution has seen 24 px
    assert far.abs().max() == 0
    assert difference.max() > 0.5


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
