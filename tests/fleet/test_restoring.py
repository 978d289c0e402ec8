"""A recorder lost its catalogue: the shared one does not follow it, and what was sent is brought back whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cuts import REC
from lives import archive, erasing
from rig.boxes import Box, box, call, contents
from rig.postgres import Cluster
from sqlalchemy import insert, select
from structlog.testing import capture_logs

from vittne.appliance.control.operation import Caller
from vittne.appliance.life.carry import LOST_FILE
from vittne.appliance.seal import events
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.holds import HoldRow, HoldTable
from vittne.appliance.store.lock import DataLock
from vittne.appliance.store.rows import RunRow
from vittne.appliance.store.tables import canaries, users

Vittne = Callable[..., tuple[int, str, str]]
LOST = "alarm: this recorder lost calls that the shared catalogue has"
CANARY = {"started_us": 1, "recording": "", "result": "well", "checks": [], "sent": {}}


def fill(one: Box) -> None:
    """Have something in each kind of row that is shared."""
    one.catalogue.upsert_calls([call(n, details={"ä": [1.5, None, {"b": "\u2603"}]}, tags=("VIP",)) for n in range(5)])
    one.registrar.audit.note("export", Caller("Ann"), call(1).id, reason="asked")
    one.catalogue.put_run(RunRow(("eth1",), 1, "v", drops={"link": {"other": 3}}))
    hold = HoldRow("h", "label", "reason", "owner", None, False, 1, "Ann")
    HoldTable(one.catalogue).place(hold, [call(1).id, call(2).id])
    with one.catalogue.writing() as connection:
        connection.execute(insert(canaries).values(id="c", **CANARY))
    assert one.send()


def lose(data: Path) -> None:
    for path in data.glob("catalogue.db*"):
        path.unlink()


def configured(tmp_path: Path, data: Path, postgres: Cluster) -> Path:
    config = tmp_path / "vittne.toml"
    config.write_text(f'data = "{data}"\n[catalogue]\nurl = "{postgres.url()}"\n')
    return config


def entered(data: Path, kind: str) -> list[dict[str, Any]]:
    found = []

    def visit(_: int, entry: bytes) -> None:
        if (said := read_entry(entry)).get("t") == kind:
            found.append(dict(said))

    scan_ledger(data / "ledger", load_verifier(data / "keys"), visit)
    return found


def test_a_lost_catalogue_comes_back_row_for_row_and_sending_goes_on(
    tmp_path: Path, postgres: Cluster, vittne: Vittne
) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres) as berlin:
        fill(berlin)
        before = berlin.here
    lose(data)

    status, out, _ = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres))

    assert status == 0
    assert "5 calls" in out
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        assert contents(catalogue) == before
    (told,) = entered(data, events.CATALOGUE_RESTORED)
    assert (told["calls"], told["audit"], told["missing"]) == (5, 1, 0)
    with box(data, postgres) as berlin, capture_logs() as logs:
        berlin.catalogue.upsert_calls([call(1, outcome="partial"), call(9)])
        assert berlin.send()
        assert berlin.there == berlin.here
        assert len(berlin.there["calls"]) == 6
        assert logs == []  # nothing was compared, and nothing sent twice


def test_an_empty_catalogue_does_not_empty_the_shared_one_and_is_merged(
    tmp_path: Path, postgres: Cluster, vittne: Vittne
) -> None:
    data, user = tmp_path / "berlin", {"name": "anna", "full_name": "", "roles": [], "own": [], "sites": []}
    with box(data, postgres) as berlin:
        fill(berlin)
        before = berlin.there
    lose(data)
    with box(data, postgres) as berlin, capture_logs() as logs:
        berlin.catalogue.upsert_call(call(7))
        with berlin.catalogue.writing() as connection:
            more = {"language": "", "origin": "local", "subject": "", "password": "", "created_us": 1}
            connection.execute(insert(users).values(id="u", **user, **more))
        postgres.sql(f"UPDATE {berlin.schema}.shipping SET shipped_us = 1")
        assert not berlin.send()
        assert not berlin.send()
        assert postgres.sql(f"SELECT shipped_us FROM {berlin.schema}.shipping") == [
            (1,)
        ]  # nobody says that all is well
        assert [one["calls"] for one in logs if one["event"] == LOST] == [5]
        assert berlin.there == before
    config = configured(tmp_path, data, postgres)

    status, _, err = vittne("fleet", "restore", "--config", config)
    assert status != 0
    assert "--replace" in err
    assert vittne("fleet", "restore", "--config", config, "--replace")[0] == 0

    with box(data, postgres) as berlin, capture_logs() as logs:
        assert berlin.send()
        assert berlin.there == berlin.here
        assert len(berlin.there["calls"]) == 6
        assert not [one for one in logs if one["event"].startswith("alarm")]
        with berlin.catalogue.reading() as connection:
            assert connection.execute(select(users.c.name)).scalars().all() == ["anna"]


def test_somebody_may_say_that_what_is_here_counts(tmp_path: Path, postgres: Cluster, vittne: Vittne) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres) as berlin:
        fill(berlin)
    lose(data)
    with box(data, postgres) as berlin:
        berlin.catalogue.upsert_call(call(7))
        assert not berlin.send()
    config = configured(tmp_path, data, postgres)

    assert vittne("fleet", "forget", "--config", config)[0] != 0
    assert vittne("fleet", "forget", "--config", config, "--yes")[0] == 0

    with box(data, postgres) as berlin:
        assert berlin.send()
        assert berlin.there == berlin.here
        assert len(berlin.there["calls"]) == 1


def test_what_was_never_sent_is_told_of_and_stops_erasing(tmp_path: Path, postgres: Cluster, vittne: Vittne) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres) as berlin:
        fill(berlin)
        berlin.registrar.audit.note(events.HOLD_PLACED, Caller("Ann"), hold="later")
    lose(data)

    status, out, _ = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres), "--json")

    (told,) = json.loads(out)
    assert status == 1
    assert (told["missing"], told["is_stopped"]) == (1, True)
    assert (data / LOST_FILE).exists()


def test_a_recording_that_was_sealed_and_not_sent_comes_from_the_disk(
    tmp_path: Path, postgres: Cluster, vittne: Vittne
) -> None:
    data = tmp_path / "berlin"
    archive(data)
    with box(data, postgres) as berlin:
        berlin.send()
        before = berlin.here["calls"]
    postgres.sql(f"DELETE FROM {berlin.schema}.calls")
    postgres.sql(f"DELETE FROM {berlin.schema}.listing")
    lose(data)

    _, out, _ = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres), "--json")

    assert json.loads(out)[0]["from_disk"] == len(before)
    with box(data, postgres) as berlin:
        assert berlin.catalogue.get(REC).folder
        assert berlin.send()
        assert berlin.there == berlin.here


def test_what_was_erased_since_does_not_come_back(tmp_path: Path, postgres: Cluster, vittne: Vittne) -> None:
    data, name = tmp_path / "berlin", "Hedda Gabler"
    archive(data)
    with box(data, postgres) as berlin:
        berlin.send()
        assert name in repr(berlin.there)
    for _ in erasing(data):
        pass
    lose(data)

    _, out, _ = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres), "--json")

    assert json.loads(out)[0]["erased_again"] == 1
    with box(data, postgres) as berlin:
        assert name not in repr(berlin.here)
        assert berlin.send()
        assert name not in repr(berlin.there)


def test_a_recorder_that_runs_or_was_never_there_restores_nothing(
    tmp_path: Path, postgres: Cluster, vittne: Vittne
) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres):
        pass
    lose(data)
    config = configured(tmp_path, data, postgres)

    with DataLock(data, "recording on eth1"):
        status, _, err = vittne("fleet", "restore", "--config", config)
    assert status != 0
    assert "recording on eth1" in err
    status, _, err = vittne("fleet", "restore", "--config", config)

    assert status != 0
    assert "catalogue" in err
    assert not (data / CATALOGUE_FILE).exists()
    assert not list(data.glob("catalogue.shared*"))


@pytest.mark.parametrize("place", ["/etc", "recordings/../../x/{0}", "recordings/2023/other"])
def test_a_place_outside_of_the_archive_that_somebody_wrote_there_is_refused(
    tmp_path: Path, postgres: Cluster, vittne: Vittne, place: str
) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres) as berlin:
        fill(berlin)
    where = f"{berlin.schema}.calls SET folder = '{place.format(call(1).id)}' WHERE id = '{call(1).id}'"
    postgres.sql(f"UPDATE {where}")
    lose(data)

    status, _, err = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres))

    assert status != 0
    assert "outside of the archive" in err
    assert not (data / CATALOGUE_FILE).exists()


@pytest.mark.parametrize("change", ["UPDATE {0}.calls SET site = 'x'", "DELETE FROM {0}.notes"])
def test_a_copy_that_was_cut_short_is_said_to_be(
    tmp_path: Path, postgres: Cluster, vittne: Vittne, change: str
) -> None:
    data = tmp_path / "berlin"
    with box(data, postgres) as berlin:
        fill(berlin)
    postgres.sql(change.format(berlin.schema))
    postgres.sql(f"UPDATE {berlin.schema}.shipping SET mark = 'anew 00 calls x'")
    lose(data)

    status, _, err = vittne("fleet", "restore", "--config", configured(tmp_path, data, postgres))

    assert status == 1
    assert "cut short" in err
    with box(data, postgres) as berlin:
        assert berlin.send()
        assert berlin.there == berlin.here
