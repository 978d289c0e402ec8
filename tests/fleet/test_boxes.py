"""Searching all recorders at once: merged by time, each named, by who may read, and entered in the trail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.boxes import Box, Two, call

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import BUILT_IN, Level, Only, Profile
from vittne.appliance.fleet.boxes import SharedCatalogue
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import BadCursor
from vittne.appliance.store.audit import AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer

Vittne = Callable[..., tuple[int, str, str]]
ANY = Only()
EVERYTHING = Principal("user", "1", "anna", (BUILT_IN["compliance"],))
NOW_US = call(0).started_us + 3600 * 1_000_000


def shared(two: Two) -> SharedCatalogue:
    return SharedCatalogue(DatabaseServer(two.server.url("reader"), "pg_catalog", lambda: "of-the-reader"))


def role(only: Only = ANY, party: Level = "full") -> Profile:
    return Profile(name="r", may=frozenset({"read"}), only=only, fields={"party": party})


def test_calls_of_all_recorders_come_by_time_and_name_theirs(two: Two, vittne: Vittne) -> None:
    status, out, _ = vittne("fleet", "search", "--config", two.config, "--json", "--limit", "3")

    found = json.loads(out)
    assert status == 0
    assert [(one["recorder"]["name"], one["id"]) for one in found] == [
        ("Oslo", call(9).id),
        ("Berlin", call(8).id),
        ("Oslo", call(7).id),
    ]
    assert found[0]["link"] == f"https://oslo.example.org/recordings/{call(9).id}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["--number", "3000004"], [4]),
        (["3000007"], [7]),
        (["--site", "Oslo", "--limit", "2"], [9, 7]),
        (["--call-id", "5-b@pbx"], [5]),
        (["--until", "2023-11-14T22:13:22"], [1, 0]),
        (["nobody"], []),
    ],
)
def test_a_search_finds_the_same_as_on_each_recorder(
    two: Two, vittne: Vittne, asked: list[str], expected: list[int]
) -> None:
    _, out, _ = vittne("fleet", "search", "--config", two.config, "--json", *asked)

    assert [one["id"] for one in json.loads(out)] == [call(n).id for n in expected]


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_pages_of_all_recorders_have_each_call_once(two: Two, order: str) -> None:
    query, found, cursor = Query(order=order), [], ""  # type: ignore[arg-type]

    with shared(two) as there:
        for _ in range(4):
            page = there.search(EVERYTHING, query, NOW_US, 3, cursor)
            found.append([one.call.sealed.id for one in page.calls])
            cursor = page.cursor
        with pytest.raises(BadCursor):
            there.search(EVERYTHING, Query(number="3"), NOW_US, 3, "of-nothing")

    ids = [call(n).id for n in range(10)]
    ids = ids if order == "asc" else ids[::-1]
    assert found == [ids[:3], ids[3:6], ids[6:9], ids[9:]]
    assert cursor == ""


def test_what_a_role_leaves_out_no_recorder_shows(two: Two) -> None:
    oslo = Principal("user", "1", "a", (role(Only(sites=("Oslo",))),))
    one_number = Principal("user", "1", "a", (role(Only(numbers=("*30000[05]7",))),))
    here = Principal("user", "1", "a", (role(),), sites=("Berlin",))

    with shared(two) as there:
        found = {
            name: [one.call.sealed.id for one in there.search(who, Query(), NOW_US, 2).calls]
            for name, who in {"oslo": oslo, "number": one_number, "here": here}.items()
        }

    assert found == {
        "oslo": [call(9).id, call(7).id],
        "number": [call(7).id],
        "here": [call(8).id, call(6).id],
    }


def test_nobody_searches_all_recorders_by_what_a_role_hides(two: Two) -> None:
    masked = Principal("user", "1", "a", (role(party="masked"),))

    with shared(two) as there, pytest.raises(Hidden):
        there.search(masked, Query(number="3000004"), NOW_US, 5)


def test_a_search_goes_on_after_the_server_was_started_anew(two: Two) -> None:
    with shared(two) as there:
        before = there.search(EVERYTHING, Query(), NOW_US, 5)
        two.server.stop()
        with pytest.raises(StoreError, match="shared catalogue cannot be read"):
            there.search(EVERYTHING, Query(), NOW_US, 5)
        two.server.start()

        assert there.search(EVERYTHING, Query(), NOW_US, 5).calls == before.calls


def test_people_see_a_table_and_that_there_is_more(two: Two, vittne: Vittne) -> None:
    status, out, _ = vittne("fleet", "search", "--config", two.config, "--limit", "1")

    assert status == 0
    assert "Oslo" in out
    assert "there are more" in out
    _, out, _ = vittne("fleet", "boxes", "--config", two.config)
    assert "https://berlin.example.org" in out


def test_each_search_is_in_the_trail_of_the_recorder_it_is_made_on(two: Two, vittne: Vittne) -> None:
    vittne("fleet", "search", "--config", two.config, "--number", "4930")

    with Catalogue(two.data / "catalogue.db", read_only=True) as catalogue:
        rows = [row for row in AuditTable(catalogue).search() if "4930" in json.dumps(dict(row.details))]
    assert [row.details["where"] for row in rows] == ["all recorders"]


def test_a_recorder_of_another_version_is_named_and_keeps_nobody_from_the_others(two: Two, vittne: Vittne) -> None:
    version = f"{two.schemas[1]}.alembic_version"
    ((head,),) = two.server.sql(f"SELECT version_num FROM {version}")
    two.server.sql(f"UPDATE {version} SET version_num = '9999'")
    try:
        status, out, err = vittne("fleet", "search", "--config", two.config, "--json")
    finally:
        two.server.sql(f"UPDATE {version} SET version_num = '{head}'")

    assert status == 1
    assert {one["recorder"]["name"] for one in json.loads(out)} == {"Berlin"}
    assert "not searched" in err
    assert "9999" in err


@pytest.mark.parametrize("table", ["audit", "notes", "users", "tokens", "runs"])
def test_the_reader_reads_no_more_than_what_is_searched(two: Two, table: str) -> None:
    server = DatabaseServer(two.server.url("reader"), two.schemas[0], lambda: "of-the-reader")
    with (
        Catalogue(server, read_only=True) as catalogue,
        pytest.raises(StoreError, match="permission denied"),
        catalogue.reading() as connection,
    ):
        connection.exec_driver_sql(f"SELECT * FROM {table}")


def test_without_a_reader_nothing_is_searched(two: Two, tmp_path: Path, vittne: Vittne) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text(f'data = "{two.data}"\n[catalogue]\nurl = "{two.server.url("berlin")}"\n')

    status, _, err = vittne("fleet", "search", "--config", config)

    assert status != 0
    assert "catalogue.reader" in err


def test_what_waits_is_told(berlin: Box, tmp_path: Path, vittne: Vittne) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text(f'data = "{berlin.registrar.data_dir}"\n[catalogue]\nurl = "{berlin.settings.url}"\n')
    berlin.send()
    assert vittne("fleet", "status", "--config", config)[1] == "all is there\n"

    berlin.catalogue.upsert_call(call(0))

    assert vittne("fleet", "status", "--config", config)[1].startswith("1 wait, since ")
