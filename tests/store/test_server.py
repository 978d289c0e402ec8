"""A catalogue in PostgreSQL: what an address may say, whose schema it is, and that two who begin it make it once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from rig.postgres import Cluster
from sqlalchemy import text

from vittne.appliance.store.address import address_of
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer
from vittne.appliance.store.tables import HEAD


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:secret@db/v", "no password in an address"),
        ("postgresql://db/v", "USER@HOST"),
        ("mysql://u@db/v", "an address such as"),
        ("postgresql://u@db", "name of a database"),
        ("postgresql://u@db/v/w", "name of a database"),
        ("postgresql://u@db/v?sslmode=disable", "nothing else behind"),
        ("postgresql://u@db/v?host=/run/postgresql", "a host, or"),
        ("postgresql://u@/v?host=run", "a host, or"),
    ],
)
def test_an_address_that_says_something_else_is_refused(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        address_of(url)


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("postgresql://u@localhost/v", True),
        ("postgresql://u@[::1]:5433/v", True),
        ("postgresql://u@127.0.0.1/v", True),
        ("postgresql://u@/v?host=/run/postgresql", True),
        ("postgresql://u@10.0.0.1/v", False),
        ("postgresql://u@localhost.example.org/v", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls(url: str, is_here: bool) -> None:
    assert address_of(url).is_here is is_here


def test_several_that_begin_a_catalogue_at_once_make_it_once(postgres: Cluster) -> None:
    server, failed = postgres.server(), []

    def begin() -> None:
        try:
            Catalogue(server).close()
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert postgres.sql(f"SELECT version_num FROM {server.schema}.alembic_version") == [(HEAD,)]


def test_a_catalogue_of_a_newer_program_is_left_alone(postgres: Cluster) -> None:
    server = postgres.server()
    Catalogue(server).close()
    postgres.sql(f"UPDATE {server.schema}.alembic_version SET version_num = '9999'")

    for read_only in (True, False):
        with pytest.raises(StoreError, match="of version 9999, this program knows"):
            Catalogue(server, read_only=read_only)


def test_what_one_box_may_do_ends_at_its_schema(postgres: Cluster) -> None:
    other, mine = postgres.server(), postgres.server(user="limited", password="right")
    Catalogue(other).close()
    postgres.sql("CREATE ROLE limited LOGIN PASSWORD 'right'")
    postgres.sql(f"CREATE SCHEMA {mine.schema} AUTHORIZATION limited")

    with Catalogue(mine) as catalogue:
        with pytest.raises(StoreError, match="permission denied"), catalogue.writing() as connection:
            connection.execute(text(f"SELECT * FROM {other.schema}.calls"))
        with pytest.raises(StoreError, match="permission denied"), catalogue.writing() as connection:
            connection.execute(text("CREATE SCHEMA another"))


def test_what_the_server_says_is_told_and_no_password(postgres: Cluster) -> None:
    postgres.sql("CREATE ROLE somebody LOGIN PASSWORD 'right'")
    server = postgres.server(user="somebody", password="very-wrong-one")

    with pytest.raises(StoreError, match="password authentication failed") as told:
        Catalogue(server, read_only=True)

    assert "very-wrong-one" not in str(told.value)
    assert "very-wrong-one" not in repr(server)


def test_a_server_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is the server up"):
        Catalogue(DatabaseServer(f"postgresql://u@/v?host={tmp_path}", "box_1"))
