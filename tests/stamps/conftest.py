"""A ledger with something in it, and authorities that are made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.authority import Authority
from rig.books import begun

from vittne.appliance.registrar import Registrar


@pytest.fixture(scope="session")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority whose tokens both programs accept."""
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="session")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that puts its chain into tokens, unsorted: the library refuses them and openssl does not."""
    return Authority(tmp_path_factory.mktemp("chained"), chained=True)


@pytest.fixture
def registrar(tmp_path: Path) -> Iterator[Registrar]:
    """The books of a recorder that has begun a run."""
    found = begun(tmp_path / "data")
    found.ledger.publish()
    yield found
    found.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that nobody writes, with two entries in its ledger."""
    found = begun(tmp_path / "data")
    found.end_run()
    found.close()
    return tmp_path / "data"
