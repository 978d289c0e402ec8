"""An archive of twelve recorded calls, and the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recordings import record
from scenarios import basic


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve calls of January 2026; recorded once."""
    return record(basic.many_calls(12), tmp_path_factory.mktemp("twelve")).data


@pytest.fixture
def data(twelve: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twelve, tmp_path / "data"))
