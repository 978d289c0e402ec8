"""What becomes of a pause when the recorder itself fails: a worker that hangs confirms nothing, and writes nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from builders import Scenario
from rig.api import Api, api_of
from rig.live import listed, recording, send_frames, stored_packets
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system

TALK_S = 18.0


def two_calls() -> Scenario:
    scenario = Scenario("two")
    for number in range(2):
        alice = scenario.endpoint("alice", f"10.7.0.{10 + number}", 40_000, f"10{number}")
        bob = scenario.endpoint("bob", f"10.7.1.{10 + number}", 50_000, f"20{number}")
        dialog = scenario.dialog(alice, bob)
        answered = dialog.set_up(0.1 * number)
        scenario.talk(dialog.call, alice, bob, answered + 0.01, TALK_S)
        dialog.bye(answered + TALK_S + 0.1)
    return scenario


def wait_for_state(api: Api, pause: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + 15
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        status, found = api.get(f"pauses/{pause}")
        if status == 200 and found["state"] == state:
            return found
        time.sleep(0.1)
    raise AssertionError(f"the pause is not {state}: {found}")


def test_a_worker_that_hangs_is_ended_and_the_next_one_begins_with_the_pause(wire: Wire, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "vittne.toml"
    config.write_text('commit_s = 0.5\n[pause]\nprofile = "pci-strict"\n[ring]\npackets_per_s = 5000\n')
    sender = sender_in(wire.phones, "voices")
    scenario = two_calls()
    first, second = (call.call_ids[0] for call in scenario.truth.calls)
    options = ["--interface", "mirror", "--hold-back", "5", "--config", str(config)]

    with recording(wire.recorder, data, *options) as recorder:
        api = api_of(wire.recorder, data)
        playing = threading.Thread(target=send_frames, args=(sender, scenario.frames()))
        playing.start()
        time.sleep(7)
        hung = recorder.worker()
        os.kill(hung, signal.SIGSTOP)
        asked = time.time()
        status, told = api.post("pauses", {"select": {"extension": "100"}})
        found = wait_for_state(api, told["pause"], "paused")
        playing.join()
        time.sleep(2)
        successor = recorder.worker()
        recorder.stop()

    assert (status, told["type"]) == (503, "/problems/unconfirmed")
    assert hung != successor
    assert found["calls"][0]["sip_call_ids"] == [first]
    assert not found["incomplete"]
    log = recorder.log.read_text()
    assert log.count("a pause was not confirmed") == 1
    calls = {call["call_ids"][0]: call for call in listed(data)}
    paused = calls[first]
    (pause,) = paused["details"]["pauses"]
    begin = datetime.fromisoformat(pause["effective_from"]).timestamp()
    assert begin <= asked
    assert pause["milliseconds"] > 9000
    for stream in paused["streams"]:
        assert datetime.fromisoformat(stream["first_at"]).timestamp() < begin
        assert 0 < stream["stored"] < 50 * 9
        assert stream["stored"] + stream["dropped"]["paused"] == stream["packets"] == 50 * TALK_S
    assert calls[second]["outcome"] == "recorded"
    for numbers in stored_packets(data, calls[second]).values():
        assert set(numbers.values()) == {1}
        assert len(numbers) == 50 * TALK_S
