import numpy as np
import pytest
import torch
from PIL import Image

from sclvi.data.images import MadeImages, Selection, in_batches, kept
from sclvi.data.store import PictureStore
from sclvi.errors import SclviError


@pytest.fixture
def files(tmp_path):
    """Five pictures of 30 x 20 x 3 bytes."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((30, 20, 3), number, np.uint8)).save(path)
    return paths


@pytest.mark.parametrize(("kept_mib", "held"), [(0, 0), (2.5 * 1800 / 2**20, 2), (1, 5)])
def test_what_fits_the_budget_is_kept_and_the_rest_is_read_again(files, kept_mib, held):
    store = PictureStore(files, kept_mib)
    assert [int(picture[0, 0, 0]) for picture in store.read_all()] == [0, 1, 2, 3, 4]
    for number, path in enumerate(files):
        Image.fromarray(np.full((30, 20, 3), 100 + number, np.uint8)).save(path)
    again = [int(store[number][0, 0, 0]) for number in (3, 0, 1, 2, 4)]
    fresh = [number if number < held else 100 + number for number in (3, 0, 1, 2, 4)]
    assert again == fresh


def test_the_latest_picture_is_not_read_twice_in_a_row(files):
    store = PictureStore(files, 0)
    first = store[2]
    files[2].unlink()
    assert store[2] is first
    store[1]
    with pytest.raises(SclviError, match=r"2\.png"):
        store[2]


def test_what_cannot_be_read_keeps_its_place(files):
    files[1].write_text("words")
    results = list(PictureStore([files[0], files[1], np.zeros((20, 20), np.uint8)]).read_all())
    assert [isinstance(result, SclviError) for result in results] == [False, True, False]


def test_images_made_when_asked_for_are_those_of_a_tensor():
    tensor = torch.rand(70, 3, 320, 320)
    made = MadeImages((70, 3, 320, 320), lambda number: tensor[number])
    numbers = torch.tensor([5, 2, 69])
    assert torch.equal(made[numbers], tensor[numbers])
    some = Selection(Selection(made, numbers), torch.tensor([2, 0]))
    assert some.shape == (2, 3, 320, 320) and torch.equal(torch.cat(list(in_batches(some))), tensor[[69, 5]])
    assert [len(batch) for batch in in_batches(made)] == [8] * 8 + [6]


def test_images_that_fit_are_made_once_and_are_the_callers_own():
    tensor, asked = torch.rand(5, 2, 8, 8), []

    def make(number):
        asked.append(number)
        return tensor[number].clone()

    made = MadeImages((5, 2, 8, 8), make)
    images = kept(made, 5 * 2 * 8 * 8 * 4 / 2**20)
    assert torch.equal(images[torch.tensor([3, 1, 3])], tensor[[3, 1, 3]]) and asked == [3, 1]
    images[torch.tensor([3])].zero_()
    assert torch.equal(images[torch.tensor([3, 0])], tensor[[3, 0]]) and asked == [3, 1, 0]
    assert len(images) == 5 and tuple(images.shape) == (5, 2, 8, 8)
    assert kept(made, (5 * 2 * 8 * 8 * 4 - 1) / 2**20) is made


def test_arrays_of_the_caller_take_nothing_of_the_budget(files):
    array = np.zeros((30, 20, 3), np.uint8)
    store = PictureStore([array, files[1], array], 1.5 * 1800 / 2**20)
    list(store.read_all())
    files[1].unlink()
    assert int(store[0].max()) == 0 and int(store[1][0, 0, 0]) == 1
