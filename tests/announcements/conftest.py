"""An archive in which an announcement was played."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from prompts import NOTICE, OTHER, calls, speech, write_wav
from recordings import record


@pytest.fixture
def notice(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "notice.wav", speech(NOTICE))


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three calls, in order: the notice is played whole, is broken off, is not played."""
    where = tmp_path_factory.mktemp("three")
    talk = speech(OTHER, "en-gb+m1")
    whole = speech(NOTICE)
    scenario = calls([[whole, talk], [whole[: len(whole) // 2], talk], [talk, talk]])
    return record(scenario, where).data


@pytest.fixture
def data(three: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(three, tmp_path / "data"))
