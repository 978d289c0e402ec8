"""The service manager: what is said to it, and what it keeps for the next start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.keeper import Keeper

from vittne.appliance.livesettings import LiveSettings
from vittne.appliance.service.kept import forget, keep, take
from vittne.appliance.service.manager import ServiceManager, service_manager
from vittne.appliance.service.service import Service
from vittne.appliance.snapshot import Snapshots, make_memory
from vittne.capture.pause import PauseSettings

SETTINGS = LiveSettings(5, 2, 30, True, 900, PauseSettings(), ("X-Agent",))


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with Keeper(tmp_path) as made:
        yield made


def started_with(keeper: Keeper) -> ServiceManager:
    """Return who a program finds that is started now, in this process."""
    given = {name: [os.dup(fd)] for name, fd in keeper.store.items()}
    return ServiceManager(keeper.address, given=given)


def test_nobody_is_told_anything_where_nobody_asked(tmp_path: Path) -> None:
    manager = service_manager({})

    assert not manager
    assert not manager.say("READY=1")
    assert not keep(manager, tmp_path, [], make_memory(), {})


def test_what_is_said_arrives_and_no_child_inherits_the_way(keeper: Keeper) -> None:
    environment = {"NOTIFY_SOCKET": keeper.address, "WATCHDOG_USEC": "4000000", "LISTEN_PID": "1", "LISTEN_FDS": "9"}

    manager = service_manager(environment)
    manager.say("READY=1", "STATUS=all is well")

    keeper.wait_for("STATUS=all is well")
    assert "READY=1" in keeper.said
    assert manager.watchdog_s == 2.0
    assert manager.given == {}  # they were another process's
    assert environment == {}


def test_the_watchdog_is_fed_again_and_again_while_the_loop_turns(keeper: Keeper) -> None:
    async def feed() -> None:
        feeding = asyncio.create_task(Service(ServiceManager(keeper.address, watchdog_s=0.01)).feed_watchdog())
        while keeper.said.count("WATCHDOG=1") < 3:  # the thread that listens counts them
            await asyncio.sleep(0.01)
        feeding.cancel()

    asyncio.run(asyncio.wait_for(feed(), 30))


def test_ready_is_said_once_and_how_many_calls_are_up_each_time(keeper: Keeper) -> None:
    service = Service(ServiceManager(keeper.address))

    service.note(1, 10)
    service.note(2, 20)

    keeper.wait_for("STATUS=2 calls up, 20 packets seen")
    assert keeper.said.count("READY=1") == 1


def test_a_manager_that_is_gone_costs_a_line_and_no_more(tmp_path: Path) -> None:
    assert not ServiceManager(str(tmp_path / "nobody")).say("READY=1")


def test_a_snapshot_is_read_by_the_next_start(keeper: Keeper, tmp_path: Path) -> None:
    memory = make_memory()
    Snapshots(memory).write([b"what a worker knows"])
    assert keep(started_with(keeper), tmp_path, [], memory, SETTINGS.as_json())
    keeper.wait_for_store("vittne-state")
    for fd in memory:
        os.close(fd)

    kept = take(started_with(keeper), tmp_path, ())

    assert kept is not None
    assert Snapshots(kept.memory).read() == b"what a worker knows"
    assert LiveSettings.from_json(kept.settings) == SETTINGS


@pytest.mark.parametrize("other", ["data", "interfaces"])
def test_what_is_another_recorder_s_is_closed_and_forgotten(keeper: Keeper, tmp_path: Path, other: str) -> None:
    assert keep(started_with(keeper), tmp_path, [], make_memory(), SETTINGS.as_json())
    keeper.wait_for_store("vittne-state")
    manager = started_with(keeper)
    fds = [fd for given in manager.given.values() for fd in given]

    data, interfaces = (tmp_path / "x", ()) if other == "data" else (tmp_path, ("eth9",))
    assert take(manager, data, interfaces) is None

    keeper.wait_for("FDNAME=vittne-snapshot-1")
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_what_is_no_state_of_ours_is_not_used(keeper: Keeper, tmp_path: Path) -> None:
    torn = os.memfd_create("torn")
    os.write(torn, b'{"format": 1, "boot"')

    assert take(ServiceManager("", given={"vittne-state": [torn]}), tmp_path, ()) is None


def test_after_an_orderly_end_nothing_is_kept(keeper: Keeper, tmp_path: Path) -> None:
    manager = started_with(keeper)
    keep(manager, tmp_path, [], make_memory(), {})
    keeper.wait_for_store("vittne-state")

    forget(manager, 0)
    manager.say("STATUS=over")

    keeper.wait_for("STATUS=over")
    assert keeper.store == {}


def test_settings_of_another_version_are_read_as_far_as_they_go() -> None:
    values = SETTINGS.as_json()

    assert LiveSettings.from_json({**values, "of_tomorrow": 1}) == SETTINGS
    assert LiveSettings.from_json({"hold_back_ns": 1}) is None
