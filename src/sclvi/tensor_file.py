"""Safetensors files as we need them: arrays are looked at where they were read, and written from where they lie.

The memory of a model takes hundreds of MiB; each copy of it costs as long as inspecting a picture.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sclvi.errors import SclviError
from sclvi.files import write_atomically

Arrays = dict[str, NDArray[Any]]
_ALIGNED = 8  # bytes; the header is padded to it, and arrays that keep what follows them aligned come first
_TYPES = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "I32": "<i4", "F16": "<f2", "U8": "|u1", "BOOL": "|b1"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}


@dataclass(frozen=True)
class TensorFile:
    """What a file says."""

    path: Path
    metadata: dict[str, str]
    arrays: Arrays  # views of what was read
    sums: dict[str, str]  # SHA-256 of the content of each array


def read_tensors(path: Path) -> TensorFile:
    """Read a file; nothing of its arrays but their place is checked.

    Raises:
        SclviError: it cannot be read, is no safetensors file with metadata, or is cut short.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SclviError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        (length,) = struct.unpack("<Q", data[:8].tobytes())
        header = json.loads(data[8 : 8 + length].tobytes())
        metadata = dict(header.pop("__metadata__"))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SclviError(f"{path}: not an sclvi model, or a truncated one") from None
    try:
        arrays = {name: _view(data[8 + length :], known) for name, known in header.items()}
    except (ValueError, KeyError, TypeError):
        raise SclviError(f"{path}: truncated or damaged model file") from None
    return TensorFile(path, metadata, arrays, sums_of(arrays))


def sums_of(arrays: Mapping[str, NDArray[Any]], known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """SHA-256 of the content of each array; `known`: of some of them, which are not looked at."""
    return {name: known.get(name) or hashlib.sha256(_bytes(array)).hexdigest() for name, array in arrays.items()}


def _view(data: NDArray[np.uint8], known: dict[str, Any]) -> NDArray[Any]:
    first, stop = known["data_offsets"]
    if not 0 <= first <= stop <= len(data):
        raise ValueError("lies outside the file")
    return data[first:stop].view(_TYPES[known["dtype"]]).reshape(known["shape"])


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a file atomically.

    Raises:
        SclviError: it cannot be written; an older file of that name is left as it was.
    """
    names = sorted(arrays, key=lambda name: (-_alignment(arrays[name]), name))
    write_atomically(path, _header(arrays, names, metadata), *(_bytes(arrays[name]) for name in names))


def _alignment(array: NDArray[Any]) -> int:
    """Bytes; where all before it have no less, an array starts at a multiple of this."""
    return _ALIGNED if array.nbytes % _ALIGNED == 0 else array.itemsize


def _header(arrays: Mapping[str, NDArray[Any]], names: list[str], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    stop = 0
    for name in names:
        array, first = arrays[name], stop
        stop += array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": (first, stop)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return struct.pack("<Q", len(text)) + text


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
