"""What a smaller or faster memory costs: accuracy against size and time of search.

    python -m benchmarks.search --data ../shared/data --categories bottle pill

One model is trained for each category with the default settings (kept in `--models`). Its memory is then searched in
every way below, on the same test pictures, evenly taken from each kind of defect where there are more than
`--pictures`. Random samples and coresets measure anew what maps usually show, for which the category is learned once
more; the ways that search the whole memory take that of the model.
`search_ms` is what is done between the encoder and the scores of patches, the least of three runs, for each of 4
pictures together. All patches of a picture are searched, but by the "closer look", the default. Rows go to
benchmarks/results/search.csv, and their plot beside it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.accuracy import FIGURES
from benchmarks.trained import parser_for, timed, trained_once
from sclvi.data.even import evenly
from sclvi.data.layouts import Item
from sclvi.evaluation.evaluate import compare, labelled_items
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded
from sclvi.learn import build_model, learn_good
from sclvi.lesson import Lesson
from sclvi.memory.bank import MemoryBank, Neighbours, deserialized, serialized
from sclvi.memory.scale import ScaleMemory
from sclvi.model import Model
from sclvi.model_file import load
from sclvi.scoring.inspector import Inspector
from sclvi.settings import Settings

faiss: Any = _faiss
PROBES = (2, 4, 8, 16, 40)
SAMPLES = (0.5, 0.1, 0.01, 0.001)
CORESETS = (0.1, 0.01)
_PART = 10_000  # codes that a coreset is chosen among at once: the greedy choice takes time with their square
_TIMED, _REPEATS = 4, 3


class Exact:
    """Every item is compared with, as one matrix product."""

    def __init__(self, bank: MemoryBank) -> None:
        self._codes = bank.codes_of(np.arange(len(bank))).numpy()
        self._origins = torch.from_numpy(bank.origins).long()
        self.mebibytes = (len(bank.to_bytes()) + bank.origins.nbytes) / 2**20  # it needs no lists, but these are little

    def search(self, queries: Tensor, eta: int, without: tuple[int, int] | None = None) -> Neighbours:
        assert without is None
        _, items = faiss.knn(queries.numpy(), self._codes, 2 * eta)
        found = torch.from_numpy(items)
        codes = torch.from_numpy(self._codes[items])
        # a matrix product gives small distances with large errors: order and distances are made from the differences
        distances, order = (queries[:, None] - codes).norm(dim=2).sort(dim=1)
        distances, order = distances[:, :eta], order[:, :eta]
        codes = codes.gather(1, order[..., None].expand(-1, -1, codes.shape[2]))
        return Neighbours(distances, codes, self._origins[found.gather(1, order)])


class Indexed:
    """Any FAISS index over all items; what is fused are its own, coarser, codes."""

    def __init__(self, bank: MemoryBank, index: Any) -> None:  # noqa: ANN401  # FAISS
        codes = bank.codes_of(np.arange(len(bank))).numpy()
        index.train(codes)
        index.add(codes)
        self.mebibytes = (len(faiss.serialize_index(index)) + bank.origins.nbytes) / 2**20
        if isinstance(index, faiss.IndexIVF):
            index.make_direct_map()
        self._index, self._origins = index, torch.from_numpy(bank.origins).long()

    def search(self, queries: Tensor, eta: int, without: tuple[int, int] | None = None) -> Neighbours:
        assert without is None
        squared, items = self._index.search(queries.numpy(), eta)
        items = np.maximum(items, 0)
        codes = torch.from_numpy(self._index.reconstruct_batch(items.ravel())).view(*items.shape, -1)
        distances = torch.from_numpy(squared).clamp_min(0).sqrt()
        return Neighbours(distances, codes, self._origins[torch.from_numpy(items)])


@dataclass(frozen=True)
class Way:
    """How a memory is kept and searched."""

    name: str
    share: float  # of the items that are kept
    make: Callable[[MemoryBank], Any]  # a bank, or what searches as one
    closer: float = 1.0  # see `Settings`


def ways(seed: int) -> Iterator[Way]:
    yield Way("closer look, IVF, 4 probes", 1.0, partial(with_probes, probes=4), Settings().closer)
    yield Way("exact", 1.0, Exact)
    for probes in PROBES:
        yield Way(f"IVF, {probes} probes", 1.0, partial(with_probes, probes=probes))
    yield Way("IVF, 8 bits a number", 1.0, partial(_inverted, kind=faiss.ScalarQuantizer.QT_8bit))
    yield Way("IVF, 4 bits a number", 1.0, partial(_inverted, kind=faiss.ScalarQuantizer.QT_4bit))
    yield Way("IVF, PQ of 8 numbers", 1.0, _product_quantised)
    yield Way("HNSW", 1.0, _graph)
    for share in SAMPLES:
        yield Way(f"random {100 * share:g} %", share, partial(_sampled, share=share, seed=seed))
    for share in CORESETS:
        yield Way(f"coreset {100 * share:g} %", share, partial(_chosen, share=share, seed=seed))


def with_probes(bank: MemoryBank, probes: int) -> MemoryBank:
    """The same memory, of which so many lists are looked into."""
    index = deserialized(bank.to_bytes())
    if not bank.lists:
        return bank
    index.nprobe = probes
    return MemoryBank.from_bytes(serialized(index), bank.origins)


def kept(bank: MemoryBank, items: NDArray[np.int64]) -> MemoryBank:
    """A memory of some items of another, given in rising order."""
    return MemoryBank.build(bank.codes_of(items), torch.from_numpy(bank.origins[items]), 0)


def _sampled(bank: MemoryBank, share: float, seed: int) -> MemoryBank:
    """A random share of the items."""
    count = max(1, round(share * len(bank)))
    return kept(bank, np.sort(np.random.default_rng(seed).permutation(len(bank))[:count]))


def _chosen(bank: MemoryBank, share: float, seed: int) -> MemoryBank:
    """Greedily, the code farthest from those chosen so far, in random parts of the memory."""
    mixed = np.random.default_rng(seed).permutation(len(bank))
    chosen = []
    for part in np.array_split(mixed, -(-len(mixed) // _PART)):
        chosen.append(part[farthest_first(bank.codes_of(part), max(1, round(share * len(part))))])
    return kept(bank, np.sort(np.concatenate(chosen)))


def farthest_first(codes: Tensor, count: int) -> NDArray[np.int64]:
    """The first code, then always the one farthest from its nearest chosen one; N x D -> `count` positions."""
    lengths = codes.square().sum(1)
    nearest = torch.full((len(codes),), torch.inf)
    chosen = np.zeros(count, np.int64)
    for number in range(1, count):
        last = int(chosen[number - 1])
        nearest = torch.minimum(nearest, lengths + lengths[last] - 2 * (codes @ codes[last]))
        chosen[number] = int(nearest.argmax())
    return chosen


def _inverted(bank: MemoryBank, kind: int) -> Indexed:
    length = bank.codes_of(np.zeros(1, np.int64)).shape[1]
    quantiser = faiss.IndexFlatL2(length)
    return _as_ours(bank, faiss.IndexIVFScalarQuantizer(quantiser, length, max(1, bank.lists), kind, faiss.METRIC_L2))


def _product_quantised(bank: MemoryBank) -> Indexed:
    length = bank.codes_of(np.zeros(1, np.int64)).shape[1]
    return _as_ours(bank, faiss.IndexIVFPQ(faiss.IndexFlatL2(length), length, max(1, bank.lists), length // 8, 8))


def _as_ours(bank: MemoryBank, index: Any) -> Indexed:  # noqa: ANN401  # FAISS
    """With the probes, and the sample and rounds of k-means, of `MemoryBank`."""
    index.nprobe, index.cp.niter, index.cp.max_points_per_centroid = 4, 8, 40
    return Indexed(bank, index)


def _graph(bank: MemoryBank) -> Indexed:
    length = bank.codes_of(np.zeros(1, np.int64)).shape[1]
    index = faiss.IndexHNSWSQ(length, faiss.ScalarQuantizer.QT_fp16, 16)
    index.hnsw.efSearch = 32
    return Indexed(bank, index)


def judge(model: Model, items: Sequence[Item]) -> dict[str, float | None]:
    inspections = list(model.inspect([item.path for item in items]))
    scores, maps = [one.score for one in inspections], [one.anomaly_map for one in inspections]
    return dict(compare(items, scores, maps, [one.size for one in inspections]))


def least_milliseconds(inspector: Inspector, images: Tensor) -> float:
    """From codes to scores, for each of B prepared pictures."""
    encoded = list(inspector._encoded(images))
    size = (images.shape[2], images.shape[3])
    seconds = [timed(lambda: [inspector._judge(*one, size, None) for one in encoded])[1] for _ in range(_REPEATS)]
    return 1e3 * min(seconds) / len(images)


def measure(
    category: Path, settings: Settings, models: Path, most: int, only: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row for each way, or for those whose names start with one of `only`."""
    default = load(trained_once(category, settings, models))
    learned = cache(partial(learn_good, category, settings))
    items = _some(labelled_items(category)[1], most)
    shown = [default.read(number, item.path).aligned for number, item in enumerate(items[-_TIMED:])]
    images = default.light(torch.stack(shown))
    for way in (one for one in ways(settings.seed) if one.name.startswith(tuple(only))):
        memories, seconds = timed(partial(_kept_so, default, way))
        asked = default.inspector.settings.model_copy(update={"closer": way.closer})
        model = replace(default, inspector=replace(default.inspector, memories=memories, settings=asked))
        if way.share < 1:
            model = _known_anew(learned(), model)
        figures = judge(model, items)
        yield {
            "category": category.name,
            "search": way.name,
            "share": way.share,
            **{name: rounded(figures[name], 5) for name in FIGURES},
            "memory_mib": rounded(sum(_mebibytes(memory.bank) for memory in memories), 1),
            "search_ms": rounded(least_milliseconds(model.inspector, images), 2),
            "build_seconds": rounded(seconds, 1),
            "seed": settings.seed,
            "test_images": len(items),
            "height": model.size[0],
            "width": model.size[1],
            "settings": asked.fingerprint(),
            **provenance(),
        }


def _kept_so(model: Model, way: Way) -> tuple[ScaleMemory, ...]:
    return tuple(replace(memory, bank=way.make(memory.bank)) for memory in model.inspector.memories)


def _known_anew(lesson: Lesson, model: Model) -> Model:
    memories = model.inspector.memories
    return build_model(replace(lesson, memories=memories), model.inspector.settings, time.perf_counter())


def _mebibytes(bank: Any) -> float:  # noqa: ANN401  # a bank, or what searches as one
    return (len(bank.to_bytes()) + bank.origins.nbytes) / 2**20 if isinstance(bank, MemoryBank) else bank.mebibytes


def _some(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many, the same share of each defect; they lie in order of these."""
    return [items[place] for place in evenly(len(items), min(most, len(items))).tolist()]


_AXES = {
    "search_ms": "search, ms a picture",
    "memory_mib": "memory, MiB",
    "image_auroc": "image AUROC, %",
    "pixel_auroc": "pixel AUROC, %",
}


def plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Image and pixel AUROC over time of search and over size, a colour for each category."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    categories = sorted({row["category"] for row in rows})
    marks = {"exact": "*", "IVF": "o", "closer": "p", "HNSW": "s", "random": "v", "coreset": "^"}
    for axes, (over, under) in zip(
        figure.subplots(2, 2).ravel(),
        ((over, under) for under in ("image_auroc", "pixel_auroc") for over in ("search_ms", "memory_mib")),
        strict=True,
    ):
        for number, category in enumerate(categories):
            for kind, mark in marks.items():
                mine = [row for row in rows if row["category"] == category and row["search"].startswith(kind)]
                label = category if kind == "IVF" else None
                across, up = [float(row[over]) for row in mine], [100 * float(row[under]) for row in mine]
                axes.plot(across, up, mark, color=f"C{number}", label=label, alpha=0.7)
        axes.set(xscale="log", xlabel=_AXES[over], ylabel=_AXES[under])
        axes.grid(alpha=0.3)
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(title="* exact, o IVF, pentagon closer look, s HNSW, v random, ^ coreset")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = parser_for(__doc__, "search.csv")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=80, help="that are tested on, at most")
    parser.add_argument("--only", nargs="+", default=[""], help="ways to search whose names start like one of these")
    arguments = parser.parse_args()
    settings = Settings(seed=arguments.seed, short_side=arguments.short_side)
    for category in find_categories(arguments.data, arguments.categories):
        for row in measure(category, settings, arguments.models, arguments.pictures, arguments.only):
            print(row["category"], row["search"], row["image_auroc"], row["pixel_auroc"], row["search_ms"], flush=True)
            append_rows(arguments.out, [row])
    plot(read_rows(arguments.out), arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
