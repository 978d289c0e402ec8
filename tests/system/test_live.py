"""The whole program on a wire: rings, worker, parent, files."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from rig.live import listed, load_module, play, recording, stored_packets, vittne
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system
load = load_module()


def test_a_worker_killed_under_load_loses_no_packet_and_calls_go_on(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    plan = load.Load(calls=30, seconds=16.0, stagger_s=1.0, seed=7)
    sender = sender_in(wire.phones, "voices")

    with recording(wire.recorder, data, "--interface", "mirror", "--hold-back", "2") as recorder:
        playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)))
        playing.start()
        for pause in (4.0, 3.3, 0.4, 3.7):
            time.sleep(pause)
            recorder.kill_worker()
        playing.join()
        time.sleep(7)
        recorder.stop()

    calls = listed(data)
    assert len(calls) == 30
    for call in calls:
        assert call["outcome"] == "recorded", (call["outcome_reasons"], recorder.log.read_text())
        found = stored_packets(data, call)
        assert len(call["streams"]) == len(found) == 2
        for numbers in found.values():
            assert set(numbers.values()) == {1}
            assert len(numbers) == 800
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0
