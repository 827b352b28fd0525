"""Work that is done side by side: cores wait less for one another than when all share each piece of it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import faiss
import torch

from sclvi.ahead import ahead

_MOST = 4  # items at once, which are batches of pictures most of the time, and take memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of each item, in order; of up to `_MOST` at once, which share the threads that torch may use.

    An item that is alone has all threads. Items are taken when their turn to be worked at comes, here; what `function`
    raises is raised in its turn.
    """
    left = iter(items)
    first = list(islice(left, 2))
    threads = torch.get_num_threads()
    workers = min(threads, _MOST)
    if len(first) < 2 or workers == 1:
        yield from map(function, chain(first, left))
        return
    try:
        with ThreadPoolExecutor(workers, initializer=_limit_threads, initargs=(threads // workers,)) as pool:
            yield from ahead(pool, function, chain(first, left), workers)
    finally:
        torch.set_num_threads(threads)  # threads that start later would have a worker's share, too


def _limit_threads(count: int) -> None:
    """How many more threads the calling thread may use for itself, of each library that has some."""
    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)
