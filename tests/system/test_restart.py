"""What is left when everything died, and what the next start makes of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from rig.live import Recorder, listed, load_module, play, recording, stored_packets, vittne
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system
load = load_module()


def _finish_what_is_open(data: Path, tmp_path: Path) -> None:
    """Start once more, on a capture that holds nothing of interest."""
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(load.PCAP_HEADER)
    done = vittne("record", "--pcap", str(empty), "--data", str(data))
    assert done.returncode == 0, done.stderr


def _kill_everything(recorder: Recorder) -> None:
    worker = recorder.worker()
    os.kill(recorder.process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):  # it dies with its parent
        os.kill(worker, signal.SIGKILL)
    recorder.process.wait()


@pytest.mark.parametrize("how", ["killed", "power cut"])
def test_recordings_of_a_run_that_died_are_finished_as_partial_and_verify(wire: Wire, tmp_path: Path, how: str) -> None:
    data = tmp_path / "data"
    plan = load.Load(calls=5, seconds=30.0, stagger_s=0.5, seed=3)
    sender = sender_in(wire.phones, "voices")

    with recording(wire.recorder, data, "--interface", "mirror", "--hold-back", "2") as recorder:
        playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)
        playing.start()
        time.sleep(9)
        if how == "power cut":  # what a disk would hold at this moment
            shutil.copytree(
                data, tmp_path / "disk", ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns("*.sock")
            )
        _kill_everything(recorder)
        playing.join()
    left = tmp_path / "disk" if how == "power cut" else data
    _finish_what_is_open(left, tmp_path)

    calls = listed(left)
    assert len(calls) == 5
    for call in calls:
        assert (call["outcome"], call["outcome_reasons"]) == ("partial", ["restart"])
        numbers = stored_packets(left, call)
        # Nine seconds less hold-back, commit and the wait before the first packet, 50 packets each.
        assert sum(map(len, numbers.values())) > 2 * 50 * 3
        assert all(set(times.values()) == {1} for times in numbers.values())
    verified = vittne("verify", "--all", "--data", str(left))
    assert verified.returncode == 0, verified.stdout


def test_a_stop_writes_what_was_heard_and_says_why_calls_are_cut(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    plan = load.Load(calls=3, seconds=6.0, stagger_s=0.2, seed=5)
    sender = sender_in(wire.phones, "voices")

    with recording(wire.recorder, data, "--interface", "mirror") as recorder:
        playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)
        playing.start()
        time.sleep(4)
        recorder.stop()
        playing.join()

    calls = listed(data)
    assert len(calls) == 3
    for call in calls:
        assert (call["outcome"], call["outcome_reasons"]) == ("partial", ["recorder-stopped"])
        assert all(stream["stored"] > 100 for stream in call["streams"])
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0


def test_a_second_recorder_on_the_same_directory_is_told_who_holds_it(wire: Wire, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with recording(wire.recorder, data, "--interface", "mirror") as recorder:
        second = vittne("record", "--pcap", "nothing.pcap", "--data", str(data))
        assert second.returncode == 1
        assert str(recorder.process.pid) in second.stderr
        assert "Traceback" not in second.stderr
