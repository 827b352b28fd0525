"""One Gaussian per place of the picture (PaDiM, Defard et al. 2020), leaning on the others where pictures are few."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sclvi.memory.mahalanobis import mahalanobis

_PRIOR = 20  # pictures that the covariance of all places together counts for at each place
_RIDGE = 1e-3  # added to the diagonal, as a share of the mean variance: channels that never change stay finite


@dataclass(frozen=True)
class Gaussian:
    """What is usual at each place; see `mahalanobis` for the shapes."""

    means: Tensor
    whiteners: Tensor

    def distances(self, responses: Tensor) -> Tensor:
        """B x h x w x K float -> B x h x w float."""
        return mahalanobis(responses, self.means, self.whiteners)


@dataclass(frozen=True)
class Moments:
    """Sums over pictures from which a Gaussian follows; float64, as flat places differ in the sixth digit only."""

    pictures: int
    sums: Tensor  # h x w x K
    products: Tensor  # h x w x K x K, sum of x x^T

    @classmethod
    def of(cls, responses: Tensor) -> "Moments":
        """B x h x w x K float -> the moments of B pictures."""
        exact = responses.double()
        return cls(len(exact), exact.sum(0), torch.einsum("bhwk,bhwl->hwkl", exact, exact))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.pictures + other.pictures, self.sums + other.sums, self.products + other.products)

    def __sub__(self, other: "Moments") -> "Moments":
        """What is left when pictures that were counted are taken out again; one picture at least must stay."""
        return Moments(self.pictures - other.pictures, self.sums - other.sums, self.products - other.products)

    def gaussian(self) -> Gaussian:
        """Covariance of each place, shrunk towards that of all places as if `_PRIOR` more pictures showed that."""
        means = self.sums / self.pictures
        centre = means.mean((0, 1))
        anywhere = self.products.mean((0, 1)) / self.pictures - torch.outer(centre, centre)
        ridge = _RIDGE * anywhere.diagonal().mean() + _LEAST_VARIANCE
        anywhere = anywhere + ridge * torch.eye(len(centre), dtype=anywhere.dtype, device=anywhere.device)
        own = self.pictures / (self.pictures + _PRIOR)
        # In place, and single precision after the difference, which alone needs double: this is most of calibration.
        covariances = self.products * (own / self.pictures)
        covariances.addcmul_(means[..., :, None], means[..., None, :], value=-own).add_((1 - own) * anywhere)
        factors = torch.linalg.cholesky(covariances.float())
        identity = torch.eye(len(centre), dtype=factors.dtype, device=factors.device).expand_as(factors)
        inverse = torch.linalg.solve_triangular(factors, identity, upper=False)  # L^-1, and W = L^-T
        return Gaussian(means.float(), inverse.mT.contiguous())


_LEAST_VARIANCE = 1e-8  # pictures without any contrast have no variance at all
