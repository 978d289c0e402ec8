"""A small disk of one's own, and what lines of the log raise."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from rig.disk import Disk, small_disk

from vittne.appliance.events.alarms import Alarms


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as found:
        if found is None:
            pytest.skip("needs to mount")
        yield found


@pytest.fixture
def alarms() -> Iterator[Alarms]:
    """All that is raised by lines of the log meanwhile, as a recorder sets its log up."""
    found = Alarms()

    def end(_logger: Any, _method: str, _line: MutableMapping[str, Any]) -> str:
        return ""

    structlog.configure(processors=[found.see, end], logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield found
    finally:
        structlog.reset_defaults()
