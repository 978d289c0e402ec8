"""What one recorder knows is in the shared catalogue, row for row, whatever happens on the way."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from rig.boxes import Box, box, call
from rig.postgres import Cluster
from sqlalchemy import delete, func, insert, select, update
from structlog.testing import capture_logs

from vittne.appliance.control.operation import Caller
from vittne.appliance.fleet import triggers
from vittne.appliance.fleet.sending import BATCH, Sender
from vittne.appliance.fleet.server import server_of
from vittne.appliance.fleet.units import UNITS
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.holds import HoldRow, HoldTable
from vittne.appliance.store.rows import RunRow
from vittne.appliance.store.tables import calls, holds, listing, metadata, shipping, tokens, unshipped

FOREIGN = "alarm: the shared catalogue is not as this recorder left it; all is compared"


def hold(berlin: Box, name: str, *recordings: str) -> None:
    HoldTable(berlin.catalogue).place(HoldRow(name, "label", "reason", "owner", None, False, 1, "Ann"), recordings)


def waiting(berlin: Box) -> int:
    with berlin.catalogue.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(unshipped)).scalar_one())


def test_what_was_there_and_what_comes_later_is_sent(berlin: Box) -> None:
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    berlin.registrar.audit.note("export", Caller("Ann"), call(1).id, reason="asked")

    assert berlin.send()
    assert berlin.there == berlin.here
    assert len(berlin.there["calls"]) == 3

    berlin.catalogue.upsert_calls([call(1, outcome="partial", streams=()), call(7)])
    berlin.catalogue.put_run(RunRow(("eth1",), 1, "v", drops={"link": {"other": 3}}))
    hold(berlin, "h", call(1).id, call(2).id)
    assert berlin.there != berlin.here
    assert berlin.send()

    assert berlin.there == berlin.here
    assert waiting(berlin) == 0


def test_what_is_removed_here_is_removed_there(berlin: Box) -> None:
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    hold(berlin, "h", call(1).id)
    berlin.send()

    with berlin.catalogue.writing() as connection:
        connection.execute(delete(calls).where(calls.c.id == call(1).id))
        connection.execute(delete(listing).where(listing.c.recording == call(1).id))
        connection.execute(delete(holds))
    berlin.send()

    assert berlin.there == berlin.here
    assert len(berlin.there["calls"]) == 2
    assert berlin.there["held"] == []


def test_a_call_that_changes_all_the_time_waits_once(berlin: Box) -> None:
    berlin.send()

    for n in range(20):
        berlin.catalogue.upsert_call(call(1, size_bytes=n))

    assert waiting(berlin) == 1
    berlin.send()
    assert berlin.there == berlin.here


def test_one_that_has_nothing_to_send_says_that_it_is_there(berlin: Box, postgres: Cluster) -> None:
    berlin.send()
    postgres.sql(f"UPDATE {berlin.schema}.shipping SET shipped_us = 1")

    berlin.send()

    ((said_us,),) = postgres.sql(f"SELECT shipped_us FROM {berlin.schema}.shipping")
    assert said_us > 1


def test_what_changes_while_it_is_being_sent_is_sent_once_more(berlin: Box) -> None:
    berlin.send()
    berlin.catalogue.upsert_call(call(1))
    with Catalogue(server_of(berlin.settings, berlin.schema)) as there:
        steps = Sender(berlin.catalogue, there, {}).round()
        triggers.announce(berlin.catalogue, next(steps).mark)
        sent = next(steps)
        berlin.catalogue.upsert_call(call(1, outcome="partial"))
        triggers.settle(berlin.catalogue, sent.mark, sent.seq, 1)

    assert waiting(berlin) == 1
    berlin.send()
    assert berlin.there == berlin.here


@pytest.mark.parametrize("died_after", ["announce", "commit"])
def test_one_that_dies_at_a_batch_goes_on_and_compares_nothing(berlin: Box, died_after: str) -> None:
    berlin.send()
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    with Catalogue(server_of(berlin.settings, berlin.schema)) as there:
        steps = Sender(berlin.catalogue, there, {}).round()
        triggers.announce(berlin.catalogue, next(steps).mark)
        if died_after == "commit":
            next(steps)

    with capture_logs() as logs:
        assert berlin.send()

    assert FOREIGN not in [one["event"] for one in logs]
    assert berlin.there == berlin.here
    assert waiting(berlin) == 0


def test_more_than_a_batch_is_compared_and_goes_on_where_it_died(berlin: Box) -> None:
    count = 2 * BATCH + 7
    berlin.catalogue.upsert_calls([call(n) for n in range(count)])
    triggers.switch_on(berlin.catalogue, berlin.settings.url)
    with Catalogue(server_of(berlin.settings, berlin.schema)) as there:
        sender = Sender(berlin.catalogue, there, {})
        sender.begin("")
        steps = sender.round()
        triggers.announce(berlin.catalogue, next(steps).mark)
        assert next(steps).word == "copied"
        with there.reading() as connection:
            assert connection.execute(select(func.count()).select_from(calls)).scalar_one() == BATCH

    berlin.send()

    assert berlin.there == berlin.here
    assert len(berlin.there["calls"]) == count


def test_a_restored_catalogue_makes_the_shared_one_as_it_is(berlin: Box, tmp_path: Path, postgres: Cluster) -> None:
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    berlin.send()
    backup = sqlite3.connect(tmp_path / "backup.db")
    with sqlite3.connect(berlin.registrar.data_dir / "catalogue.db") as database:
        database.backup(backup)
    backup.close()
    berlin.catalogue.upsert_calls([call(1, outcome="partial"), call(9)])
    berlin.send()
    data = berlin.registrar.data_dir
    berlin.registrar.close()
    for path in data.glob("catalogue.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.db", data / "catalogue.db")

    with box(data, postgres) as restored, capture_logs() as logs:
        restored.catalogue.upsert_call(call(4))
        assert restored.send()
        assert FOREIGN in [one["event"] for one in logs]
        assert restored.there == restored.here
        assert len(restored.there["calls"]) == 4


def test_a_shared_catalogue_that_somebody_changed_back_is_compared(berlin: Box, postgres: Cluster) -> None:
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    berlin.send()
    postgres.sql(f"DELETE FROM {berlin.schema}.calls")
    postgres.sql(f"UPDATE {berlin.schema}.shipping SET mark = 'of a backup'")

    berlin.send()

    assert berlin.there == berlin.here


def test_a_new_version_compares_everything_and_alarms_nobody(berlin: Box) -> None:
    berlin.send()
    with berlin.catalogue.writing() as connection:
        connection.execute(update(shipping).values(about={"head": "0001", "url": berlin.settings.url}))

    with capture_logs() as logs:
        berlin.send()

    assert [one["event"] for one in logs] == ["the catalogue is copied to the shared one"]
    assert berlin.there == berlin.here


def test_changes_without_triggers_are_found(berlin: Box) -> None:
    berlin.catalogue.upsert_calls([call(n) for n in range(3)])
    berlin.send()
    triggers.switch_off(berlin.catalogue)
    with berlin.catalogue.writing() as connection:
        connection.execute(delete(calls).where(calls.c.id == call(1).id))
        connection.execute(delete(listing).where(listing.c.recording == call(1).id))
        connection.execute(update(calls).values(site="x"))

    berlin.send()

    assert berlin.there == berlin.here


def test_what_an_attacker_wrote_into_a_call_keeps_nothing_back(berlin: Box) -> None:
    evil = {"caller": "sip:a\x00b" + "ü" * 5000, "details": {"a\x00": ["\ud800 \x00", float("nan")]}}
    berlin.catalogue.upsert_calls([call(1, **evil), call(2, call_ids=("x" * 9000,))])
    berlin.catalogue.upsert_call(replace(call(3), callee="\U0001f600" * 3000))

    with capture_logs() as logs:
        assert berlin.send()

    assert [one["event"] for one in logs] == ["the catalogue is copied to the shared one"]
    assert berlin.there == berlin.here


def test_what_the_server_refuses_is_told_and_keeps_no_other_back(berlin: Box, postgres: Cluster) -> None:
    berlin.send()
    postgres.sql(f"ALTER TABLE {berlin.schema}.calls ADD CONSTRAINT no CHECK (outcome <> 'partial')")
    berlin.catalogue.upsert_calls([call(1), call(2, outcome="partial"), call(3)])

    with capture_logs() as logs:
        assert berlin.send()

    (told,) = [one for one in logs if one["event"].startswith("alarm")]
    assert call(2).id in told["reason"]
    assert len(berlin.there["calls"]) == 2


def test_nothing_but_what_is_named_leaves_the_machine(berlin: Box, postgres: Cluster) -> None:
    texts = {"id": "t", "name": "n", "secret_sha256": "s", "maker": ""}
    with berlin.catalogue.writing() as connection:
        connection.execute(insert(tokens).values(**texts, scopes=[], networks=[], created_us=1))
    berlin.send()

    shared = {table.name for unit in UNITS for table, _ in unit.tables}
    for table in metadata.tables:
        if table not in shared | {"shipping"}:
            assert postgres.sql(f'SELECT count(*) FROM {berlin.schema}."{table}"') == [(0,)], table
    assert not shared & {"users", "roles", "factors", "sessions", "invitations", "tokens", "answers", "webhooks"}
    assert not shared & {"webhook_deliveries", "subjects", "subject_acts", "reviews", "requests", "saved_searches"}
