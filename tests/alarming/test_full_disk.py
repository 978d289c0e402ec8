"""A disk that fills while calls are recorded: what is written stays whole, calls are entered, audio comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Scenario
from building.playing import NEVER, blocks_of
from recordings import samples_of
from rig.disk import Disk
from scenarios import basic

from vittne.appliance.recorder import Recorder
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.files import room_of_books
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline, Settings

Vittne = Callable[..., tuple[int, str, str]]


def a_call(begin_s: float, talk_s: float, name: str = "long") -> Scenario:
    scenario = Scenario(name)
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(begin_s)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, talk_s)
    dialog.bye(answered + talk_s + 0.1)
    return scenario


class Room:
    """A recorder as the worker has it, and a registrar in this process."""

    def __init__(self, data: Path) -> None:
        self.registrar = Registrar(data)
        self.registrar.begin_run(["test"], 1, "test")
        self.pipeline = Pipeline(Settings())
        self.recorder = Recorder(self.pipeline, self.registrar.store, self.registrar.public, self.registrar)

    def commit(self, horizon: int, final: bool = False) -> None:
        self.recorder.commit(horizon, final)
        self.recorder.settle()


def play(room: Room, scenario: Scenario, at: dict[int, Callable[[], object]]) -> None:
    """Record it; at so many seconds do something."""
    begin = None
    for block in blocks_of(scenario.frames(), SECOND):
        begin = int(block.at_ns[0]) if begin is None else begin
        for second in [one for one in at if int(block.at_ns[0]) >= begin + one * SECOND]:
            at.pop(second)()
        room.pipeline.feed(block)
        room.commit(room.pipeline.now_mono - 2 * SECOND)
    room.commit(NEVER, final=True)


def full(disk: Disk) -> Callable[[], object]:
    return lambda: disk.fill(room_of_books(disk.size_bytes) // 2)


def test_a_call_goes_on_in_a_new_part_when_there_is_room_again(disk: Disk, tmp_path: Path, vittne: Vittne) -> None:
    room = Room(disk.path)
    play(room, a_call(0.0, 24.0), {8: full(disk), 15: disk.empty})
    (row,) = room.registrar.catalogue.list_calls()
    room.registrar.close()

    assert (row.outcome, tuple(row.outcome_reasons)) == ("partial", ("disk",))
    assert len(list((disk.path / row.folder).glob("part-*.floe"))) == 2
    assert (verified := vittne("verify", "--all", "--data", disk.path))[0] == 0, verified
    assert vittne("export", row.id, "-o", tmp_path / "call.wav", "--data", disk.path)[0] == 0
    samples, rate = samples_of(tmp_path / "call.wav")
    loud = [bool(abs(samples[n * rate : (n + 1) * rate]).max() > 100) for n in range(len(samples) // rate)]
    assert all(loud[1:4])
    assert not any(loud[9:12])  # what was said then is not there, and nothing moved into its place
    assert all(loud[19:23])


@pytest.mark.parametrize("is_freed", [True, False])
def test_a_call_that_begins_on_a_full_disk_is_entered(
    is_freed: bool, disk: Disk, tmp_path: Path, vittne: Vittne
) -> None:
    room = Room(disk.path)
    full(disk)()
    play(room, a_call(0.0, 16.0), {9: disk.empty} if is_freed else {})
    (row,) = room.registrar.catalogue.list_calls()
    room.registrar.close()

    assert row.answered_us is not None
    assert row.ended_us is not None
    if is_freed:
        assert (row.outcome, tuple(row.outcome_reasons)) == ("partial", ("disk",))
        assert vittne("export", row.id, "-o", tmp_path / "call.wav", "--data", disk.path)[0] == 0
    else:
        disk.empty()  # looking takes room too
        assert (row.outcome, row.folder) == ("no-disk", "")
    assert (verified := vittne("verify", "--all", "--data", disk.path))[0] == 0, verified


def test_a_disk_without_a_single_free_block_damages_nothing(disk: Disk, tmp_path: Path, vittne: Vittne) -> None:
    room = Room(disk.path)
    play(room, a_call(0.0, 24.0), {8: lambda: disk.fill(0), 15: disk.empty})
    room.recorder.settle()
    (row,) = room.registrar.catalogue.list_calls()
    room.registrar.close()

    assert (row.outcome, tuple(row.outcome_reasons)) == ("partial", ("disk",))
    assert (verified := vittne("verify", "--all", "--data", disk.path))[0] == 0, verified
