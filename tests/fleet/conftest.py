"""A recorder that shares its catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.boxes import Box, box
from rig.postgres import Cluster


@pytest.fixture
def berlin(tmp_path: Path, postgres: Cluster) -> Iterator[Box]:
    with box(tmp_path / "berlin", postgres, name="Berlin") as found:
        yield found
