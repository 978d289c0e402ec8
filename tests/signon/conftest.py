"""One directory for all tests of a file: it takes a second to begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from signon.slapd import Slapd, running


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory of our own."""
    with running(tmp_path_factory.mktemp("directory") / "slapd", least=1) as found:
        yield found
