"""An archive of twelve recorded calls, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from recordings import record
from scenarios import basic

from vittne.appliance.__main__ import run

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve calls of January 2026; recorded once."""
    return record(basic.many_calls(12), tmp_path_factory.mktemp("twelve")).data


@pytest.fixture
def data(twelve: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twelve, tmp_path / "data"))


@pytest.fixture
def vittne(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Vittne:
    """Runs a command line; returns exit status, standard output, standard error."""
    for name in ("VITTNE_DATA", "VITTNE_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command
