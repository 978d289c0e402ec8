"""A plain call, recorded once for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Scenario
from recordings import Recorded, record
from scenarios import basic

from vittne.appliance.__main__ import run

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Alice calls Bob, three seconds of PCMU."""
    return record(basic.basic_call(), tmp_path_factory.mktemp("plain"))


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[Scenario], Recorded]:
    """Records a scenario in this test's own folder."""
    return lambda scenario: record(scenario, tmp_path)


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
