"""Fixtures shared by the tests; real pictures are read in place and skipped where they are absent."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from sclvi import cli

settings.register_profile("sclvi", deadline=None)  # a time limit per example would be absolute timing
settings.load_profile("sclvi")

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """Folder with the real MVTec-layout categories."""
    if not _DATA.is_dir():
        pytest.skip(f"real inspection pictures are not at hand ({_DATA})")
    return _DATA


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def sclvi(monkeypatch, capsys):
    """Run the command line in this process; gives (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sclvi", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.run()
        written = capsys.readouterr()
        return exit_.value.code or 0, written.out, written.err

    return call
