"""A store of pictures: read when they are asked for, and kept as far as a budget goes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

import numpy as np

from sclvi.ahead import ahead
from sclvi.data.arrays import Picture
from sclvi.data.sources import Source, read_source
from sclvi.errors import SclviError

_KEPT_MIB = 1024
_READERS = 2


class PictureStore(Sequence[Picture]):
    """The pictures of some sources, H x W x C each; what does not fit the budget is read again each time.

    The one asked for last is always at hand, so that a picture is not read again for each of its tiles. Arrays are the
    caller's and count nothing.
    """

    def __init__(
        self, sources: Sequence[Source], kept_mib: float = _KEPT_MIB, read: Callable[[Source], Picture] = read_source
    ) -> None:
        self._sources = sources
        self._read = read
        self._room = int(kept_mib * 2**20)
        self._kept: dict[int, Picture] = {}
        self._latest: tuple[int, Picture] | None = None

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, number: int) -> Picture: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Picture]: ...
    def __getitem__(self, number: int | slice) -> Picture | Sequence[Picture]:
        """One picture.

        Raises:
            SclviError: it cannot be read, or no longer.
        """
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if number in self._kept:
            return self._kept[number]
        if self._latest is None or self._latest[0] != number:
            self._latest = None  # or two large pictures would be held at once
            self._remember(number, self._read(self._sources[number]))
            return self[number]
        return self._latest[1]

    def read_all(self) -> Iterator[Picture | SclviError]:
        """Each picture, or why it cannot be read, in order, reading a little ahead in threads."""
        with ThreadPoolExecutor(_READERS) as pool:
            for number, result in enumerate(ahead(pool, self._try_read, self._sources, _READERS - 1)):
                if not isinstance(result, SclviError):
                    self._remember(number, result)
                yield result

    def _remember(self, number: int, picture: Picture) -> None:
        if not isinstance(self._sources[number], np.ndarray) and picture.nbytes <= self._room:
            self._kept[number] = picture
            self._room -= picture.nbytes
        else:
            self._latest = number, picture

    def _try_read(self, source: Source) -> Picture | SclviError:
        try:
            return self._read(source)
        except SclviError as error:
            return error
