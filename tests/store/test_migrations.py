"""The steps that bring a catalogue up to date agree with the tables, and nobody takes a wrong version for his."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import find
from vittne.appliance.store import migrations
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.database import Where, open_database
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.server import DatabaseServer, connect, prepare
from vittne.appliance.store.tables import HEAD, metadata

EVERYTHING = Principal("user", "1", "anna", (BUILT_IN["compliance"],))


def set_version(path: Path, version: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_the_last_step_is_the_version_that_the_program_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_steps_give_the_tables(place: Callable[[], Where]) -> None:
    engine = open_database(place(), read_only=False)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def older(where: Where, version: str) -> Engine:
    """Make a catalogue as a program of that version did, in a file or on a server."""
    engine = connect(where, False) if isinstance(where, DatabaseServer) else create_engine(f"sqlite:///{where}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        if isinstance(where, DatabaseServer):
            prepare(connection, where.schema)
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    return engine


def test_calls_of_an_older_catalogue_are_kept_and_have_no_class(place: Callable[[], Where]) -> None:
    where = place()
    engine = older(where, "0003")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO calls"
                " VALUES ('c', 'finished', 'a', 'b', 1, 2, 3, '[]', 'bye', 'recorded', '[]', '', 0, '{}')"
            )
        )
        connection.execute(text("INSERT INTO dialogs VALUES ('c', 0, '1@a')"))
    engine.dispose()

    with Catalogue(where) as catalogue:
        assert catalogue.get("c") == CallRow(
            "c", "finished", ("1@a",), "a", "b", 1, 2, 3, end_reason="bye", outcome="recorded"
        )
        assert [one.sealed.id for one in find(catalogue, EVERYTHING, Query(), 10, 5).calls] == ["c"]


STEPS = [step.revision for step in ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()]


def test_every_step_alone_leads_on_to_the_tables(place: Callable[[], Where]) -> None:
    where = place()
    for step in reversed(STEPS):
        older(where, step).dispose()
        with pytest.raises(StoreError, match="this program needs") if step != HEAD else nullcontext():
            Catalogue(where, read_only=True).close()

    engine = open_database(where, read_only=True)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_catalogue_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    Catalogue(path).close()
    set_version(path, "9999")

    for read_only in (True, False):
        with pytest.raises(StoreError, match="of version 9999, this program knows"):
            Catalogue(path, read_only=read_only)


def test_a_reader_does_not_change_an_older_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    Catalogue(path).close()
    set_version(path, "0000")

    with pytest.raises(StoreError, match="of version 0000, this program needs"):
        Catalogue(path, read_only=True)


def test_an_empty_file_left_by_a_crash_becomes_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    path.touch()

    with pytest.raises(StoreError, match="of version none"):
        Catalogue(path, read_only=True)
    Catalogue(path).close()
    Catalogue(path, read_only=True).close()


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (x)")  # in the way of a table that is made late in the step

    with pytest.raises(StoreError, match="already exists"):
        Catalogue(path)

    with sqlite3.connect(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"runs"}
