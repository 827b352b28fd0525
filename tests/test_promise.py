"""The promised false-reject rate, on made-up maps of which any two are exchangeable."""

import math

import numpy as np
import pytest
import torch

import sclvi
from sclvi.decision.threshold import conformal_threshold
from sclvi.scoring.maps import Usual, fuse_maps, image_scores
from sclvi.settings import Settings

TRIALS, NEW = 300, 20


def made_up_maps(rng, pictures):
    """Three kinds of maps; pictures differ in level, places within a picture too."""
    levels = rng.lognormal(0, 0.2, (3, pictures, 1, 1))
    return [torch.from_numpy((kind * rng.gamma(4, 0.25, (pictures, 4, 4))).astype(np.float32)) for kind in levels]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 20])
def test_pictures_that_say_what_is_usual_may_set_the_threshold_if_each_does_not_count_for_itself(count):
    rng = np.random.default_rng(count)
    rejected, in_own_units = [], []
    for _ in range(TRIALS):
        maps = made_up_maps(rng, count)
        rest = [[other for other in range(count) if other != number] for number in range(count)]
        apart = [
            score([kind[[number]] for kind in maps], [kind[rest[number]] for kind in maps]) for number in range(count)
        ]
        thresholds = [conformal_threshold(torch.cat(scores).tolist(), 0.01) for scores in (apart, [score(maps, maps)])]
        new = score(made_up_maps(rng, NEW), maps)
        for shares, threshold in zip((rejected, in_own_units), thresholds, strict=True):
            shares.append((new > threshold.value).float().mean().item())
    deviation = np.std(rejected) / math.sqrt(TRIALS)
    assert np.mean(rejected) <= thresholds[0].promised_rate + 3 * deviation
    assert np.mean(rejected) < np.mean(in_own_units)


def score(maps, usual_maps):
    """Of each picture, in units of what the other maps show."""
    usual = tuple(Usual.measure(kind) for kind in usual_maps)
    return image_scores(fuse_maps(maps, usual, raised=True))


@pytest.mark.parametrize("held", [1, 2, 3, 5, 10])
def test_no_more_good_parts_are_rejected_than_promised(held):
    rng = np.random.default_rng(held)
    rejected = []
    for _ in range(TRIALS):
        usual = tuple(Usual.measure(maps) for maps in made_up_maps(rng, 4 * held))
        scores = image_scores(fuse_maps(made_up_maps(rng, held), usual, raised=True)).tolist()
        threshold = conformal_threshold(scores, 0.01)
        new = image_scores(fuse_maps(made_up_maps(rng, NEW), usual, raised=True))
        rejected.append((new > threshold.value).float().mean().item())
    deviation = np.std(rejected) / math.sqrt(TRIALS)
    assert np.mean(rejected) <= threshold.promised_rate + 3 * deviation
    assert np.mean(rejected) >= threshold.promised_rate - 3 * deviation  # nor is the promise empty


FLAT, GRADIENT = np.full((128, 1), 120), np.linspace(0, 240, 128)[:, None]


@pytest.mark.parametrize(("shade", "count"), [(FLAT, 2), (FLAT, 3), (FLAT, 5), (GRADIENT, 3), (GRADIENT, 5)])
def test_of_pictures_that_differ_in_brightness_alone_another_is_good_and_the_faintest_change_is_not(shade, count):
    picture = np.repeat(np.broadcast_to(shade, (128, 128))[..., None], 3, 2).astype(np.uint8)
    pictures = [picture + number for number in range(count)]  # the same once light is normalised
    model = sclvi.train(pictures, Settings(short_side=128, steps=1, synthetic_steps=0))
    changed = picture.copy()
    changed[40:60, 40:60] ^= 4
    same, other = model.inspect([picture + count, changed])
    assert (same.verdict, other.verdict) == ("good", "defective")
