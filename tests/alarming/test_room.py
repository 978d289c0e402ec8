"""A disk that fills where the configuration lets it erase: what no rule keeps goes, the oldest first, and no more."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cuts import REC, START_US
from lives import FAR_US, archive
from rig.disk import Disk

from vittne.appliance.alarming.room import RoomMaker
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.client import perform
from vittne.appliance.control.server import Operator
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.life.operations import PLACE_HOLD, PlaceHold
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.settings import StoreConfig
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]
PART_BYTES = 2 << 20


def with_copies(data: Path, count: int) -> list[str]:
    """More recordings, each with a part of its own that takes room; one a second younger than the other."""
    registrar = Registrar(data)
    row = registrar.catalogue.get(REC)
    ids = [f"{n:08x}-2222-4000-8000-000000000000" for n in range(count)]
    rows = []
    for n, one in enumerate(ids):
        folder = data / Path(row.folder).with_name(one)
        folder.mkdir()
        shutil.copy(data / row.folder / "manifest.json", folder)
        (folder / "part-1.floe").write_bytes(bytes(PART_BYTES))
        where = str(folder.relative_to(data))
        rows.append(replace(row, id=one, folder=where, started_us=START_US + (n + 1) * 1_000_000))
    registrar.catalogue.upsert_calls(rows)
    for one in ids:
        registrar.life.change(one, retention_class="gdpr-90d", expires_us=FAR_US)
    registrar.close()
    return ids


def make_room(data: Path, config: StoreConfig) -> None:
    registrar = Registrar(data)
    registrar.life_policy = LifePolicy(room=config.room)
    try:
        asyncio.run(RoomMaker(Operator(registrar, OPERATIONS), registrar, config).once())
    finally:
        registrar.close()


def left(data: Path, ids: list[str]) -> list[int]:
    """Which of them still have their sound."""
    registrar = Registrar(data)
    rows = registrar.life.rows(ids)
    registrar.close()
    return [
        n for n, row in enumerate(rows) if row.facts.erased_us is None and (data / row.folder / "part-1.floe").exists()
    ]


def config(**more: object) -> StoreConfig:
    given = {"when_full": "erase-oldest-allowed", "erase_below_percent": 10.0, "erase_to_percent": 16.0, **more}
    return StoreConfig.model_validate(given)


@pytest.fixture
def data(disk: Disk) -> Path:
    found = disk.path / "data"
    archive(found)
    return found


def test_only_as_many_go_as_are_needed_and_only_what_nothing_keeps(disk: Disk, data: Path, alarms: Alarms) -> None:
    ids = with_copies(data, 7)
    registrar = Registrar(data)
    registrar.life.change(ids[0], locked_until_us=FAR_US)
    registrar.life.change(ids[1], restricted_us=now_us())
    registrar.life.change(ids[2], retention_class="")
    registrar.close()
    order = PlaceHold(label="case 1", reason="court", owner="Ann", recordings=[ids[3]])
    perform(data, PLACE_HOLD, order, by="Ann")
    disk.fill(int(0.12 * disk.size_bytes))
    make_room(data, config())
    assert left(data, ids) == [0, 1, 2, 3, 4, 5, 6]  # enough is free: 12 % of the disk, and 10 are wanted

    disk.fill(int(0.09 * disk.size_bytes))
    make_room(data, config())

    assert left(data, ids) == [0, 1, 2, 3, 6]
    assert disk.free_bytes >= 0.16 * disk.size_bytes
    registrar = Registrar(data)
    gone = list(registrar.audit.table.search(AuditSearch(kinds=(events.ERASED,))))
    assert {row.recording for row in gone} == {ids[4], ids[5]}
    assert all(row.details["decision"]["rule"] == "disk-space" for row in gone)
    assert not any(registrar.keys.parts(one) for one in (ids[4], ids[5]))
    erasure = registrar.life.erasure(ids[4])
    registrar.close()
    assert erasure is not None
    assert (erasure.word, erasure.done_us is None) == ("room", False)
    assert [one.kind.name for one in alarms.all()] == ["disk-erasing"]


def test_where_nothing_may_go_somebody_is_told_once_until_there_is_room(disk: Disk, data: Path, alarms: Alarms) -> None:
    ids = with_copies(data, 3)
    registrar = Registrar(data)
    for one in ids:
        registrar.life.change(one, locked_until_us=FAR_US)
    registrar.life_policy = LifePolicy(room=config().room)
    maker = RoomMaker(Operator(registrar, OPERATIONS), registrar, config())
    disk.fill(int(0.05 * disk.size_bytes))

    async def whole() -> None:
        await maker.once()
        await maker.once()
        (alarm,) = alarms.all()
        assert (alarm.kind.name, alarm.times, alarm.cleared_us) == ("disk-nothing-to-erase", 1, None)
        disk.empty()
        await maker.once()
        assert alarms.all()[0].cleared_us is not None

    asyncio.run(whole())
    registrar.close()
    assert left(data, ids) == [0, 1, 2]


def test_classes_that_are_named_go_in_their_order_and_no_others(disk: Disk, data: Path, alarms: Alarms) -> None:
    ids = with_copies(data, 4)
    registrar = Registrar(data)
    registrar.life.change(ids[0], retention_class="pci-none")
    registrar.life.change(ids[3], retention_class="daily")
    registrar.close()
    disk.fill(int(0.09 * disk.size_bytes))

    make_room(data, config(erase_classes=("daily", "gdpr-90d")))

    assert left(data, ids) == [0, 2]


def test_by_default_a_full_disk_erases_nothing(disk: Disk, data: Path, alarms: Alarms) -> None:
    ids = with_copies(data, 3)
    disk.fill(1 << 20)

    make_room(data, StoreConfig())

    assert left(data, ids) == [0, 1, 2]


def test_what_was_erased_for_room_has_a_certificate(disk: Disk, data: Path, alarms: Alarms, vittne: Vittne) -> None:
    registrar = Registrar(data)
    registrar.life.change(REC, retention_class="gdpr-90d", expires_us=FAR_US)
    registrar.close()
    disk.fill(int(0.05 * disk.size_bytes))
    make_room(data, config())

    said = vittne("erase", "--certificate", REC, "--data", data)
    assert said[0] == 0
    assert '"room"' in said[1]
    disk.empty()
    assert vittne("verify", "--all", "--data", data)[0] == 0
    assert Caller("vittne").name in said[1]
