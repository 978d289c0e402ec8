"""What the tests of the command line use, here too."""

from __future__ import annotations

import pytest

from vittne.appliance.__main__ import run


class Command:
    """Runs `vittne` in this process and keeps what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err


@pytest.fixture
def vittne(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line; returns exit status, standard output, standard error."""
    for name in ("VITTNE_DATA", "VITTNE_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return Command(capsys)
