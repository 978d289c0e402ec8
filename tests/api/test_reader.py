"""What only reads is read beside the loop, by several at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from vittne.appliance.api.database import ready_catalogue
from vittne.appliance.api.reader import Reader
from vittne.appliance.store.catalogue import Catalogue, NoSuchCall


def test_several_read_at_once_and_errors_come_through(tmp_path: Path) -> None:
    ready_catalogue(tmp_path)
    together = threading.Barrier(3, timeout=30)

    def outcomes(catalogue: Catalogue, wanted: int) -> tuple[int, dict[str, int]]:
        together.wait()
        return wanted, catalogue.outcomes()

    async def use() -> None:
        reader = Reader(tmp_path)
        try:
            found = await asyncio.gather(*(reader(outcomes, n) for n in range(3)))
            assert found == [(0, {}), (1, {}), (2, {})]
            with pytest.raises(NoSuchCall):
                await reader(Catalogue.get, "00")
        finally:
            reader.close()

    asyncio.run(use())
