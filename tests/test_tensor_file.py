"""Our reading and writing of safetensors, against the library's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors import safe_open
from safetensors.numpy import load_file, save

from sclvi.errors import SclviError
from sclvi.tensor_file import read_tensors, sums_of, write_arrays

TYPES = ("<f8", "<i8", "<f4", "<i4", "<f2", "|u1", "|b1")
some_arrays = st.dictionaries(
    st.text("ab.", min_size=1, max_size=4),
    st.sampled_from(TYPES).flatmap(
        lambda code: arrays_of.arrays(code, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=5,
)


def same(first, second):
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], strict=True)


@given(some_arrays)
def test_the_library_reads_what_we_write_and_we_what_it_writes(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("files") / "ours"
    write_arrays(path, arrays, {"said": "ünïcode"})
    same(load_file(path), arrays)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"said": "ünïcode"}
    again = read_tensors(path)
    same(again.arrays, arrays)
    assert again.metadata == {"said": "ünïcode"} and again.sums == sums_of(arrays)
    path.write_bytes(save(arrays, {"said": "so"}))
    same(read_tensors(path).arrays, arrays)


def test_arrays_are_views_that_lie_as_their_type_asks(tmp_path):
    write_arrays(tmp_path / "a", {"b": np.arange(3, dtype=np.uint8), "d": np.arange(5.0), "f": np.ones(3, "f")}, {})
    for array in read_tensors(tmp_path / "a").arrays.values():
        assert array.base is not None and array.flags.aligned and array.flags.writeable


def test_arrays_of_whole_words_start_at_whole_words(tmp_path):
    sizes = {"a": 1, "b": 24, "c": 3, "d": 8, "e": 7}
    arrays = {name: np.zeros(size, np.uint8) for name, size in sizes.items()} | {"f": np.zeros(3, np.float32)}
    write_arrays(tmp_path / "a", arrays, {})
    read = read_tensors(tmp_path / "a").arrays
    assert read["b"].ctypes.data % 8 == read["d"].ctypes.data % 8 == 0


def test_an_array_that_lies_across_memory_is_written_in_its_own_order(tmp_path):
    across = np.arange(12.0).reshape(3, 4).T
    write_arrays(tmp_path / "a", {"a": across}, {})
    same(load_file(tmp_path / "a"), {"a": across})


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_what_is_cut_short_is_refused(tmp_path, cut):
    write_arrays(tmp_path / "a", {"a": np.arange(5)}, {})
    path = tmp_path / "a"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SclviError, match=r"a: .*truncated"):
        read_tensors(path)


def test_a_header_as_deep_as_nothing_we_write_is_refused(tmp_path):
    header = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    (tmp_path / "deep").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(SclviError, match="not an sclvi model"):
        read_tensors(tmp_path / "deep")


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(SclviError, match=r"none: cannot be read \(No such file"):
        read_tensors(tmp_path / "none")
