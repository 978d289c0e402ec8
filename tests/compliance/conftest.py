"""Real recordings, made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lives import archive as make_archive
from recordings import record
from scenarios import basic


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of January 2026: three calls from 2000 to 2002, and one from 2900 of which nothing was heard."""
    scenario = basic.many_calls(3)
    caller, callee = (
        scenario.endpoint("mute", "10.1.0.9", 41_000, "2900"),
        scenario.endpoint("m", "10.2.0.9", 42_000, "3900"),
    )
    dialog = scenario.dialog(caller, callee)
    answered = dialog.set_up(0.5)
    dialog.bye(answered + 1.0)
    return record(scenario, tmp_path_factory.mktemp("day")).data


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One call with names, numbers, a pause and a copy that Ann took."""
    data = tmp_path_factory.mktemp("one") / "data"
    make_archive(data)
    return data


@pytest.fixture
def calls(day: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(day, tmp_path / "data"))


@pytest.fixture
def data(one: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(one, tmp_path / "data"))
