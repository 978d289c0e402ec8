"""Recorders that share a catalogue: their own side, what is to be there of it, and what sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cuts import START_US
from rig.postgres import Cluster
from sqlalchemy import select

from vittne.appliance.fleet.runner import CatalogueRunner
from vittne.appliance.fleet.server import schema_of, server_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.fleet.units import UNITS, fitting
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow

STREAM = StreamRow("caller", "PCMA", 8, 8000, 1, "10.0.0.1:1", "10.0.0.2:2", 9, 9, START_US, START_US, mos=4.1)


def call(n: int, **more: Any) -> CallRow:
    begin = START_US + n * 1_000_000
    row = CallRow(
        f"{n:08x}-1111-4000-8000-000000000000",
        FINISHED,
        (f"{n}@pbx", f"{n}-b@pbx"),
        f"sip:+4930{n:05}@carrier.example",
        "sip:2041@pbx.example",
        begin,
        begin,
        begin + 60_000_000,
        outcome="recorded",
        streams=(STREAM, replace(STREAM, party="callee", ssrc=2)),
    )
    return replace(row, **more)


class Box:
    """A recorder of which only catalogue and ledger are used."""

    def __init__(self, data: Path, postgres: Cluster, **settings: Any) -> None:
        self.registrar = Registrar(data)
        self.catalogue = self.registrar.catalogue
        self.settings = CatalogueSettings(url=postgres.url(), **settings)
        self.schema = schema_of(self.registrar.ledger.key.name)
        self.runner = CatalogueRunner(self.registrar, self.settings)

    def send(self) -> bool:
        """Send what waits."""
        return asyncio.run(self.runner.once())

    @property
    def here(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is to be there."""
        return contents(self.catalogue)

    @property
    def there(self) -> dict[str, list[tuple[Any, ...]]]:
        with Catalogue(server_of(self.settings, self.schema), read_only=True) as catalogue:
            return contents(catalogue)


@contextmanager
def box(data: Path, postgres: Cluster, **settings: Any) -> Iterator[Box]:
    data.mkdir(exist_ok=True)
    found = Box(data, postgres, **settings)
    try:
        yield found
    finally:
        found.registrar.close()


def contents(catalogue: Catalogue) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of what is shared, in an order of its own."""
    found = {}
    with catalogue.reading() as connection:
        for unit in UNITS:
            for table, _ in unit.tables:
                rows = [fitting(table, dict(row._mapping)) for row in connection.execute(select(table))]
                found[table.name] = sorted((tuple(row.values()) for row in rows), key=repr)
    return found


@dataclass
class Two:
    """Recorders in Berlin (calls 0 2 4 6 8) and Oslo (calls 1 3 5 7 9)."""

    server: Cluster
    config: Path
    data: Path
    schemas: list[str]
    password: Path

    @property
    def settings(self) -> CatalogueSettings:
        """Of Berlin, which may search both."""
        url = self.server.url("berlin")
        return CatalogueSettings(url=url, reader="reader", reader_password_file=self.password)
