import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, maximum_filter

from sclvi.scoring.pixels import patches_over, pixel_map, sharpened, smooth


def pixel_map_by_the_text(scores, patch, stride, size):
    """Eq. 7 pixel by pixel: the mean over the patches that cover it."""
    rows, columns = scores.shape
    out = np.full(size, np.nan)
    for y in range(size[0]):
        for x in range(size[1]):
            covering = [
                scores[i, j]
                for i in range(rows)
                for j in range(columns)
                if i * stride <= y < i * stride + patch and j * stride <= x < j * stride + patch
            ]
            if covering:
                out[y, x] = np.mean(covering)
    return out


@pytest.mark.parametrize(
    ("patch", "stride", "size"), [(32, 8, (64, 72)), (32, 4, (48, 40)), (64, 16, (96, 64)), (5, 2, (10, 12))]
)
def test_pixel_map_is_eq_7(patch, stride, size):
    grid = [(side - patch) // stride + 1 for side in size]
    scores = np.random.default_rng(0).random(grid)
    expected = pixel_map_by_the_text(scores, patch, stride, size)
    covered = ~np.isnan(expected)
    actual = pixel_map(torch.from_numpy(scores)[None], patch, stride, size)[0].numpy()
    np.testing.assert_allclose(actual[covered], expected[covered], rtol=1e-6)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize(
    ("patch", "stride", "size", "grid"),
    [
        (4, 2, (11, 13), (5, 6)),  # the last ones end outside
        (4, 4, (8, 12), (2, 3)),
        (5, 1, (6, 9), (2, 5)),
        (6, 4, (9, 17), (2, 4)),
        (6, 4, (14, 19), (2, 3)),  # or before the picture does
    ],
)
def test_patches_over_pixels_are_those_that_eq_7_lets_speak_there(patch, stride, size, grid):
    pixels = torch.from_numpy(np.random.default_rng(0).random((3, *size)) < 0.05)
    over = patches_over(pixels, patch, stride, grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            alone = torch.zeros(1, *grid)
            alone[0, row, column] = 1
            speaks = pixel_map(alone, patch, stride, size)[0] > 0
            assert over[:, row, column].tolist() == (pixels & speaks).any(2).any(1).tolist()


def test_pixels_past_the_last_patch_repeat_the_last_covered_one():
    actual = pixel_map(torch.rand(1, 2, 2), patch=4, stride=3, size=(9, 9))[0]  # patches cover 0..6
    assert torch.equal(actual[7], actual[6])
    assert torch.equal(actual[:, 8], actual[:, 6])


def test_a_filter_wider_than_the_map_is_cut_to_what_can_be_reflected():
    smoothed = smooth(torch.rand(1, 9, 40), 20.0)
    assert smoothed.shape == (1, 9, 40) and torch.isfinite(smoothed).all()


def test_smooth_is_a_gaussian_filter():
    maps = np.random.default_rng(0).random((2, 40, 50))
    expected = [gaussian_filter(one, 2.0, mode="mirror", truncate=3) for one in maps]
    np.testing.assert_allclose(smooth(torch.from_numpy(maps), 2.0).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("reach", [1, 3])
def test_sharpened_keeps_what_is_largest_around_it(reach):
    maps = np.random.default_rng(0).random((2, 9, 20), np.float32)
    maps[1, :, 10:] = 0
    largest = np.stack([maximum_filter(one, 2 * reach + 1, mode="nearest") for one in maps])
    expected = np.divide(maps**3, largest**2, out=np.zeros_like(maps), where=largest > 0)
    np.testing.assert_allclose(sharpened(torch.from_numpy(maps), reach).numpy(), expected, rtol=1e-5)
