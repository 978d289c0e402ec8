"""A plain call, recorded once for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Scenario
from recordings import Recorded, record
from scenarios import basic


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Alice calls Bob, three seconds of PCMU."""
    return record(basic.basic_call(), tmp_path_factory.mktemp("plain"))


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[Scenario], Recorded]:
    """Records a scenario in this test's own folder."""
    return lambda scenario: record(scenario, tmp_path)
