#!/usr/bin/env python3
"""What recording costs: from a capture file to finished, synced, sealed recordings.

The recorder runs as its own process, several times, each time into a new data directory. Measured are user
and system time of all its processes, the time on the clock, and peak memory; what it costs to start is
measured apart, with a capture in which nothing is. After each run the catalogue must hold as many recordings
as there were calls and every packet that was sent, and one recording must verify. No data directory is deleted
before all runs are over: ext4 makes new files more slowly while it remembers deleted ones.

    python benchmarks/bench_record.py [--full] [--runs 5] [--case g711 ...] [--memory] [--folder DIR] [--save]

The captures lie in the page cache, as `load.py` or an earlier run left them there. Peak memory beyond the ring is
the peak less the buffer that the file is read into (which plays the capture ring's part: audio waits there).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import report

from vittne.appliance.replay import SLAB_BYTES

HERE: Final = Path(__file__).resolve().parent
MIB: Final = 1 << 20
EMPTY: Final = bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 ffff0000 01000000")  # ns pcap without a packet
LENGTHS: Final = (600_000, 6_000_000)  # packets of the two captures that memory is compared with


@dataclass(frozen=True)
class Case:
    """What load.py is told. call_seconds > 0: churn, then `calls` is how many telephones there are."""

    name: str
    calls: int
    packets: int
    codec: str = "pcmu"
    ptime_ms: int = 20
    call_seconds: float = 0

    def arguments(self) -> list[str]:
        given = {"calls": self.calls, "packets": self.packets, "codec": self.codec, "ptime": self.ptime_ms}
        given |= {"call-seconds": self.call_seconds}
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]

    @property
    def packets_per_call_s(self) -> float:
        """Both directions."""
        return 2 * 1000 / self.ptime_ms


CASES: Final = (
    Case("g711", 500, 3_000_000),
    Case("g729", 500, 3_000_000, "g729"),
    Case("g711 10 ms", 500, 3_000_000, ptime_ms=10),
    Case("mix", 500, 3_000_000, "mix"),
    Case("churn", 3000, 6_000_000, call_seconds=8),  # 8 170 calls, 5 million packets
)
SMALL_DIVISOR: Final = 10


@dataclass(frozen=True)
class Run:
    """What one process and its children came to."""

    user_s: float
    system_s: float
    wall_s: float
    peak_bytes: int

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


class WrongResult(Exception):
    """The recorder did not record what was sent."""


def measured(command: Sequence[str], log: Path) -> Run:
    """Run a command to its end. Raises WrongResult when it fails.

    The kernel adds the time of children that were waited for, and their children's; peak memory is that of the
    largest of them. A process begins with its parent's peak, so this one stays small: it makes no captures.
    """
    begin = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise WrongResult(f"{' '.join(command)}: {process.returncode}\n{log.read_text()[-2000:]}")
    return Run(used.ru_utime, used.ru_stime, time.monotonic() - begin, used.ru_maxrss << 10)


class Bench:
    """Captures, data directories and logs, all in one folder."""

    def __init__(self, folder: Path, runs: int) -> None:
        self._captures = folder / "captures"
        self._captures.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix="recorded-", dir=folder))
        _spread(self._work)
        self._runs = runs
        self._number = 0
        self.startup_s = 0.0

    def close(self) -> None:
        shutil.rmtree(self._work)

    def capture(self, case: Case) -> tuple[Path, dict[str, Any]]:
        """Return the capture file, made if it is not there, and what load.py says is in it."""
        words = (case.codec, case.calls, case.packets, f"{case.ptime_ms}ms", f"{case.call_seconds:g}s")
        path = self._captures / ("-".join(map(str, words)) + ".pcap")
        about = path.with_suffix(".json")
        if not about.exists():
            made = self._python("load.py", *case.arguments(), "--out", str(path))
            about.write_text(made)
        else:
            subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)  # into the page cache
        found: dict[str, Any] = json.loads(about.read_text())
        return path, found

    def record(self, capture: Path) -> tuple[Run, Path]:
        """Record a capture into a new directory."""
        self._number += 1
        data = self._work / f"data-{self._number}"
        command = [sys.executable, "-m", "vittne.appliance", "record", "--pcap", str(capture), "--data", str(data)]
        return measured(command, data.with_suffix(".log")), data

    def measure_startup(self) -> None:
        """Record a capture in which nothing is: imports, keys, databases, ledger."""
        empty = self._captures / "empty.pcap"
        empty.write_bytes(EMPTY)
        self.startup_s = statistics.median(self.record(empty)[0].cpu_s for _ in range(max(3, self._runs)))

    def run(self, case: Case, runs: int) -> dict[str, Any]:
        """Return the figures of a case."""
        path, sent = self.capture(case)
        done, references = [], []
        for _ in range(runs):
            references.append(json.loads(self._python("reference.py", str(path))))
            used, data = self.record(path)
            self._check(data, sent)
            done.append(used)
        return self._figures(case, sent, done, references)

    def _check(self, data: Path, sent: dict[str, Any]) -> None:
        calls = json.loads(self._vittne("list", "--json", "--all", "--data", str(data)))
        stored = sum(stream["stored"] for call in calls for stream in call["streams"])
        recordings = sum(call["state"] == "finished" and call["outcome"] == "recorded" for call in calls)
        if (recordings, stored) != (sent["calls"], sent["rtp_packets"]):
            found = f"{recordings} recordings with {stored} packets"
            raise WrongResult(f"{data}: {found} of {sent['calls']} calls with {sent['rtp_packets']}")
        self._vittne("verify", calls[len(calls) // 2]["id"], "--data", str(data))

    def _figures(
        self, case: Case, sent: dict[str, Any], runs: list[Run], references: list[dict[str, int]]
    ) -> dict[str, Any]:
        packets = sent["rtp_packets"]
        rates = sorted(packets / run.cpu_s for run in runs)
        without = sorted(packets / max(1e-3, run.cpu_s - self.startup_s) for run in runs)
        reference = {name: round(statistics.median(r[name] for r in references)) for name in references[0]}
        peak = max(run.peak_bytes for run in runs)
        return {
            "packets": packets,
            "calls": sent["calls"],
            "runs": len(runs),
            "packets_per_cpu_s": round(statistics.median(rates)),
            "packets_per_cpu_s_min": round(rates[0]),
            "packets_per_cpu_s_max": round(rates[-1]),
            "without_start_up": round(statistics.median(without)),
            "without_start_up_min": round(without[0]),
            "without_start_up_max": round(without[-1]),
            "calls_per_core": round(statistics.median(without) / case.packets_per_call_s),
            "times_struct_loop": round(statistics.median(without) / reference["struct_loop_packets_per_cpu_s"], 2),
            "user_s": round(statistics.median(run.user_s for run in runs), 2),
            "system_s": round(statistics.median(run.system_s for run in runs), 2),
            "start_up_s": round(self.startup_s, 2),
            "wall_s": round(statistics.median(run.wall_s for run in runs), 2),
            "peak_mib": round(peak / MIB),
            "beyond_ring_mib": round((peak - min(SLAB_BYTES, sent["bytes"])) / MIB),
            **reference,
        }

    def _python(self, script: str, *arguments: str) -> str:
        return self._output([sys.executable, str(HERE / script), *arguments])

    def _vittne(self, *arguments: str) -> str:
        return self._output([sys.executable, "-m", "vittne.appliance", *arguments])

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise WrongResult(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return done.stdout


def _spread(folder: Path) -> None:
    """Have each folder in here begin in a block group of its own, where the file system is ext4.

    ext4 passes over the inodes of files that were deleted in the last minutes, one by one. Behind somebody's
    deletion of some thousand files (a test run's, say) that was a quarter of all CPU time here.
    """
    subprocess.run(["chattr", "+T", str(folder)], stderr=subprocess.DEVNULL, check=False)


# What the table shows of the figures; the rest is in the saved line.
SHOWN: Final = {
    "packets": "packets",
    "calls": "calls",
    "packets_per_cpu_s": "per CPU s",
    "without_start_up": "less start",
    "without_start_up_min": "min",
    "without_start_up_max": "max",
    "calls_per_core": "calls/core",
    "times_struct_loop": "x loop",
    "user_s": "user s",
    "system_s": "sys s",
    "start_up_s": "start s",
    "wall_s": "wall s",
    "peak_mib": "peak MiB",
    "beyond_ring_mib": "beyond ring",
}


def main() -> int:
    arguments = _arguments()
    cases = [case for case in CASES if not arguments.case or case.name in arguments.case]
    if not arguments.full:
        cases = [replace(c, calls=c.calls // SMALL_DIVISOR, packets=c.packets // SMALL_DIVISOR) for c in cases]
    runs = arguments.runs or (5 if arguments.full else 3)
    plan = [(case, runs) for case in cases]
    if arguments.memory or arguments.full:
        plan += [(Case(f"{n:,} packets".replace(",", " "), 50, n), 1) for n in LENGTHS]
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="vittne-bench-", dir="/var/tmp"))
    bench = Bench(folder, runs)
    rows, status = [], 0
    try:
        bench.measure_startup()
        for case, times in plan:
            figures = bench.run(case, times)
            rows.append({"input": case.name, **{title: figures[name] for name, title in SHOWN.items()}})
            print(f"{case.name}: {figures['without_start_up']:,} packets per CPU second", file=sys.stderr, flush=True)
            if arguments.save:
                report.save(report.result("record", asdict(case), figures, arguments.note))
    except WrongResult as error:
        print(f"wrong: {error}", file=sys.stderr)
        status = 1
    finally:
        bench.close()
        if arguments.folder is None:
            shutil.rmtree(folder)
    print(report.table(rows))
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the sizes that results/ is about")
    parser.add_argument("--runs", type=int, help="of each case; default 3, full 5")
    parser.add_argument(
        "--case", action="append", choices=[case.name for case in CASES], help="only this; several times"
    )
    parser.add_argument("--memory", action="store_true", help="also two captures, one ten times as long as the other")
    parser.add_argument("--folder", type=Path, help="for captures, which stay, and recordings, on the disk to measure")
    parser.add_argument("--save", action="store_true", help="add the results to results/record.jsonl")
    parser.add_argument("--note", default="", help="said in the saved results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
