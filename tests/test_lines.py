import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from sclvi.memory.lines import DIRECTIONS, line_filters, line_strengths


def stroke(angle, size=80):
    """A line, 2 px wide and 50 px long, through the middle; angle from the columns' axis towards the rows'."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    return torch.from_numpy(((abs(across) <= 1) & (abs(along) <= 25)).astype(np.float32))[None, None]


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_a_line_is_strongest_in_its_own_direction(direction):
    strengths = line_strengths(stroke(direction * math.pi / DIRECTIONS))[0, :, 39, 39]
    assert strengths.argmax() == direction
    across = strengths[(direction + DIRECTIONS // 2) % DIRECTIONS]
    assert strengths[direction] > 3 * across


def test_bright_and_dark_lines_are_alike_and_plain_light_is_none():
    line = stroke(0.3).expand(1, 3, -1, -1)
    torch.testing.assert_close(line_strengths(line), line_strengths(-line))
    torch.testing.assert_close(line_strengths(line), line_strengths(line + 7), atol=1e-5, rtol=1e-4)
    assert line_strengths(torch.full((1, 2, 30, 40), 5.0)).max() < 1e-5


def test_the_strengths_are_those_of_a_plain_correlation():
    picture = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    found = line_strengths(torch.from_numpy(picture)[None, None])[0]
    for number, kernel in enumerate(line_filters()[:, 0].numpy()):
        expected = abs(ndimage.correlate(picture, kernel, mode="nearest"))
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-5)


def test_noise_answers_with_its_own_deviation():
    noise = torch.randn(1, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    inner = line_strengths(noise)[..., 11:-11, 11:-11]
    torch.testing.assert_close(inner.square().mean((0, 2, 3)).sqrt(), torch.ones(DIRECTIONS), atol=0.05, rtol=0)
