"""A recorder as a service, calls on a wire in front of it, and what became of them when something has gone wrong.

The service manager is rig.keeper: it keeps descriptors over a restart as systemd does. The sender is
benchmarks/place_calls.py, a process of its own, so that a thousand calls keep their pace.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from faults.tally import PAYLOAD, Tally, tally
from rig.keeper import Keeper
from rig.live import Recorder, vittne
from rig.namespaces import Building, Room, building

from vittne.appliance.events.alarmlist import ALARMS, CLEARED_BY

_BENCHMARKS: Final = Path(__file__).resolve().parents[2] / "benchmarks"
_ALARM: Final = "alarm: "
READY_S: Final = 60.0
SETTLE_S: Final = 90.0
_FRAMES_PER_S: Final = 100  # of a call: two voices in packets of 20 ms


@dataclass(slots=True)
class Result:
    """A row of the fault table. alarms: their names, in the order in which they were first raised."""

    tally: Tally
    alarms: list[str]
    cleared: list[str]
    ring_most_full: float
    kernel_drops: int
    note: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log whose words begin so."""
        return [line for line in self.log if str(line.get("event", "")).startswith(event)]


class Stage:
    """One run. Between enter and finish() a deed does what it likes to what is here."""

    def __init__(self, folder: Path, calls: int, talk_s: float, settings: str = "", top: str = "") -> None:
        """settings: tables of the configuration, behind ours; top: keys before the first table."""
        self.folder = folder
        self.data = folder / "data"
        self.calls = -(-calls // 16) * 16
        self.talk_s = talk_s
        self.config = folder / "vittne.toml"
        self.note = ""
        self.environment: dict[str, str] = {}
        self.recorder: Recorder
        self.phases: dict[str, dict[str, Any]] = {}
        self._phase = threading.Condition()
        self._top, self._settings = top, settings
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.write_config()
        try:
            self.house: Building = self._stack.enter_context(building())
            self.room: Room = self.house.room("recorder")
            self.phones = self.house.room("phones")
            self.house.cable(self.phones, "voices", self.room, "mirror")
            self.keeper = self._stack.enter_context(Keeper(self.folder))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write_config(self, settings: str | None = None, top: str = "") -> None:
        """Write the configuration, perhaps with other tables behind ours, or more keys before the first."""
        behind = self._settings if settings is None else settings
        ring = f"[ring]\npackets_per_s = {5000 + 2 * self.calls * _FRAMES_PER_S}\n"
        self.config.write_text(f"hold_back_s = 2.0\ncommit_s = 1.0\n{self._top}{top}\n{ring}{behind}")

    # The recorder

    def start(self) -> None:
        """Start the recorder as a service manager does; ready when it says so."""
        said = len(self.keeper.said)
        command, fds = self.keeper.command(
            *("-m", "vittne.appliance", "record", "--data", str(self.data), "--interface", "mirror"),
            *("--config", str(self.config)),
        )
        log = self.folder / "recorder.log"
        out = self._stack.enter_context(log.open("ab"))
        process = self._stack.enter_context(
            self.room.process(
                *command,
                stdout=out,
                stderr=subprocess.STDOUT,
                grace_s=20,
                pass_fds=fds,
                env={**self.keeper.environment(), **self.environment},
            )
        )
        self.recorder = Recorder(process, self.data, log)
        with self.keeper.changed:
            is_ready = self.keeper.changed.wait_for(lambda: "READY=1" in self.keeper.said[said:], READY_S)
        assert is_ready, log.read_text()[-3000:]

    def pid(self) -> int:
        """Return the parent's."""
        return self.recorder.process.pid

    def kill(self) -> None:
        """Kill the parent, and start it anew a second later, as Restart=always and RestartSec=1 do."""
        os.kill(self.pid(), signal.SIGKILL)
        self.recorder.process.wait()
        time.sleep(1)
        self.start()

    def children(self, module: str) -> list[int]:
        """Return the processes of the recorder that run a module, however deep."""
        found, look = [], [self.pid()]
        while look:
            pid = look.pop()
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    look += map(int, (task / "children").read_text().split())
                if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def log(self) -> list[dict[str, Any]]:
        """Return the recorder's lines so far."""
        lines = (self.folder / "recorder.log").read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for_line(self, event: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until the log has a line whose words begin so."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = [line for line in self.log() if str(line.get("event", "")).startswith(event)]
            if found:
                return found[-1]
            time.sleep(0.3)
        raise AssertionError(f"nobody said {event!r}: {(self.folder / 'recorder.log').read_text()[-3000:]}")

    # The calls

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        """Place the calls; within, all are up and speak. Ends when the last BYE was sent."""
        command = self.phones.python(
            str(_BENCHMARKS / "place_calls.py"),
            *("--interface", "voices", "--calls", str(self.calls), "--calls-per-s", "100"),
            *("--seconds", str(self.talk_s), "--rate", str(self.calls * _FRAMES_PER_S)),
        )
        with self.phones.process(*command, stdout=subprocess.PIPE, stderr=None) as sender:
            hearing = threading.Thread(target=self._hear, args=(sender,), daemon=True)
            hearing.start()
            self._wait_phase("signalled")
            try:
                yield
                self._wait_phase("ended", self.talk_s + SETTLE_S)
            finally:
                hearing.join(1)

    def _hear(self, sender: subprocess.Popen[bytes]) -> None:
        assert sender.stdout is not None
        for line in sender.stdout:
            told = json.loads(line)
            with self._phase:
                self.phases[told["phase"]] = told
                self._phase.notify_all()

    def _wait_phase(self, phase: str, timeout_s: float = READY_S) -> None:
        with self._phase:
            assert self._phase.wait_for(lambda: phase in self.phases, timeout_s), self.phases

    # The end

    def settle(self) -> None:
        """Wait until every call is over in the catalogue, or it is clear that some never will be."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            done = vittne("list", "--json", "--data", str(self.data))
            found = json.loads(done.stdout) if done.returncode == 0 else []
            if sum(bool(call["outcome"]) for call in found) >= self.calls:
                return
            time.sleep(1)

    def stop(self) -> int:
        """Tell the recorder to end; return its exit status."""
        self.recorder.process.send_signal(signal.SIGINT)
        return self.recorder.process.wait(SETTLE_S)

    def finish(self, data: Path | None = None) -> Result:
        """Stop the recorder if it runs still, and count. data: where to look instead."""
        if self.recorder.process.poll() is None:
            self.settle()
            code = self.stop()
            assert code == 0, (self.folder / "recorder.log").read_text()[-3000:]
        return self.result(data or self.data)

    def result(self, data: Path) -> Result:
        """Count what is in a directory, and read the log."""
        sys.path.insert(0, str(_BENCHMARKS))
        from send import RTP, UDP_PAYLOAD, rtp_frames  # type: ignore[import-not-found] # noqa: PLC0415 - a script

        payloads = np.ascontiguousarray(rtp_frames(self.calls, PAYLOAD)[:, UDP_PAYLOAD + RTP :])
        found = tally(data, payloads, self.phases["talked"]["frames"] // (2 * self.calls))
        lines = self.log()
        raised, cleared = [], []
        for line in lines:
            event = str(line.get("event", ""))
            if event.startswith(_ALARM):
                known = ALARMS.get(event.removeprefix(_ALARM))
                raised.append(known.name if known is not None else event)
            elif event in CLEARED_BY:
                cleared.append(CLEARED_BY[event].name)
        ended = [line for line in lines if "ring_most_full" in line]
        drops = [line.get("drops", {}) for line in lines if line.get("event") == "stopped"]
        kernel = sum(sum(one.get("kernel", {}).values()) for one in drops)
        full = max((line["ring_most_full"] for line in ended), default=-1.0)
        return Result(found, list(dict.fromkeys(raised)), list(dict.fromkeys(cleared)), full, kernel, self.note, lines)


Deed = Callable[[Stage], None]


def run(stage: Stage, deed: Deed) -> Result:
    """Start, place calls, do the deed while they talk, wait for the end, count."""
    with stage:
        stage.start()
        with stage.talking():
            time.sleep(3)  # first commits are over
            deed(stage)
        return stage.finish()
