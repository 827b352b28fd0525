"""The promised false-reject rate, on made-up maps of which any two are exchangeable."""

import math

import numpy as np
import pytest
import torch

from sclvi.decision.threshold import conformal_threshold
from sclvi.scoring.maps import Usual, fuse_maps, image_scores

TRIALS, NEW = 300, 20


def made_up_maps(rng, pictures):
    """Three kinds of maps; pictures differ in level, places within a picture too."""
    levels = rng.lognormal(0, 0.2, (3, pictures, 1, 1))
    return [torch.from_numpy((kind * rng.gamma(4, 0.25, (pictures, 4, 4))).astype(np.float32)) for kind in levels]


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
