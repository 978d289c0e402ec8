"""`vittne alarms`, beside a recorder's pieces: what stands, who is told, and a test that is in the trail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vittne.appliance.alarming.desk import desk_of
from vittne.appliance.alarming.operations import LIST_ALARMS, TEST_ALARMS, ListAlarms, TestAlarms
from vittne.appliance.alarming.settings import AlarmMail, AlarmsConfig
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.errors import StoreError


def test_a_test_is_sent_to_every_channel_and_is_in_the_trail(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    operator = Operator(registrar, OPERATIONS)
    alarms = Alarms()
    alarms.raise_("the disk is nearly full", {"percent": 4.0})
    mail = AlarmMail(name="duty", host="127.0.0.1", port=1, security="none", sender="a@b.org", to=("c@d.org",))
    registrar.alarm_desk = desk_of(alarms, AlarmsConfig(mail=(mail,)))

    async def whole() -> None:
        running = asyncio.create_task(registrar.alarm_desk.run())
        await asyncio.sleep(0)
        told = await operator.perform(TEST_ALARMS, TestAlarms(), Caller("Ann"))
        assert told["channels"] == ["duty"]
        async with asyncio.timeout(30):
            while True:
                found = await operator.perform(LIST_ALARMS, ListAlarms(), Caller("Ann"))
                if found["channels"][0]["error"]:
                    break
                await asyncio.sleep(0.01)
        assert [one["name"] for one in found["alarms"]] == ["disk-full"]
        assert "refused" in found["channels"][0]["error"]
        running.cancel()

    asyncio.run(whole())
    (row,) = registrar.audit.table.search(AuditSearch(kinds=(events.ALARMS_TESTED,)))
    assert (row.actor, row.details["channels"]) == ("Ann", ["duty"])
    registrar.close()


def test_where_no_recorder_runs_there_are_no_alarms(tmp_path: Path) -> None:
    registrar = Registrar(tmp_path / "data")
    with pytest.raises(StoreError, match="no recorder runs here"):
        asyncio.run(Operator(registrar, OPERATIONS).perform(LIST_ALARMS, ListAlarms(), Caller("Ann")))
    registrar.close()
