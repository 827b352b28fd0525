import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from sclvi.memory.lines import DIRECTIONS, LONG, REACH, SHORT, line_filters, line_strengths


def stroke(angle, size=120):
    """A line, 2 px wide and 50 px long, through the middle; angle from the columns' axis towards the rows'."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    return torch.from_numpy(((abs(across) <= 1) & (abs(along) <= 25)).astype(np.float32))[None, None]


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_a_line_is_strongest_in_its_own_direction(direction):
    strengths = line_strengths(stroke(direction * math.pi / DIRECTIONS))[0, :, 59, 59]
    assert strengths.argmax() == direction
    across = strengths[(direction + DIRECTIONS // 2) % DIRECTIONS]
    assert strengths[direction] > 3 * across


def test_bright_and_dark_lines_are_alike_and_plain_light_is_none():
    line = stroke(0.3).expand(1, 3, -1, -1)
    torch.testing.assert_close(line_strengths(line), line_strengths(-line))
    torch.testing.assert_close(line_strengths(line), line_strengths(line + 7), atol=2e-3, rtol=1e-4)
    assert line_strengths(torch.full((1, 2, 30, 40), 5.0)).max() < 1e-5


def test_the_strengths_are_those_of_two_plain_correlations():
    picture = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    found = line_strengths(torch.from_numpy(picture)[None, None])[0]
    for number, kernels in enumerate(zip(line_filters(LONG).numpy(), line_filters(SHORT).numpy(), strict=True)):
        long, short = (ndimage.correlate(picture, kernel, mode="nearest") for kernel in kernels)
        expected = np.where(long * short > 0, np.sqrt(np.abs(long * short)), 0)
        np.testing.assert_allclose(found[number].numpy(), expected, atol=2e-3)  # roots of what is rounded


@pytest.mark.parametrize(("step", "window"), [(1, 3), (2, 3), (4, 3), (3, 1), (1, 1)])
def test_windows_hold_the_strongest_of_their_pixels(step, window):
    pictures = torch.randn(2, 1, 41, 50, generator=torch.Generator().manual_seed(1))
    expected = F.max_pool2d(line_strengths(pictures), step * window, step)
    assert torch.equal(line_strengths(pictures, step, window), expected)


@pytest.mark.parametrize("length", [LONG, SHORT])
def test_a_filter_answers_noise_with_the_deviation_of_the_noise(length):
    noise = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    answers = F.conv2d(noise, line_filters(length)[:, None])
    torch.testing.assert_close(answers.square().mean((0, 2, 3)).sqrt(), torch.ones(DIRECTIONS), atol=0.06, rtol=0)


def test_a_line_ends_where_it_ends():
    """The long filter alone still answers twelve px beyond the end."""
    picture = stroke(0.0, size=2 * REACH + 80)
    middle = picture.shape[2] // 2
    row = line_strengths(picture)[0, 0, middle]
    long = F.conv2d(picture, line_filters(LONG)[:1, None], padding=REACH)[0, 0, middle].abs()
    beyond = middle + 25 + 12  # px, past the end of the stroke
    assert row[beyond] < 0.1 * row[middle] and row[middle + 20] > 0.5 * row[middle]
    assert long[beyond] > 0.15 * long[middle]
