"""A worker that dies between any two steps of a commit: nothing is lost and nothing is written twice.

The worker is the real one, with one of the things it calls replaced by "do it, then die" or "die before it".
A file counts the deaths, so that each place kills a few workers and then lets them live.
"""

from __future__ import annotations

import sys
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

CALLS = 3
SECONDS = 4.5

# Runs in the worker's interpreter before anything else, by PYTHONPATH and sitecustomize.
DIES = """
import os, signal, sys
if "vittne.appliance.worker" in " ".join(sys.orig_argv):
    import importlib
    where, name, when, deaths, most = {where!r}, {name!r}, {when!r}, {deaths!r}, {most}
    module = importlib.import_module(where)
    owner, _, method = name.rpartition(".")
    target = getattr(module, owner)
    real = getattr(target, method)
    calls = [0]
    def replaced(*arguments, **named):
        calls[0] += 1
        died = len(open(deaths, "rb").read()) if os.path.exists(deaths) else 0
        dies = died < most and calls[0] == {at}
        if dies:
            fd = os.open(deaths, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(fd, b"x")
            os.close(fd)
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(target, method, replaced)
"""

# In the order of a commit: after one is before the next.
STEPS = [
    ("before", "vittne.appliance.protocol", "Channel.open_parts", 1),
    ("after", "vittne.appliance.protocol", "Channel.open_parts", 1),
    ("after", "vittne.appliance.seal.part", "PartWriter.append", 3),
    ("after", "vittne.appliance.store.files", "Store.sync", 3),
    ("after", "vittne.appliance.snapshot", "Snapshots.write", 3),
    ("after", "vittne.capture.ring", "Ring.release", 2),
    ("after", "vittne.appliance.protocol", "Channel.close_calls", 1),
]


@pytest.mark.parametrize(("when", "where", "name", "at"), STEPS, ids=[f"{when} {name}" for when, _, name, _ in STEPS])
def test_two_workers_that_die_there_cost_no_packet(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, where: str, name: str, at: int
) -> None:
    data, deaths, site = tmp_path / "data", tmp_path / "deaths", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        DIES.format(where=where, name=name, when=when, deaths=str(deaths), most=2, at=at)
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    config = tmp_path / "vittne.toml"
    config.write_text("commit_s = 0.5\n[ring]\npackets_per_s = 5000\n")
    sender = sender_in(wire.phones, "voices")

    options = ["--interface", "mirror", "--hold-back", "2", "--config", str(config)]
    with recording(wire.recorder, data, *options) as recorder:
        frames = load.build_frames(load.Load(calls=CALLS, seconds=SECONDS, stagger_s=0.2, seed=11))
        playing = threading.Thread(target=play, args=(sender, frames))
        playing.start()
        playing.join()
        time.sleep(4)
        recorder.stop()

    monkeypatch.delenv("PYTHONPATH")
    assert deaths.read_bytes() == b"xx", (sys.version, recorder.log.read_text())
    calls = listed(data)
    assert len(calls) == CALLS
    for call in calls:
        assert (call["outcome"], call["outcome_reasons"]) == ("recorded", []), recorder.log.read_text()
        for numbers in stored_packets(data, call).values():
            assert set(numbers.values()) == {1}
            assert len(numbers) == SECONDS * 50
    verified = vittne("verify", "--all", "--data", str(data))
    assert verified.returncode == 0, verified.stdout
