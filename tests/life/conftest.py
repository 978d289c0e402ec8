"""A data directory with one recorded call, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import archive as make_archive

from vittne.appliance.__main__ import run

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One call with names, numbers, a pause and a trail; made once."""
    data = tmp_path_factory.mktemp("life") / "data"
    make_archive(data)
    return data


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))


@pytest.fixture
def vittne(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vittne:
    """Runs a command line; returns exit status, standard output, standard error."""
    for name in ("VITTNE_DATA", "VITTNE_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command
