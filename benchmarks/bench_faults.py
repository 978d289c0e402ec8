#!/usr/bin/env python3
"""Kill the capture worker again and again while many calls talk: what is lost, and how soon the next one reads.

The stage is that of tests/faults: a recorder that is run as a service, calls on a wire of their own, every byte of
audio compared with what was sent. Here it is as large as a customer's, and times are taken: from the kill to a new
process, and until that has mapped the ring and reads.

    python benchmarks/bench_faults.py [--full | --calls 1000 --kills 20 --seconds 110] [--folder DIR] [--save]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import report

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from faults.stage import Stage  # noqa: E402
from rig.namespaces import NoRoom  # noqa: E402

FULL: Final = {"calls": 1000, "kills": 20, "seconds": 130.0}
SMALL: Final = {"calls": 96, "kills": 5, "seconds": 40.0}
PAUSE_S: Final = 4.0  # at most, between a worker that reads and its end
LOOK_S: Final = 0.02
READS_S: Final = 60.0  # until a worker must read again


def maps_a_ring(pid: int) -> bool:
    """Whether a process has mapped a packet socket: it reads from then on."""
    try:
        return " socket:[" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def kill_and_wait(stage: Stage) -> tuple[float, float]:
    """Kill the worker; return seconds until there is another, and until that has the ring."""
    killed = stage.recorder.worker()
    begun = time.perf_counter()
    os.kill(killed, signal.SIGKILL)
    there = 0.0
    while time.perf_counter() - begun < READS_S:
        time.sleep(LOOK_S)
        pid = stage.recorder.worker()
        if pid == killed:
            continue
        there = there or time.perf_counter() - begun
        if maps_a_ring(pid):
            return there, time.perf_counter() - begun
    raise RuntimeError("no worker reads")


def measure(calls: int, kills: int, seconds: float, folder: Path, seed: int = 7) -> dict[str, Any]:
    """Return the figures of one run."""
    chance = random.Random(seed)
    waits: list[tuple[float, float]] = []
    with Stage(folder, calls, seconds) as stage:
        stage.start()
        with stage.talking():
            time.sleep(3)
            begun = time.perf_counter()
            for _ in range(kills):
                time.sleep(chance.uniform(0, PAUSE_S))
                waits.append(kill_and_wait(stage))
            killing_s = time.perf_counter() - begun
        found = stage.finish()
    there, reads = (sorted(column) for column in zip(*waits, strict=True))
    talked = stage.phases["talked"]
    return {
        "calls": stage.calls,
        "kills": len(waits),
        "killing_s": round(killing_s, 1),
        "killed_while_talking": killing_s < seconds - 3,
        "packets_per_s": talked["packets_per_s"],
        "sent": found.tally.sent,
        "packets_lost": found.tally.lost,
        "stored_twice": found.tally.twice,
        "spoilt": found.tally.spoilt,
        "damaged": len(found.tally.damaged),
        "outcomes": found.tally.outcomes,
        "kernel_drops": found.kernel_drops,
        "ring_most_full": found.ring_most_full,
        "new_worker_s_median": round(there[len(there) // 2], 2),
        "new_worker_s_max": round(there[-1], 2),
        "reads_s_median": round(reads[len(reads) // 2], 2),
        "reads_s_max": round(reads[-1], 2),
        "alarms": found.alarms,
    }


def main() -> int:
    """Measure, print, and keep if asked."""
    arguments = _arguments()
    given: dict[str, Any] = dict(FULL if arguments.full else SMALL)
    given |= {name: value for name in given if (value := getattr(arguments, name)) is not None}
    parent = arguments.folder or Path("/var/tmp")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vittne-faults-", dir=parent))
    load = [round(one, 1) for one in os.getloadavg()]
    try:
        figures = measure(int(given["calls"]), int(given["kills"]), float(given["seconds"]), folder)
    except NoRoom as error:
        print(f"no network namespaces for this user here: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    if arguments.save:
        report.save(report.result("faults", given, {**figures, "load": load}, arguments.note))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    whole = figures["outcomes"] == {"recorded": figures["calls"]} and figures["killed_while_talking"]
    return int(not whole or any(figures[name] for name in ("packets_lost", "stored_twice", "spoilt", "damaged")))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1 000 calls, 20 kills")
    parser.add_argument("--calls", type=int, help="two voices each; rounded up to whole pages")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float, help="of talk; the kills must be over before")
    parser.add_argument("--folder", type=Path, help="where it is written; a part of it, removed at the end")
    parser.add_argument("--save", action="store_true", help="add the result to results/faults.jsonl")
    parser.add_argument("--note", default="", help="said in the saved result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
