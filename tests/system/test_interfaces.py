"""Live capture from what a customer's switch gives: several interfaces, tunnels, wrong settings."""

from __future__ import annotations

import functools
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import Scenario
from building.encapsulation import LINK_ETHERNET, WRAPPERS
from building.frames import as_mirror_sees_again
from rig.live import listed, load_module, recording, stored_packets, vittne
from rig.namespaces import Building, Room
from rig.packets import sender_in
from rig.stored import stored_payloads
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system
load = load_module()

CALLS = 20
SECONDS = 3.0
SIP = (5060).to_bytes(2, "big")
CALLERS = bytes([10, 1])  # the network of the load's telephones
IN_TUNNELS = [name for name, (_, link_type) in WRAPPERS.items() if link_type == LINK_ETHERNET]


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A ring of moderate size, and the shortest hold-back there is."""
    config = tmp_path / "vittne.toml"
    config.write_text("[ring]\npackets_per_s = 20000\n")
    return ["--config", str(config), "--hold-back", "2"]


def cables(house: Building, names: list[str]) -> dict[str, socket.socket]:
    """Lay cables from a switch to the recorder; return what sends into each, by the recorder's interface."""
    switch, recorder = house.room("switch"), house.rooms["recorder"]
    for name in names:
        house.cable(switch, f"to-{name}", recorder, name)
    return {name: sender_in(switch, f"to-{name}") for name in names}


def play(sends: Iterable[tuple[int, Callable[[], Any]]]) -> None:
    """Do what sends a frame when its time has come."""
    begin, first = time.monotonic(), 0
    for at_ns, send in sends:
        first = first or at_ns
        ahead = (at_ns - first) / 1e9 - (time.monotonic() - begin)
        if ahead > 0.002:
            time.sleep(ahead)
        send()


def calls_of_load(seconds: float = SECONDS) -> Iterator[tuple[int, bytes]]:
    for piece in load.build_frames(load.Load(calls=CALLS, seconds=seconds, stagger_s=1.0, seed=5)):
        for at_ns, offset, length in zip(piece.at_ns, piece.offset, piece.length, strict=True):
            yield int(at_ns), piece.data[offset : offset + length].tobytes()


def is_signalling(frame: bytes) -> bool:
    return frame[34:36] == SIP


def is_from_caller(frame: bytes) -> bool:
    return frame[26:28] == CALLERS


def assert_whole(data: Path, seconds: float = SECONDS) -> None:
    """Every call of the load is recorded with both voices, every packet once."""
    calls = listed(data)
    assert len(calls) == CALLS
    for call in calls:
        assert (call["outcome"], call["outcome_reasons"]) == ("recorded", [])
        assert sorted(stream["party"] for stream in call["streams"]) == ["callee", "caller"]
        for stream in call["streams"]:
            assert stream["packets"] == stream["stored"] == seconds * 50
            assert stream["lost"] == stream["duplicates"] == stream["reordered"] == 0
        for numbers in stored_packets(data, call).values():
            assert len(numbers) == seconds * 50
            assert set(numbers.values()) == {1}


def test_each_direction_and_the_signalling_may_come_on_interfaces_of_their_own(
    house: Building, tmp_path: Path, options: list[str]
) -> None:
    data = tmp_path / "data"
    senders = cables(house, ["from-caller", "from-callee", "signals"])

    def sender(frame: bytes) -> socket.socket:
        direction = "from-caller" if is_from_caller(frame) else "from-callee"
        return senders["signals" if is_signalling(frame) else direction]

    interfaces = [word for name in senders for word in ("--interface", name)]
    with recording(house.rooms["recorder"], data, *interfaces, *options) as recorder:
        play((at, functools.partial(sender(frame).send, frame)) for at, frame in calls_of_load())
        time.sleep(1)
        recorder.stop()

    assert_whole(data)
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0


def test_workers_killed_while_they_read_three_interfaces_lose_no_packet(
    house: Building, tmp_path: Path, options: list[str]
) -> None:
    data = tmp_path / "data"
    senders = cables(house, ["from-caller", "from-callee", "signals"])

    def sender(frame: bytes) -> socket.socket:
        direction = "from-caller" if is_from_caller(frame) else "from-callee"
        return senders["signals" if is_signalling(frame) else direction]

    interfaces = [word for name in senders for word in ("--interface", name)]
    with recording(house.rooms["recorder"], data, *interfaces, *options) as recorder:
        frames = ((at, functools.partial(sender(frame).send, frame)) for at, frame in calls_of_load(11.0))
        playing = threading.Thread(target=play, args=(frames,))
        playing.start()
        for pause in (5.0, 3.1, 0.3):
            time.sleep(pause)
            recorder.kill_worker()
        playing.join()
        time.sleep(5)
        recorder.stop()

    assert_whole(data, 11.0)
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0


def test_both_directions_mirrored_to_two_interfaces_are_recorded_once(
    house: Building, tmp_path: Path, options: list[str]
) -> None:
    """The second mirror port is behind a router. Both copies go out together: on a busy machine a pause of the
    sender between them could be longer than the 50 ms within which they count as one packet."""
    data = tmp_path / "data"
    senders = cables(house, ["near", "far"])

    def send(frame: bytes) -> None:
        senders["near"].send(frame)
        senders["far"].send(as_mirror_sees_again(frame))

    with recording(house.rooms["recorder"], data, "--interface", "near", "--interface", "far", *options) as recorder:
        play((at, functools.partial(send, frame)) for at, frame in calls_of_load())
        time.sleep(1)
        recorder.stop()

    assert_whole(data)


def test_calls_in_tunnels_are_recorded_as_they_are_outside(wire: Wire, tmp_path: Path, options: list[str]) -> None:
    data = tmp_path / "data"
    scenarios = {name: a_call(number, name) for number, name in enumerate(IN_TUNNELS)}
    frames = sorted((at, WRAPPERS[name][0](frame)) for name, one in scenarios.items() for at, frame in one.frames())
    sender = sender_in(wire.phones, "voices")

    with recording(wire.recorder, data, "--interface", "mirror", *options) as recorder:
        play((at, functools.partial(sender.send, frame)) for at, frame in frames)
        time.sleep(1)
        recorder.stop()

    found = {tuple(call["call_ids"]): call for call in listed(data)}
    assert len(found) == len(IN_TUNNELS)
    for name, scenario in scenarios.items():
        (truth,) = scenario.truth.calls
        call = found[tuple(truth.call_ids)]
        assert call["outcome"] == "recorded", name
        assert stored_payloads(data, call) == {stream.ssrc: stream.payloads for stream in truth.streams}, name


def a_call(number: int, name: str) -> Scenario:
    """A call of two seconds of its own addresses."""
    scenario = Scenario(name, seed=100 + number)
    alice = scenario.endpoint("alice", f"10.5.{number}.1")
    bob = scenario.endpoint("bob", f"10.5.{number}.2")
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered, 2.0)
    dialog.bye(answered + 2.0)
    return scenario


def test_offloads_that_merge_packets_are_named_with_the_command_that_helps(
    wire: Wire, tmp_path: Path, options: list[str]
) -> None:
    if (
        shutil.which("ethtool") is None
        or wire.recorder.run("ethtool", "-K", "mirror", "gro", "on", check=False).returncode
    ):
        pytest.skip("no ethtool, or no interface here that can merge packets")

    before = log_of_a_short_run(wire.recorder, tmp_path / "before", options)
    (command,) = re.findall(r"turn it off with: (ethtool [^\"]*)", before)
    wire.recorder.run(*command.split())
    after = log_of_a_short_run(wire.recorder, tmp_path / "after", options)

    assert "mirror merges received packets (gro" in before
    assert "ethtool" not in after


def log_of_a_short_run(room: Room, data: Path, options: list[str]) -> str:
    with recording(room, data, "--interface", "mirror", *options) as recorder:
        recorder.stop()
    return recorder.log.read_text()


def refused(room: Room, data: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Try to record; return how the program ended."""
    command = room.python("-m", "vittne.appliance", "record", "--data", str(data), "--interface", "mirror")
    return room.run(*before, *command, check=False, timeout=30)


def is_one_clear_error(done: subprocess.CompletedProcess[str]) -> bool:
    told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    return done.returncode == 1 and len(told) == 1 and told[0].startswith("vittne: ") and not done.stdout


def test_an_interface_that_is_not_there_is_one_clear_error(house: Building, tmp_path: Path) -> None:
    done = refused(house.rooms["recorder"], tmp_path / "data")

    assert is_one_clear_error(done), done
    assert "no interface 'mirror' here; there are: lo" in done.stderr


def test_an_interface_that_is_down_is_one_clear_error(wire: Wire, tmp_path: Path) -> None:
    wire.recorder.run("ip", "link", "set", "mirror", "down")

    done = refused(wire.recorder, tmp_path / "data")

    assert is_one_clear_error(done), done
    assert "ip link set mirror up" in done.stderr


def test_capturing_without_the_capability_is_one_clear_error(wire: Wire, tmp_path: Path) -> None:
    done = refused(wire.recorder, tmp_path / "data", "setpriv", "--inh-caps", "-net_raw", "--bounding-set", "-net_raw")

    assert is_one_clear_error(done), done
    assert "CAP_NET_RAW" in done.stderr
