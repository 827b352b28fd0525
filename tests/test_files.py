"""`write_atomically`: the old content or the new, never half, and no temporary file left."""

import errno
import os
import stat
from pathlib import Path

import pytest

from sclvi.errors import SclviError
from sclvi.files import write_atomically


def test_writes_and_replaces(tmp_path: Path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_as_the_umask_allows(tmp_path: Path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_an_older_file_hands_its_permissions_on(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"new")


def test_longest_name_is_possible(tmp_path: Path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


def test_link_is_followed(tmp_path: Path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    path = tmp_path / "model.sclvi"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(SclviError) as caught:
        write_atomically(path, b"new")
    assert str(caught.value) == f"{path}: cannot be written (No space left on device)"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_removes_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"new")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_device_is_written_directly_and_a_really_full_one_is_told():
    with pytest.raises(SclviError, match=r"^/dev/full: cannot be written \(No space left on device\)$"):
        write_atomically(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_impossible_places(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for place, reason in [
        ("missing/a", "No such file or directory"),
        ("file/a", "Not a directory"),
        ("folder", "Is a directory"),
        ("n" * 300, "File name too long"),
    ]:
        with pytest.raises(SclviError) as caught:
            write_atomically(tmp_path / place, b"x")
        assert str(caught.value) == f"{tmp_path / place}: cannot be written ({reason})"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_parts_are_written_one_after_the_other(tmp_path: Path):
    write_atomically(tmp_path / "a", b"head", memoryview(b"body"), b"")
    assert (tmp_path / "a").read_bytes() == b"headbody"
