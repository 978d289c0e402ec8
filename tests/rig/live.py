"""A recorder in a room of its own, and a sender that plays load over the wire in real time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from builders import Scenario
from rig.namespaces import Room

from vittne.appliance.seal.keys import open_keys
from vittne.appliance.seal.part import PartReader
from vittne.appliance.seal.records import rtp_columns

_LOAD = Path(__file__).resolve().parents[2] / "benchmarks" / "load.py"


def load_module() -> Any:
    """Return benchmarks/load.py as a module."""
    spec = importlib.util.spec_from_file_location("bench_load", _LOAD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_load"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Recorder:
    """A running `vittne record`."""

    process: subprocess.Popen[bytes]
    data: Path
    log: Path

    def worker(self) -> int:
        """Return the worker's pid, once there is one."""
        deadline = time.monotonic() + 90  # two seconds; a machine may be busy
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            for child in children:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if b"vittne.appliance.worker" in words:
                    return int(child)
            time.sleep(0.05)
        raise AssertionError(f"no worker: {self.log.read_text()}")

    def kill_worker(self) -> None:
        os.kill(self.worker(), signal.SIGKILL)

    def stop(self, timeout_s: float = 60) -> None:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout_s)
        assert code == 0, self.log.read_text()


@contextlib.contextmanager
def recording(room: Room, data: Path, *options: str) -> Iterator[Recorder]:
    """Run `vittne record` in a room; ready when the worker reads its rings."""
    log = data.with_suffix(".log")
    with log.open("wb") as out:
        command = room.python("-m", "vittne.appliance", "record", "--data", str(data), *options)
        with room.process(*command, stdout=out, stderr=subprocess.STDOUT, grace_s=20) as process:
            recorder = Recorder(process, data, log)
            recorder.worker()
            time.sleep(1.5)  # rings collect from the start; this only keeps the log in order
            yield recorder


def one_call(seconds: float) -> Scenario:
    """A call of Alice to Bob in which both speak for so long."""
    scenario = Scenario("one")
    alice = scenario.endpoint("Alice", "10.7.0.10", 40_000, "1001")
    bob = scenario.endpoint("Bob", "10.7.1.10", 50_000, "1002")
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, seconds)
    dialog.bye(answered + seconds + 0.1)
    return scenario


def play(sender: socket.socket, slices: Iterator[Any]) -> int:
    """Send frames at the pace of their capture times; return how many."""
    begin = time.monotonic()
    first: int | None = None
    sent = 0
    for piece in slices:
        data = np.ascontiguousarray(piece.data).data
        for at_ns, offset, length in zip(
            piece.at_ns.tolist(), piece.offset.tolist(), piece.length.tolist(), strict=True
        ):
            first = at_ns if first is None else first
            ahead = (at_ns - first) / 1e9 - (time.monotonic() - begin)
            if ahead > 0.002:
                time.sleep(ahead)
            sender.send(data[offset : offset + length])
            sent += 1
    return sent


def send_frames(sender: socket.socket, frames: Sequence[tuple[int, bytes]]) -> list[int]:
    """Send (at_ns, frame) pairs at the pace of their times; return when each was sent, UTC ns.

    A busy machine sends late and then catches up: what must be so at a time of the wire is asked of these times.
    """
    begin = time.monotonic()
    sent_ns = []
    for at_ns, frame in frames:
        ahead = (at_ns - frames[0][0]) / 1e9 - (time.monotonic() - begin)
        if ahead > 0.002:
            time.sleep(ahead)
        sent_ns.append(time.time_ns())
        sender.send(frame)
    return sent_ns


def vittne(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vittne.appliance", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def listed(data: Path, *options: str) -> list[dict[str, Any]]:
    done = vittne("list", "--json", "--data", str(data), *options)
    assert done.returncode == 0, done.stderr
    calls: list[dict[str, Any]] = json.loads(done.stdout)
    return calls


def stored_packets(data: Path, call: dict[str, Any]) -> dict[int, Counter[int]]:
    """Decrypt a recording; return by stream how often each sequence number is in it."""
    keys = open_keys(data)
    found: dict[int, Counter[int]] = {}
    try:
        for path in sorted((data / call["folder"]).glob("part-*.floe")):
            number = int(path.stem.removeprefix("part-"))
            key = keys.data_key(call["id"], number)
            with PartReader(path, call["id"], number, key, finished=False) as part:
                for plain in part.groups():
                    rows = rtp_columns(plain)
                    for stream, offset in zip(rows.stream.tolist(), rows.offset.tolist(), strict=True):
                        seq = int.from_bytes(plain[offset + 2 : offset + 4], "big")
                        found.setdefault(stream, Counter())[seq] += 1
    finally:
        keys.close()
    return found
