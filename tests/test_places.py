"""Whether places count: parts that show the same at each place, and parts that show what they show anywhere."""

import numpy as np
import pytest
import torch

from sclvi.encoders.making import inspecting_encoder, new_encoder
from sclvi.learn import train
from sclvi.progress import silent
from sclvi.scoring.places import nearness_that_fits
from sclvi.settings import Settings

SIDE, PARTS = 128, 8
SETTINGS = Settings(short_side=SIDE, steps=0, surface=False, synthetic_steps=0)
RNG = np.random.default_rng(11)
PATTERN = RNG.uniform(60, 200, (SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1)


def printed(number):
    """The same print at the same place, on each part a little otherwise."""
    return PATTERN + np.random.default_rng((1, number)).normal(0, 3, (SIDE, SIDE))


def speckled(number):
    """A few of the squares of the print anywhere on a plain ground."""
    rng = np.random.default_rng((2, number))
    part = np.full((SIDE, SIDE), 130.0)
    for y, x in rng.integers(0, SIDE - 16, (12, 2)):
        part[y : y + 16, x : x + 16] = PATTERN[:16, :16]
    return part + rng.normal(0, 3, (SIDE, SIDE))


def pictures(draw):
    drawn = np.stack([draw(number) for number in range(PARTS)]).clip(0, 255).astype(np.uint8)
    return np.repeat(drawn[..., None], 3, axis=3)


@pytest.mark.parametrize(("draw", "nearness"), [(printed, SETTINGS.nearness), (speckled, 0.0)])
def test_places_count_where_parts_show_the_same_at_a_place(draw, nearness):
    model = train(list(pictures(draw)), SETTINGS)
    assert [memory.nearness for memory in model.inspector.memories] == [nearness] * 2


def test_places_do_not_count_where_they_may_not():
    for changes in ({"nearness": 0.0}, {"tile": SIDE, "overlap": 64}):
        model = train(list(pictures(printed)), SETTINGS.model_copy(update=changes))
        assert all(memory.nearness == 0 for memory in model.inspector.memories)


def test_it_is_said_by_as_few_pictures_as_there_are():
    images = torch.from_numpy(pictures(printed)[:2]).permute(0, 3, 1, 2).float() / 127 - 1
    encoder = inspecting_encoder(new_encoder(SETTINGS, 3))
    assert nearness_that_fits(encoder, images, SETTINGS, silent, places_alike=True) == SETTINGS.nearness
