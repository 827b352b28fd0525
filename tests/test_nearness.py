"""Search by code and place, against every pair looked at."""

import numpy as np
import pytest
import torch
from test_places import SETTINGS

from sclvi.encoders.making import inspecting_encoder, new_encoder
from sclvi.memory.bank import MemoryBank
from sclvi.memory.codespace import CodeSpace
from sclvi.memory.nearness import with_places
from sclvi.memory.scale import ScaleMemory, fill_memories
from sclvi.progress import silent

GRID, STRIDE, PICTURES, LENGTH = (5, 7), 4, 6, 8


def memory_of(codes, nearness):
    """A memory of PICTURES x h x w x LENGTH codes."""
    rows = codes.flatten(0, 2) if nearness == 0 else with_places(codes, STRIDE, nearness).flatten(0, 2)
    bank = MemoryBank.build(rows, torch.arange(len(rows)), seed=0)
    return ScaleMemory(32, STRIDE, None, bank, GRID, nearness)


def test_places_are_pixels_by_weight():
    placed = with_places(torch.zeros(2, 3, 4, 5), 8, 0.5)
    assert placed.shape == (2, 3, 4, 13)
    assert placed[1, 2, 3].tolist() == [0, 0, 0, 0, 0, 2 * 8 * 0.5, 3 * 8 * 0.5, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("nearness", [0.0, 0.05, 10.0])
def test_what_is_found_is_nearest_by_code_and_place(generator, nearness):
    codes = torch.randn(PICTURES, *GRID, LENGTH, generator=generator).half().float()
    encoded = torch.randn(2, LENGTH, 3, 4, generator=generator)
    queries, found = memory_of(codes, nearness).search(encoded, 2 * STRIDE, 3, None)
    known = codes.flatten(0, 2).numpy()
    rows, columns = (axis.ravel() * STRIDE for axis in np.indices(GRID))
    for number, query in enumerate(queries.numpy()):
        picture, row, column = np.unravel_index(number, (2, 3, 4))
        assert query == pytest.approx(encoded[picture, :, row, column].numpy())
        apart = (rows - row * 2 * STRIDE) ** 2 + (columns - column * 2 * STRIDE) ** 2
        distances = np.linalg.norm(known - query, axis=1)
        joint = np.sqrt(distances**2 + nearness**2 * np.tile(apart, PICTURES))
        nearest = np.argsort(joint)[:3]
        assert set(found.origins[number].tolist()) == set(nearest.tolist())
        assert np.sort(found.distances[number].numpy()) == pytest.approx(np.sort(distances[nearest]), rel=1e-2)


def test_a_picture_does_not_find_itself(generator):
    codes = torch.randn(PICTURES, *GRID, LENGTH, generator=generator)
    _, found = memory_of(codes, 0.05).search(codes[2][None].permute(0, 3, 1, 2), STRIDE, 3, range(2, 3))
    patches = GRID[0] * GRID[1]
    assert not ((found.origins >= 2 * patches) & (found.origins < 3 * patches)).any()


def test_items_that_are_missing_stay_missing(generator):
    codes = torch.randn(1, *GRID, LENGTH, generator=generator)
    _, found = memory_of(codes, 0.05).search(codes.permute(0, 3, 1, 2), STRIDE, 40, None)
    assert torch.isinf(found.distances[:, 35:]).all()
    assert (found.origins[:, 35:] == -1).all()


def test_each_scale_remembers_its_own_places(generator):
    images = torch.randn(2, 3, 96, 128, generator=generator)
    for memory in fill_memories(inspecting_encoder(new_encoder(SETTINGS, 3)), images, SETTINGS, silent, 0.5):
        rows, columns = np.indices(memory.grid) * memory.stride * 0.5
        kept = memory.bank.codes_of(np.arange(len(memory.bank)))[:, -8:-6].numpy()
        np.testing.assert_allclose(kept, np.tile(np.stack([rows.ravel(), columns.ravel()], 1), (2, 1)))


def test_the_length_of_a_code_space_is_that_of_centred_codes(generator):
    codes = 5 + torch.randn(101, 4, generator=generator)
    apart = np.linalg.norm(codes.numpy() - codes.numpy().mean(0), axis=1)
    assert CodeSpace.measure(codes, 0.5).length == pytest.approx(0.5 * np.median(apart), rel=1e-5)
