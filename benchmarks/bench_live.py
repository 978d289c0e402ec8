#!/usr/bin/env python3
"""What recording live carries: calls placed in one namespace, recorded in another, over a veth pair.

`vittne record --interface` runs as it does for a customer. A sender sets up the calls, sends their voices at a
rate (or as fast as they go) and ends them; then the catalogue must hold every call and every packet that was
sent. Reported are the kernel's drops, the ring's highest occupancy, CPU time of parent and worker, peak memory,
and how late the parent's event loop was. Works for an ordinary user where the kernel allows user namespaces.

    python benchmarks/bench_live.py [--full | --calls 3000 --rate 300000 --seconds 60] [--folder DIR] [--save]

Sender, kernel and recorder share the machine's processors: on two cores the sender alone takes most of one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import report

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from rig.namespaces import NoRoom, Room, building  # noqa: E402

MIB: Final = 1 << 20
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
LOOK_S: Final = 0.5
READY_S: Final = 30.0
SETTLE_S: Final = 120.0  # for the last commit after the last BYE
FULL: Final = {"calls": 3000, "rate": 300_000.0, "seconds": 60.0}
SMALL: Final = {"calls": 200, "rate": 20_000.0, "seconds": 10.0}


@dataclass
class Process:
    """A process looked at from outside, through /proc."""

    pid: int
    peak_private: int = 0  # bytes that are the process's own, the ring and files not among them

    def cpu_s(self) -> float:
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) * TICK_S

    def look(self) -> None:
        self.peak_private = max(self.peak_private, self._status("RssAnon"))

    def peak(self) -> int:
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
        return 0

    def ring_bytes(self) -> int:
        """Return the size of what it maps of packet sockets."""
        size = 0
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            if line.rpartition(" ")[2].startswith("socket:"):
                first, _, last = line.split()[0].partition("-")
                size += int(last, 16) - int(first, 16)
        return size

    def worker(self) -> Process | None:
        """Return its capture worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(FileNotFoundError):
                if b"vittne.appliance.worker" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    return Process(int(child))
        return None


class Recorder:
    """A running `vittne record` and its worker."""

    def __init__(self, started: subprocess.Popen[bytes], data: Path, log: Path) -> None:
        self._started = started
        self._data = data
        self._log = log
        self.parent = Process(started.pid)
        self.worker = self._find_worker()
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def _find_worker(self) -> Process:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._started.poll() is None:
            found = self.parent.worker()
            if found is not None and found.ring_bytes():
                return found
            time.sleep(0.1)
        raise RuntimeError(f"no worker:\n{self._log.read_text()[-2000:]}")

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            with contextlib.suppress(OSError):
                self.parent.look()
                self.worker.look()

    def cpu(self) -> tuple[float, float]:
        """Return CPU seconds of parent and worker since they began."""
        return self.parent.cpu_s(), self.worker.cpu_s()

    def wait_for(self, calls: int) -> None:
        """Wait until so many calls are finished in the catalogue."""
        from vittne.appliance.store.catalogue import Catalogue  # noqa: PLC0415 - after the measured start

        deadline = time.monotonic() + SETTLE_S
        with Catalogue(self._data / "catalogue.db", read_only=True) as catalogue:
            while time.monotonic() < deadline:
                if sum(count for outcome, count in catalogue.outcomes().items() if outcome) >= calls:
                    return
                time.sleep(1)

    def stop(self) -> dict[str, Any]:
        """Tell it to end; return what it said last of itself."""
        self._over.set()
        self._looking.join()
        self._started.send_signal(signal.SIGINT)
        code = self._started.wait(SETTLE_S)
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        if code:
            raise RuntimeError(f"the recorder ended with {code}:\n{self._log.read_text()[-2000:]}")
        return next((line for line in reversed(lines) if "loop_delay_max_ms" in line), {})


@contextlib.contextmanager
def recording(room: Room, data: Path) -> Iterator[Recorder]:
    log = data.with_suffix(".log")
    command = room.python("-m", "vittne.appliance", "record", "--interface", "mirror", "--data", str(data))
    with log.open("wb") as out, room.process(*command, stdout=out, stderr=subprocess.STDOUT, grace_s=20) as started:
        yield Recorder(started, data, log)


def measure(calls: int, rate: float | None, seconds: float, folder: Path) -> dict[str, Any]:
    """Return the figures of one run. rate None: as fast as the sender can."""
    data = folder / "data"
    command = ["--calls", str(calls), "--seconds", str(seconds), *(["--rate", str(rate)] if rate else [])]
    with building() as here:
        phones, recorder_room = here.room("phones"), here.room("recorder")
        here.cable(phones, "voices", recorder_room, "mirror")
        with recording(recorder_room, data) as recorder:
            cpu = {"start": recorder.cpu()}
            phases: dict[str, dict[str, Any]] = {}
            script = phones.python(str(HERE / "place_calls.py"), "--interface", "voices", *command)
            with phones.process(*script, stdout=subprocess.PIPE, stderr=None) as sender:
                assert sender.stdout is not None
                for line in sender.stdout:
                    told = json.loads(line)
                    phases[told["phase"]] = told
                    cpu[told["phase"]] = recorder.cpu()
            if "ended" not in phases:
                raise RuntimeError("the sender did not get to its end")
            recorder.wait_for(phases["ready"]["calls"])
            cpu["settled"] = recorder.cpu()
            memory = _memory(recorder)
            link = json.loads(recorder_room.run("ip", "-s", "-j", "link", "show", "mirror").stdout)[0]
            said = recorder.stop()
    return {
        **_counts(data, phases),
        "interface_received": link["stats64"]["rx"]["packets"],
        **_costs(phases, cpu, said),
        **memory,
    }


def _memory(recorder: Recorder) -> dict[str, Any]:
    ring = recorder.worker.ring_bytes()
    return {
        "ring_mib": round(ring / MIB),
        "parent_peak_mib": round(recorder.parent.peak() / MIB),
        "worker_beyond_ring_mib": round(recorder.worker.peak_private / MIB),
    }


def _counts(data: Path, phases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Compare what was sent with what the catalogue says."""
    from vittne.appliance.store.catalogue import Catalogue, Search  # noqa: PLC0415

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        rows = list(catalogue.list_calls(Search(unanswered=True)))
        run = catalogue.runs()[-1]
    stored = sum(stream.stored for row in rows for stream in row.streams)
    sent = phases["talked"]["frames"]
    return {
        "calls": phases["ready"]["calls"],
        "recorded": sum(row.outcome == "recorded" for row in rows),
        "packets_per_s": phases["talked"]["packets_per_s"],
        "talk_s": phases["talked"]["seconds"],
        "sent": sent,
        "sent_with_signalling": sum(phases[phase]["frames"] for phase in ("signalled", "talked", "ended")),
        "ring_received": run.packets,
        "kernel_drops": sum(run.drops.get("kernel", {}).values()),
        "stored": stored,
        "all_there": stored == sent and len(rows) == phases["ready"]["calls"],
    }


def _costs(
    phases: dict[str, dict[str, Any]], cpu: dict[str, tuple[float, float]], said: dict[str, Any]
) -> dict[str, Any]:
    parent, worker = (cpu["settled"][i] - cpu["start"][i] for i in (0, 1))
    sent, calls = phases["talked"]["frames"], phases["ready"]["calls"]
    talk = cpu["talked"][1] - cpu["signalled"][1]
    return {
        "worker_cpu_s": round(worker, 2),
        "parent_cpu_s": round(parent, 2),
        "sender_cpu_s": phases["ended"]["sender_cpu_s"],
        "worker_ns_per_packet": round(worker * 1e9 / sent),
        "parent_ns_per_packet": round(parent * 1e9 / sent),
        "packets_per_cpu_s": round(sent / max(1e-3, worker + parent)),
        "worker_busy_while_talking": round(talk / phases["talked"]["seconds"], 3),
        "setup_ms_per_call": round((sum(cpu["signalled"]) - sum(cpu["ready"])) * 1e3 / calls, 2),
        "ending_ms_per_call": round((sum(cpu["settled"]) - sum(cpu["talked"])) * 1e3 / calls, 2),
        "ring_most_full": said.get("ring_most_full", -1.0),
        "loop_delay_p99_ms": said.get("loop_delay_p99_ms", -1.0),
        "loop_delay_max_ms": said.get("loop_delay_max_ms", -1.0),
    }


def main() -> int:
    arguments = _arguments()
    given = dict(FULL if arguments.full else SMALL)
    given |= {name: value for name in given if (value := getattr(arguments, name)) is not None}
    rate = given.pop("rate") or None
    parent = arguments.folder or Path("/var/tmp")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vittne-live-", dir=parent))
    try:
        figures = measure(int(given["calls"]), rate, given["seconds"], folder)
    except NoRoom as error:
        print(f"no network namespaces for this user here: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    if arguments.save:
        report.save(report.result("live", {**given, "rate": rate, "payload_bytes": 160}, figures, arguments.note))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    return not figures["all_there"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="3000 calls, 300 000 packets/s, 60 s")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--rate", type=float, help="RTP packets/s; 0: as many as go through")
    parser.add_argument("--seconds", type=float, help="of talk")
    parser.add_argument("--folder", type=Path, help="where recordings are written; a part of it, removed at the end")
    parser.add_argument("--save", action="store_true", help="add the result to results/live.jsonl")
    parser.add_argument("--note", default="", help="said in the saved result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
