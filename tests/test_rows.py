"""Result rows: written whole, refused where they do not fit, and with where they come from."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sclvi.errors import SclviError
from sclvi.evaluation import rows
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded


def test_a_file_has_its_header_once_however_often_rows_are_added(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    append_rows(path, [{"name": "a", "value": 0.5}])
    append_rows(path, [{"name": "b, c", "value": None}, {"name": "d", "value": 2}])
    append_rows(path, [{"name": "e", "value": ""}])
    assert path.read_bytes() == b'name,value\na,0.5\n"b, c",\nd,2\ne,\n'


@settings(max_examples=30)
@given(values=st.lists(st.text("ab ,\"\n'=;äß螺"), min_size=1))
def test_what_is_written_is_read_again(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    expected = [{"number": str(number), "value": value} for number, value in enumerate(values)]
    append_rows(path, expected)
    append_rows(path, expected)
    assert read_rows(path) == 2 * expected


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "rows.csv") == []


@pytest.mark.parametrize("other", [{"value": 1}, {"name": "a", "value": 1, "more": 2}, {"value": 1, "name": "a"}])
def test_rows_with_other_columns_are_refused_and_the_file_stays(tmp_path, other):
    path = tmp_path / "rows.csv"
    append_rows(path, [{"name": "a", "value": 1}])
    before = path.read_bytes()
    with pytest.raises(SclviError) as caught:
        append_rows(path, [other])
    assert str(path) in str(caught.value) and "other columns" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_row_that_does_not_fit_the_others_leaves_none_of_them(tmp_path):
    path = tmp_path / "rows.csv"
    with pytest.raises(ValueError, match="extra"):
        append_rows(path, [{"name": "a"}, {"name": "b", "extra": 1}])
    assert not path.exists()


def test_rounded_keeps_what_is_not_there():
    assert rounded(0.123456, 5) == 0.12346
    assert rounded(None, 5) is None


# Provenance


def git(folder, *arguments):
    names = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder that takes the place of the package's own, with one file in it."""
    folder = tmp_path / "repository" / "src" / "sclvi"
    (folder / "evaluation").mkdir(parents=True)
    (folder / "code.py").write_text("1\n")
    monkeypatch.setattr(rows, "__file__", str(folder / "evaluation" / "rows.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))  # a repository around the temporary files is none
    return folder


@pytest.fixture
def repository(package):
    if not shutil.which("git"):
        pytest.skip("git is not at hand")
    root = package.parents[1]
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root


def test_provenance_says_commit_date_device_threads_and_torch(repository):
    before = datetime.now(UTC).date()
    made = provenance()
    assert list(made) == ["commit", "date", "device", "threads", "torch"]
    assert made["commit"] == git(repository, "rev-parse", "HEAD")[:12]
    assert made["date"] in {before.isoformat(), (before + timedelta(days=1)).isoformat()}
    if not torch.cuda.is_available():  # name (instructions), such as "AMD EPYC 7B13 (AVX2)"
        assert made["device"].endswith(f"({torch.backends.cpu.get_cpu_capability()})")
    assert made["threads"] == torch.get_num_threads()
    assert made["torch"] == torch.__version__


def test_a_commit_with_changes_in_the_package_has_a_plus(repository, package):
    commit = provenance()["commit"]
    (repository / "notes.txt").write_text("outside the package\n")
    assert provenance()["commit"] == commit
    (package / "code.py").write_text("2\n")
    assert provenance()["commit"] == commit + "+"
    git(repository, "commit", "--quiet", "--all", "--message", "two")
    assert provenance()["commit"] == git(repository, "rev-parse", "HEAD")[:12] != commit


def test_outside_a_repository_the_version_stands_for_the_commit(package):
    assert provenance()["commit"] == version("sclvi")


def test_without_git_the_version_stands_for_the_commit(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["commit"] == version("sclvi")


def test_provenance_fits_on_one_line_of_a_file(tmp_path):
    append_rows(tmp_path / "rows.csv", [provenance()])
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert len(file.read().splitlines()) == 2
    (row,) = read_rows(tmp_path / "rows.csv")
    assert row == {name: str(value) for name, value in provenance().items()}
