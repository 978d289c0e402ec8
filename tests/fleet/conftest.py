"""Recorders that share a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.boxes import Box, Two, box, call
from rig.postgres import Cluster, cluster


@pytest.fixture
def berlin(tmp_path: Path, postgres: Cluster) -> Iterator[Box]:
    with box(tmp_path / "berlin", postgres, name="Berlin") as found:
        yield found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with cluster() as server:
        server.sql("CREATE ROLE reader LOGIN PASSWORD 'of-the-reader'")
        schemas = []
        for first, name in enumerate(("Berlin", "Oslo")):
            settings = {"reader": "reader", "name": name, "console": f"https://{name.lower()}.example.org"}
            with box(folder / name, server, **settings) as found:
                found.catalogue.upsert_calls([call(n, site=name) for n in range(first, 10, 2)])
                assert found.send()
                schemas.append(found.schema)
        password = folder / "password"
        password.write_text("of-the-reader\n")
        password.chmod(0o600)
        config = folder / "vittne.toml"
        config.write_text(
            f'data = "{folder / "Berlin"}"\n[catalogue]\nurl = "{server.url("berlin")}"\nreader = "reader"\n'
            f'reader_password_file = "{password}"\n'
        )
        yield Two(server, config, folder / "Berlin", schemas, password)
