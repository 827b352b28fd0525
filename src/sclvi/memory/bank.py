"""The memory (section 3.3): the codes of all good patches, searched through FAISS, each with where it came from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import faiss as _faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclvi.encoders.compute import pick_device
from sclvi.memory.codespace import CHUNK
from sclvi.memory.comparison import nearest_of_all

faiss: Any = _faiss  # its stubs describe the C++ classes, not the Python ones laid over them
Index = Any  # any FAISS index
Search = Literal["inverted", "exact"]

_BESIDE_A_CODE = 8 + 4 + 4  # bytes: FAISS id, where its code lies, origin
_FLAT_BELOW = 20_000  # items; an inverted file pays above
_SAMPLE_PER_LIST = 40  # codes per inverted list that k-means sees
_ROUNDS = 8  # of k-means; more hardly moves the lists and takes most of the building time
_PROBES = 4  # lists that are looked into: docs/performance.md
_LINKS, _BEAM = 16, 8  # of the graph (HNSW) that finds them: links of a centre, and centres that are followed
_QUERIES_IN_PARALLEL = 3  # FAISS's default, 0, shares out queries only where it finds their lists itself
_WORDS = {2: np.int16, 4: np.int32, 8: np.int64}  # that codes are gathered in, by their bytes
_WORD = max(_WORDS)  # bytes


@dataclass(frozen=True)
class Neighbours:
    """The eta nearest items of each query; a missing item has distance +inf and origin -1."""

    distances: Tensor  # Q x eta float32
    codes: Tensor  # Q x eta x D float32
    origins: Tensor  # Q x eta int64, position of the patch among all good patches, picture by picture


class MemoryBank:
    """Codes in half precision inside one FAISS index, which is the only copy.

    The index is looked at where it was written (`to_bytes`), so that the codes of what is found can be gathered from
    there at once. Distances are those to the half-precision codes, exact but for that rounding; only which lists are
    looked into is approximate.
    """

    def __init__(
        self, written: NDArray[np.uint8], origins: NDArray[np.int32 | np.int64], sum_: str | None = None
    ) -> None:
        """`written`: what `to_bytes` gave; `sum_`: its SHA-256, where it is known."""
        self.sum = sum_
        self._written = written
        self._index = deserialized(written)
        self._words = _words_of(written, self._index)
        if self.lists:
            self._index.parallel_mode = _QUERIES_IN_PARALLEL
        self._places = _places(self._index, self._words)
        self.origins = origins

    @classmethod
    def build(cls, codes: Tensor, origins: Tensor, seed: int, search: Search = "inverted") -> "MemoryBank":
        """Build from N x D float codes and the N origins; `exact` looks at every item, however many there are."""
        length = codes.shape[1]
        if search == "exact" or len(codes) < _FLAT_BELOW:
            index = faiss.IndexScalarQuantizer(length, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
        else:
            centres = _find_centres(codes, 2 ** round(math.log2(4 * math.sqrt(len(codes)))), seed)
            index = faiss.IndexIVFScalarQuantizer(
                centres, length, centres.ntotal, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2, False
            )
            index.nprobe = _PROBES
            index.train(codes[:1].float().numpy())  # nothing is left to learn
        for start in range(0, len(codes), CHUNK):
            index.add(codes[start : start + CHUNK].float().numpy())
        wide = len(origins) > 0 and int(origins.max()) > np.iinfo(np.int32).max  # some two hundred pictures of 100 Mpx
        return cls(serialized(index), origins.to(torch.int64 if wide else torch.int32).numpy())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        """How many inverted lists it is kept in; 0: every query looks at every item."""
        return int(self._index.nlist) if isinstance(self._index, faiss.IndexIVF) else 0

    @property
    def always_compared(self) -> int:
        """How many codes every query is compared with: all items, or all centres of lists that no graph finds."""
        if not self.lists:
            return len(self)
        return 0 if isinstance(faiss.downcast_index(self._index.quantizer), faiss.IndexHNSW) else self.lists

    @property
    def mebibytes(self) -> float:
        return len(self) * _bytes_per_item(self._index.d) / 2**20

    def search(self, queries: Tensor, eta: int, without: tuple[int, int] | None = None) -> Neighbours:
        """The eta nearest items of each query.

        Args:
            queries: Q x D float32.
            eta: how many.
            without: half-open range of origins that are not looked at (a picture must not find itself).
        """
        rows = np.ascontiguousarray(queries.numpy(), np.float32)
        squared, items = self._nearest(rows, eta, without)
        found = items >= 0
        missing = None if found.all() else torch.from_numpy(~found)
        items = np.where(found, items, 0)
        near = Neighbours(
            torch.from_numpy(squared).clamp_min_(0).sqrt_(),
            self.codes_of(items),
            torch.from_numpy(self.origins[items]).long(),
        )
        if missing is not None:
            near.distances[missing], near.codes[missing], near.origins[missing] = torch.inf, 0.0, -1
        return near

    @cached_property
    def _on_gpu(self) -> Tensor | None:
        """The codes, N x D half, where a GPU compares all of them sooner than FAISS looks through them."""
        device = pick_device()
        if self.lists or device.type != "cuda":
            return None
        parts = np.array_split(np.arange(len(self)), len(self) // CHUNK + 1)
        return torch.cat([self.codes_of(part).half().to(device) for part in parts])

    def _nearest(
        self, queries: NDArray[np.float32], eta: int, without: tuple[int, int] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distances and items, Q x eta each; item -1: missing."""
        if self._on_gpu is not None:
            near = nearest_of_all(torch.from_numpy(queries), self._on_gpu, eta, self._items(without))
            return near[0].cpu().numpy(), near[1].cpu().numpy()
        selector = self._selector(without)
        if not isinstance(self._index, faiss.IndexIVF):
            squared, items = self._index.search(queries, eta, params=faiss.SearchParameters(sel=selector))
            return squared, items
        apart, lists = self._index.quantizer.search(queries, self._index.nprobe)
        order = np.argsort(lists[:, 0], kind="stable")  # queries of a list follow each other: it is read once
        squared, items = self._look_into(lists[order], queries[order], apart[order], eta, selector)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        squared, items = squared[back], items[back]
        lost = items[:, 0] < 0  # these lists hold nothing, or only what is not to be looked at
        if lost.any():
            every = np.tile(np.arange(self.lists), (lost.sum(), 1))
            apart = np.zeros(every.shape, np.float32)  # codes are not kept as differences from centres
            squared[lost], items[lost] = self._look_into(every, queries[lost], apart, eta, selector)
        return squared, items

    def _look_into(
        self,
        lists: NDArray[np.int64],
        queries: NDArray[np.float32],
        apart: NDArray[np.float32],
        eta: int,
        selector: Any,  # noqa: ANN401  # FAISS
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest in some lists of each query, Q x eta; `lists` and the distances to their centres: Q x probes."""
        squared, items = np.empty((len(lists), eta), np.float32), np.empty((len(lists), eta), np.int64)
        arrays = [faiss.swig_ptr(array) for array in (lists, apart, squared, items)]
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=lists.shape[1])
        # FAISS's Python form of this takes no parameters
        self._index.search_preassigned_c(len(lists), faiss.swig_ptr(queries), eta, *arrays, False, parameters)
        return squared, items

    def codes_of(self, items: NDArray[np.int64]) -> Tensor:
        """The codes that are remembered; any shape of items, 0 to N - 1 -> that shape x D float32."""
        length = self._index.code_size // self._words.itemsize
        words = torch.from_numpy(self._words)
        runs = words.as_strided((max(0, len(words) - length + 1), length), (1, 1))  # one from each word on
        gathered = runs.index_select(0, torch.from_numpy(self._places[items.ravel()])).view(torch.half)
        return gathered.view(*items.shape, gathered.shape[1]).float()

    def _selector(self, without: tuple[int, int] | None) -> Any:  # noqa: ANN401  # FAISS
        """What may be looked at; None: everything."""
        hidden = self._items(without)
        return faiss.IDSelectorNot(faiss.IDSelectorRange(hidden.start, hidden.stop)) if hidden else None

    def _items(self, without: tuple[int, int] | None) -> range:
        """The items of a half-open range of origins, in whose order they are added."""
        return range(*(int(place) for place in np.searchsorted(self.origins, without or (0, 0))))

    def to_bytes(self) -> NDArray[np.uint8]:
        return self._written

    @classmethod
    def from_bytes(
        cls, data: NDArray[np.uint8], origins: NDArray[np.int32 | np.int64], sum_: str | None = None
    ) -> "MemoryBank":
        """Read what `to_bytes` gave, at an address that is a multiple of 8; the codes are searched where they lie."""
        return cls(data, origins, sum_)


def _find_centres(codes: Tensor, count: int, seed: int) -> Index:
    """The centres of the inverted lists, in a graph (HNSW): the nearest are found with few comparisons."""
    length = codes.shape[1]
    clustering = faiss.Clustering(length, count)
    clustering.seed = seed + 1
    clustering.niter = _ROUNDS
    clustering.min_points_per_centroid = 1  # or FAISS warns on the console of memories just above _FLAT_BELOW
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(codes), generator=generator)[: count * _SAMPLE_PER_LIST]
    clustering.train(codes[sample].float().numpy(), faiss.IndexFlatL2(length))
    graph = faiss.IndexHNSWFlat(length, _LINKS)
    graph.hnsw.efSearch = _BEAM
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # with more, links depend on who comes first, and the model on more than its seed
    graph.add(faiss.vector_to_array(clustering.centroids).reshape(count, length))
    faiss.omp_set_num_threads(threads)
    return graph


def serialized(index: Index) -> NDArray[np.uint8]:
    """The index as FAISS writes it, between zeros: a multiple of `_WORD` bytes, of which codes start at such multiples.

    FAISS's own way to an array holds it three times.
    """
    length = 0

    def measure(chunk: bytes) -> None:
        nonlocal length
        length += len(chunk)

    faiss.write_index(index, faiss.PyCallbackIOWriter(measure))
    written = np.zeros(math.ceil((length + _WORD - 1) / _WORD) * _WORD, np.uint8)
    end = 0

    def copy(chunk: bytes) -> None:
        nonlocal end
        written[end : end + len(chunk)] = np.frombuffer(chunk, np.uint8)
        end += len(chunk)

    faiss.write_index(index, faiss.PyCallbackIOWriter(copy))
    start = end = -_before_codes(deserialized(written), written) % _WORD
    if start:
        written[:start] = 0
        faiss.write_index(index, faiss.PyCallbackIOWriter(copy))
    return written


def deserialized(written: NDArray[np.uint8]) -> Index:
    """The index over what `serialized` gave, which must outlive it.

    Raises:
        ValueError, RuntimeError: they are not such bytes.
    """
    start = int(np.argmax(written[:_WORD] != 0))  # FAISS starts with a letter
    return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(written[start:]), len(written) - start))


def _words_of(written: NDArray[np.uint8], index: Index) -> NDArray[Any]:
    """The bytes as the largest words that each code is a whole number of."""
    word = math.gcd(index.code_size, _WORD)
    if written.ctypes.data % word or _before_codes(index, written) % word:
        raise ValueError("codes do not lie at whole words")
    return written[: len(written) // word * word].view(_WORDS[word])


def _before_codes(index: Index, written: NDArray[np.uint8]) -> int:
    """How many of the bytes that the index looks at lie before the first code; 0: there is none."""
    return next((address - written.ctypes.data for address, _ in _blocks(index)), 0)


def _blocks(index: Index) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Of each run of codes that lie one after the other: the address of the first, and the items."""
    if not isinstance(index, faiss.IndexIVF):
        if index.ntotal:
            yield int(index.codes.data()), np.arange(index.ntotal)
        return
    lists = index.invlists
    for number in range(index.nlist):
        if count := lists.list_size(number):
            yield int(lists.get_codes(number)), faiss.rev_swig_ptr(lists.get_ids(number), count)


def _places(index: Index, words: NDArray[Any]) -> NDArray[np.int32]:
    """N: the word at which the code of each item starts."""
    places = np.empty(index.ntotal, np.int32)  # up to 16 GiB of codes
    step = index.code_size // words.itemsize
    for address, items in _blocks(index):
        places[items] = (address - words.ctypes.data) // words.itemsize + step * np.arange(len(items))
    return places


def items_within(budget_mib: float, length: int) -> int:
    """How many items, of codes of `length` numbers, a memory of `budget_mib` MiB holds."""
    return int(budget_mib * 2**20 // _bytes_per_item(length))


def _bytes_per_item(length: int) -> int:
    return 2 * length + _BESIDE_A_CODE
