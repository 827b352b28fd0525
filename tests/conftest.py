"""Fixtures shared by the tests; real pictures are read in place and skipped where they are absent."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

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
