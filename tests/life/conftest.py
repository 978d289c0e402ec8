"""A data directory with one recorded call, and the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lives import archive as make_archive


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One call with names, numbers, a pause and a trail; made once."""
    data = tmp_path_factory.mktemp("life") / "data"
    make_archive(data)
    return data


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))
