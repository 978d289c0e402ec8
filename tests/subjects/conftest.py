"""Archives with calls of a person, recorded for real, and the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recordings import record
from scenarios import basic, transfers


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1001, Alice, calls 1002."""
    return record(basic.basic_call(), tmp_path_factory.mktemp("plain")).data


@pytest.fixture(scope="session")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1001, Alice, calls 1002, who transfers her to 1003."""
    return record(transfers.blind_transfer(), tmp_path_factory.mktemp("moved")).data


@pytest.fixture
def data(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "data"))


@pytest.fixture
def transferred(moved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(moved, tmp_path / "moved"))
