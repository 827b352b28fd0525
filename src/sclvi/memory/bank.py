"""The memory (section 3.3): the codes of all good patches, searched through FAISS, each with where it came from."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import faiss as _faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

faiss: Any = _faiss  # its stubs describe the C++ classes, not the Python ones laid over them
Index = Any  # any FAISS index
Search = Literal["inverted", "exact"]

_BYTES_PER_ITEM = 2 * 64 + 8 + 8 + 4  # half-precision code, FAISS id, place in its list, origin
_FLAT_BELOW = 20_000  # items; an inverted file pays above
_SAMPLE_PER_LIST = 40  # codes per inverted list that k-means sees
_ROUNDS = 8  # of k-means; more hardly moves the lists and takes most of the building time
_PROBES = 4  # lists that are looked into: docs/performance.md


@dataclass(frozen=True)
class Neighbours:
    """The eta nearest items of each query; a missing item has distance +inf and origin -1."""

    distances: Tensor  # Q x eta float32
    codes: Tensor  # Q x eta x D float32
    origins: Tensor  # Q x eta int64, position of the patch among all good patches, picture by picture


class MemoryBank:
    """Codes in half precision inside one FAISS index, which is the only copy.

    Distances are those to the half-precision codes, exact but for that rounding; only which lists are looked into is
    approximate.
    """

    def __init__(
        self,
        index: Index,
        origins: NDArray[np.int32 | np.int64],
        data: NDArray[np.uint8] | None = None,
        sum_: str | None = None,
    ) -> None:
        """`data`: what `to_bytes` gave, if the index was read from it and looks into it; `sum_`: its SHA-256."""
        if isinstance(index, faiss.IndexIVF):
            index.make_direct_map()  # item -> place in its list, to read codes back
        self._index = index
        self._data = data
        self.sum = sum_  # of what `to_bytes` gives; None: not known
        self.origins = origins

    @classmethod
    def build(cls, codes: Tensor, origins: Tensor, seed: int, search: Search = "inverted") -> "MemoryBank":
        """Build from N x D float codes and the N origins; `exact` looks at every item, however many there are."""
        length = codes.shape[1]
        if search == "exact" or len(codes) < _FLAT_BELOW:
            index = faiss.IndexScalarQuantizer(length, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
        else:
            lists = 2 ** round(math.log2(4 * math.sqrt(len(codes))))
            index = faiss.IndexIVFScalarQuantizer(
                faiss.IndexFlatL2(length), length, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2, False
            )
            index.cp.seed = seed + 1
            index.cp.niter = _ROUNDS
            index.cp.min_points_per_centroid = 1  # or FAISS warns on the console of memories just above _FLAT_BELOW
            index.nprobe = _PROBES
            generator = torch.Generator().manual_seed(seed)
            sample = torch.randperm(len(codes), generator=generator)[: lists * _SAMPLE_PER_LIST]
            index.train(codes[sample].float().numpy())
        for start in range(0, len(codes), 65536):
            index.add(codes[start : start + 65536].float().numpy())
        wide = len(origins) > 0 and int(origins.max()) > np.iinfo(np.int32).max  # some two hundred pictures of 100 Mpx
        return cls(index, origins.to(torch.int64 if wide else torch.int32).numpy())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        """How many inverted lists it is kept in; 0: every query looks at every item."""
        return int(self._index.nlist) if isinstance(self._index, faiss.IndexIVF) else 0

    @property
    def mebibytes(self) -> float:
        return len(self) * _BYTES_PER_ITEM / 2**20

    def search(self, queries: Tensor, eta: int, without: tuple[int, int] | None = None) -> Neighbours:
        """The eta nearest items of each query.

        Args:
            queries: Q x D float32.
            eta: how many.
            without: half-open range of origins that are not looked at (a picture must not find itself).
        """
        squared, items = self._index.search(queries.numpy(), eta, params=self._parameters(without))
        found = torch.from_numpy(items) >= 0
        items = np.maximum(items, 0)
        codes = torch.from_numpy(self._index.reconstruct_batch(items.ravel())).view(*items.shape, -1)
        distances = torch.from_numpy(squared).clamp_min(0).sqrt()
        origins = torch.from_numpy(self.origins[items]).long()
        return Neighbours(
            torch.where(found, distances, torch.inf),
            torch.where(found[..., None], codes, 0.0),
            torch.where(found, origins, -1),
        )

    def _parameters(self, without: tuple[int, int] | None) -> "faiss.SearchParameters | None":
        if without is None:
            return None
        # Items are added in order of origin, so a range of origins is a range of items.
        first, last = np.searchsorted(self.origins, without)
        selector = faiss.IDSelectorNot(faiss.IDSelectorRange(int(first), int(last)))
        if isinstance(self._index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=selector, nprobe=self._index.nprobe)
        return faiss.SearchParameters(sel=selector)

    def to_bytes(self) -> NDArray[np.uint8]:
        return np.asarray(faiss.serialize_index(self._index)) if self._data is None else self._data

    @classmethod
    def from_bytes(
        cls, data: NDArray[np.uint8], origins: NDArray[np.int32 | np.int64], sum_: str | None = None
    ) -> "MemoryBank":
        """Read what `to_bytes` gave; the codes are not copied but searched where they lie."""
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(data), data.nbytes)
        return cls(faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC), origins, data, sum_)


def items_within(budget_mib: float) -> int:
    """How many items a memory of `budget_mib` MiB holds."""
    return int(budget_mib * 2**20 // _BYTES_PER_ITEM)
