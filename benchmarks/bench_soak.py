#!/usr/bin/env python3
"""Does anything grow? A recorder under calls that come and go, for long, looked at every five seconds.

`vittne record` runs as it does for a customer, with API and keys, in a namespace of its own; churn_calls.py keeps G.711
calls up on a veth pair in front of it, of which some end and others begin every second. Every five seconds memory,
descriptors, threads and processor time of each process are read, the metrics asked for, and a call paused and resumed.
Disk: what is recorded goes again, the oldest first (store.when_full), once --room-gib are taken. At the end the
catalogue's packets are held against those that were sent, and a verdict says what grew: memory by its slope (Theil-Sen)
behind the first sixth, descriptors and latencies by first and last third.

    python benchmarks/bench_soak.py                                   # 96 calls, two minutes
    python benchmarks/bench_soak.py --full --save --plot docs/pictures/soak.svg

Sender, kernel, recorder and the looks share the machine's processors; sender_late_ms says whether the sender kept its
pace.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import report
from bench_live import HERE, Recorder
from bench_pause import TOKEN
from rig.namespaces import NoRoom, Room, building
from soak_verdict import judge, plot
from soak_watch import ask, processes

FULL: Final = {"calls": 1000, "seconds": 1800.0, "shortest": 60.0, "longest": 180.0, "room_gib": 12.0}
SMALL: Final = {"calls": 96, "seconds": 120.0, "shortest": 10.0, "longest": 30.0, "room_gib": 4.0}
LOOK_S: Final = 5.0
READ_S: Final = 60.0  # how often the catalogue is read
WARM_S: Final = 900.0  # what is judged must last so long: before, a recorder is filling its caches
BEFORE_US: Final = 400 * 1_000_000  # a call is over so soon after it began
GIB: Final = 1 << 30
SETTINGS: Final = """\
[ring]
packets_per_s = {packets}
[api]
metrics_from = ["127.0.0.0/8", "::1/128"]
[alarms]
disk_free_percent = {to:.2f}
[store]
when_full = "erase-oldest-allowed"
erase_below_percent = {below:.2f}
erase_to_percent = {to:.2f}
[[retention]]
name = "soak"
class = "daily"
"""


@contextlib.contextmanager
def recording(room: Room, data: Path, calls: int, room_gib: float) -> Iterator[Recorder]:
    """Run the recorder with what it needs for so many calls, and room for so much on its disk."""
    disk = shutil.disk_usage(data.parent)
    below = 100 * (disk.free - room_gib * GIB) / disk.total
    config = data.with_suffix(".toml")
    config.write_text(SETTINGS.format(packets=5000 + 200 * calls, below=below, to=below + 100 * GIB / disk.total))
    log = data.with_suffix(".log")
    words = ("--interface", "mirror", "--data", str(data), "--config", str(config))
    command = room.python("-m", "vittne.appliance", "record", *words)
    with log.open("wb") as out, room.process(*command, stdout=out, stderr=subprocess.STDOUT, grace_s=20) as started:
        yield Recorder(started, data, log)


class Count:
    """Packets of calls that are over, read from the catalogue from time to time: recordings are erased meanwhile."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.calls: dict[str, tuple[int, int, str]] = {}  # id -> stored, left out in a pause, outcome
        self._from_us = 0

    def read(self) -> None:
        """Take what is over since it was read last."""
        from vittne.appliance.store.catalogue import Catalogue, Search  # noqa: PLC0415 - after the measured start

        now_us = time.time_ns() // 1000
        with Catalogue(self._data / "catalogue.db", read_only=True) as catalogue:
            for row in catalogue.list_calls(Search(unanswered=True, since_us=self._from_us)):
                if row.outcome and row.id not in self.calls:
                    stored = sum(stream.stored for stream in row.streams)
                    left = sum(sum(stream.dropped.values()) for stream in row.streams)
                    self.calls[row.id] = (stored, left, row.outcome)
        self._from_us = now_us - BEFORE_US

    def figures(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Hold it against what was sent."""
        stored, left = (sum(one[place] for one in self.calls.values()) for place in (0, 1))
        return {
            "calls_placed": sent["begun"],
            "calls_recorded": sum(one[2] == "recorded" for one in self.calls.values()),
            "sent": sent["frames"],
            "stored": stored,
            "left_out_in_pauses": left,
            "packets_lost": sent["frames"] - stored - left,
        }


class Watch:
    """Takes the samples."""

    def __init__(self, room: Room, recorder: Recorder, data: Path, calls: int, token: str) -> None:
        self.samples: list[dict[str, float]] = []
        self.told: dict[str, Any] = {}  # by the sender
        self._room, self._recorder, self._data = room, recorder, data
        self._calls, self._token = calls, token
        self.late_ms = 0.0

    def hear(self, sender: subprocess.Popen[bytes]) -> None:
        """Read what the sender says, to its end."""
        assert sender.stdout is not None
        for line in sender.stdout:
            self.told = json.loads(line)
            self.late_ms = max(self.late_ms, self.told["late_ms"])

    def look(self, at_s: float) -> None:
        """Take one sample."""
        sample = {"at_s": round(at_s, 1), **processes(self._recorder.parent.pid)}
        sample |= self._room.call(ask, self._data, self._token, self._calls)
        sample |= {"calls_up": self.told.get("up", 0), "sender_late_ms": self.told.get("late_ms", 0.0)}
        sample["disk_free_gib"] = round(shutil.disk_usage(self._data).free / GIB, 2)
        sample["load"] = round(os.getloadavg()[0], 2)
        self.samples.append(derived(sample, self.samples[-1] if self.samples else None))


def derived(sample: dict[str, float], before: dict[str, float] | None) -> dict[str, float]:
    """Add what is the difference to the sample before, and what a picture wants in other units."""
    more = {"ring_percent": 100 * sample.get("ring", 0.0), "calls_tenth": sample["calls_up"] / 10}
    if "loop_delay_p99_s" in sample:
        more["loop_delay_ms"] = round(1000 * sample["loop_delay_p99_s"], 2)
    if before is not None:
        past_s = sample["at_s"] - before["at_s"]
        for role in ("parent", "worker", "analysis"):
            used = sample.get(f"{role}_cpu_s", 0.0) - before.get(f"{role}_cpu_s", 0.0)
            more[f"{role}_cpu"] = round(max(0.0, used) / past_s, 3)
        commits = sample.get("commits", 0.0) - before.get("commits", 0.0)
        if commits > 0:
            more["commit_ms"] = round(1000 * (sample["commits_s"] - before["commits_s"]) / commits, 2)
    return sample | more


def measure(given: dict[str, Any], folder: Path, out: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Return the figures of one run, and its samples, which go to a file as well."""
    data, calls, seconds = folder / "data", int(given["calls"]), float(given["seconds"])
    with building() as here:
        phones, room = here.room("phones"), here.room("recorder")
        here.cable(phones, "voices", room, "mirror")
        with recording(room, data, calls, float(given["room_gib"])) as recorder:
            made = room.run(*room.python("-m", "vittne.appliance", *TOKEN, "--data", str(data)))
            token = next(word for word in made.stdout.split() if word.startswith("vtn_"))
            watch, count = Watch(room, recorder, data, calls, token), Count(data)
            begun = recorder.cpu()
            names = ("calls", "seconds", "shortest", "longest")
            words = [word for name in names for word in (f"--{name}", f"{given[name]:g}")]
            script = phones.python(str(HERE / "churn_calls.py"), "--interface", "voices", *words)
            with phones.process(*script, stdout=subprocess.PIPE, stderr=None) as sender:
                hearing = threading.Thread(target=watch.hear, args=(sender,), daemon=True)
                hearing.start()
                look(watch, count, hearing, seconds, out)
                hearing.join(300)
            if watch.told.get("phase") != "ended":
                raise RuntimeError("the sender did not get to its end")
            time.sleep(15)  # hold-back, last commit, seals
            count.read()
            used = [after - before for before, after in zip(begun, recorder.cpu(), strict=True)]
            said = recorder.stop()
    talk_s = watch.samples[-1]["at_s"]
    return {
        **count.figures(watch.told),
        "packets_per_s": round(watch.told["frames"] / watch.told["at_s"]),
        "sender_late_ms": watch.late_ms,
        "sender_cpu": round(watch.told["sender_cpu_s"] / watch.told["at_s"], 3),
        "parent_cpu": round(used[0] / talk_s, 3),
        "worker_cpu": round(used[1] / talk_s, 3),
        "kernel_drops": max(one.get("ring_drops", 0.0) for one in watch.samples),
        "worker_restarts": max(one.get("worker_restarts", 0.0) for one in watch.samples),
        "unanswered": sum(one.get("unanswered", 0.0) for one in watch.samples),
        "ring_most_full": said.get("ring_most_full", -1.0),
        "loop_delay_p99_ms": said.get("loop_delay_p99_ms", -1.0),
        "loop_delay_max_ms": said.get("loop_delay_max_ms", -1.0),
        "not_listened": said.get("not_listened", -1),
        "erased_for_room": erased(data.with_suffix(".log")),
        "load_median": sorted(one["load"] for one in watch.samples)[len(watch.samples) // 2],
    }, watch.samples


def look(watch: Watch, count: Count, hearing: threading.Thread, seconds: float, out: Path) -> None:
    """Take samples for so long, and read the catalogue now and then until the sender is at its end."""
    started = time.monotonic()
    read_at = READ_S
    number = 0
    while hearing.is_alive():
        at_s = time.monotonic() - started
        if at_s < seconds:
            watch.look(at_s)
            write(out, watch.samples)
        if at_s >= read_at:
            count.read()
            read_at += READ_S
        number += 1
        time.sleep(max(0.0, started + number * LOOK_S - time.monotonic()))


def write(out: Path, samples: list[dict[str, float]]) -> None:
    """Write the samples as CSV; what one does not have stays empty."""
    names = list(dict.fromkeys(name for one in samples for name in one))
    with out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, names, lineterminator="\n")
        rows.writeheader()
        rows.writerows(samples)


def erased(log: Path) -> int:
    """Return how many recordings went to make room."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(int(line.get("recordings", 0)) for line in lines if "room" in str(line.get("event", "")))


def main() -> int:
    """Measure, judge, print, and keep if asked."""
    arguments = _arguments()
    given: dict[str, Any] = dict(FULL if arguments.full else SMALL)
    given |= {name: value for name in given if (value := getattr(arguments, name)) is not None}
    parent = arguments.folder or Path("/var/tmp")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vittne-soak-", dir=parent))
    kept = report.RESULTS / "soak.csv" if arguments.save else parent / "soak.csv"
    try:
        figures, samples = measure(given, folder, kept)
    except NoRoom as error:
        print(f"no network namespaces for this user here: {error}", file=sys.stderr)
        return 1
    finally:
        if (folder / "data.log").exists():
            shutil.copy(folder / "data.log", parent / "soak.log")
        shutil.rmtree(folder)
    figures |= judge(samples)
    if arguments.plot:
        title = f"{given['calls']} calls at once, {figures['calls_placed']} in {given['seconds'] / 60:.3g} minutes"
        arguments.plot.write_text(plot(samples, title))
    if arguments.save:
        report.save(report.result("soak", given, figures, arguments.note))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):34} {value}")
    whole = figures["packets_lost"] == 0 and figures["calls_recorded"] == figures["calls_placed"]
    is_long = figures["judged_s"] >= WARM_S
    grew = "grows: " + ", ".join(figures["grows"]) if figures["grows"] else "nothing grows"
    print(f"\n{grew if is_long else 'too short to say what grows'}")
    print("nothing is lost" if whole else "not everything is there")
    return int(not whole or (is_long and not figures["flat"]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1 000 calls, 30 minutes, 12 GiB of recordings")
    parser.add_argument("--calls", type=int, help="up at once; rounded up to whole pages")
    parser.add_argument("--seconds", type=float, help="in which calls begin")
    parser.add_argument("--shortest", type=float, help="a call, s")
    parser.add_argument("--longest", type=float, help="a call, s")
    parser.add_argument("--room-gib", type=float, help="that recordings may take; then the oldest go")
    parser.add_argument("--folder", type=Path, help="where it is written; a part of it, removed at the end")
    parser.add_argument("--plot", type=Path, help="SVG file that is made of the samples")
    parser.add_argument("--save", action="store_true", help="add the result to results/soak.jsonl, samples to soak.csv")
    parser.add_argument("--note", default="", help="said in the saved result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
