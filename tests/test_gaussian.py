import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis

from sclvi.memory.gaussian import Moments
from sclvi.memory.mahalanobis import mahalanobis

PRIOR, RIDGE = 20, 1e-3  # as the module says


def responses(pictures, seed=0):
    """pictures x 3 x 4 x 5, each place with a mean and a mixing of its own."""
    rng = np.random.default_rng(seed)
    mixing, means = rng.normal(size=(3, 4, 5, 5)), rng.normal(size=(3, 4, 5)) * 3
    places = np.random.default_rng((seed, 1)).normal(size=(pictures, 3, 4, 5))
    return torch.from_numpy(np.einsum("nhwk,hwkl->nhwl", places, mixing) + means).float()


def covariance_by_numpy(seen, row, column):
    """The shrunk covariance of one place, from the pictures themselves."""
    pictures, here = len(seen), seen[:, row, column]
    anywhere = np.cov(seen.reshape(-1, seen.shape[-1]).T, bias=True)
    anywhere += (RIDGE * np.trace(anywhere) / len(anywhere) + 1e-8) * np.eye(len(anywhere))
    own = pictures / (pictures + PRIOR)
    return own * np.cov(here.T, bias=True).reshape(anywhere.shape) + (1 - own) * anywhere


@pytest.mark.parametrize("pictures", [2, 7, 60])
def test_distances_are_those_of_numpy_and_scipy(pictures):
    seen = responses(pictures)
    distances = Moments.of(seen).gaussian().distances(seen)
    exact = seen.double().numpy()
    for picture, row, column in [(0, 0, 0), (1, 2, 3), (pictures - 1, 1, 1)]:
        inverse = np.linalg.inv(covariance_by_numpy(exact, row, column))
        expected = scipy_mahalanobis(exact[picture, row, column], exact[:, row, column].mean(0), inverse)
        assert distances[picture, row, column].item() == pytest.approx(expected / np.sqrt(5), rel=1e-4)


def test_mahalanobis_by_hand():
    # deviations 2 and 6 in units of 1 and 3: the mean square is 4
    whitener = torch.diag(torch.tensor([1.0, 1 / 3])).expand(1, 1, 2, 2)
    found = mahalanobis(torch.tensor([[[[3.0, 7.0]]]]), torch.ones(1, 1, 2), whitener)
    assert found.item() == pytest.approx(2)


@given(st.integers(1, 6), st.integers(1, 6))
def test_moments_of_two_batches_are_those_of_all(first, second):
    seen = responses(first + second)
    joined = Moments.of(seen[:first]) + Moments.of(seen[first:])
    whole = Moments.of(seen)
    assert joined.pictures == whole.pictures
    torch.testing.assert_close(joined.sums, whole.sums)
    torch.testing.assert_close(joined.products, whole.products)


def test_a_picture_taken_out_leaves_nothing_of_itself():
    seen = responses(9)
    seen[4] += 1000
    left = (Moments.of(seen) - Moments.of(seen[4:5])).gaussian()
    never = Moments.of(torch.cat([seen[:4], seen[5:]])).gaussian()
    torch.testing.assert_close(left.distances(seen), never.distances(seen), rtol=1e-3, atol=1e-3)


def test_one_picture_and_flat_pictures_give_finite_distances():
    for seen in (responses(1), torch.zeros(3, 2, 2, 5)):
        gaussian = Moments.of(seen).gaussian()
        assert torch.isfinite(gaussian.distances(seen)).all()
        assert gaussian.distances(seen + 1).min() > gaussian.distances(seen).max()
