#!/usr/bin/env python3
"""What the ledger costs: entries recorded and flushed a second, and how long it takes to open, to prove, to read.

    python benchmarks/bench_ledger.py [--entries 100000] [--flushed 100] [--folder DIR] [--save]

Records so many entries of a finished recording, flushes (one write, one sync, one signature) every 100 of them
(--flushed), which writes bundles and tiles too. "a core" is by CPU time, user and system. Then, each in a process of
its own: opening, the proof of entries at random places, reading all of it through. Memory is the peak beyond the
imports.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import report

from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.files import Store

PROOFS = 200
STEPS = ("record", "open", "prove", "scan")


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def record(data: Path, entries: int, flushed: int) -> dict[str, Any]:
    Store(data).close()
    ledger = open_ledger(data)
    recordings = [str(uuid.uuid4()) for _ in range(1000)]
    cpu, wall = time.process_time(), time.perf_counter()
    for n in range(entries):
        ledger.record({"t": "rec.seal", "rec": recordings[n % 1000], "manifest": f"{n:064x}", "state": "sealed"})
        if n % flushed == flushed - 1:
            ledger.flush()
    ledger.flush()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    ledger.close()
    return {"a core /s": round(entries / cpu), "wall /s": round(entries / wall)}


def open_again(data: Path, _entries: int, _flushed: int) -> dict[str, Any]:
    start = time.perf_counter()
    ledger = open_ledger(data)
    spent = time.perf_counter() - start
    ledger.close()
    return {"open ms": round(spent * 1e3, 1)}


def prove(data: Path, entries: int, _flushed: int) -> dict[str, Any]:
    key = load_verifier(data / "keys")
    chosen = random.Random(1)
    spent = []
    for _ in range(PROOFS):
        start = time.perf_counter()
        proof = LedgerView(data / "ledger", key).prove(chosen.randrange(entries))
        spent.append((time.perf_counter() - start) * 1e3)
        proof.check(key)
    return {"prove ms": round(statistics.median(spent), 2), "prove worst ms": round(max(spent), 2)}


def scan(data: Path, entries: int, _flushed: int) -> dict[str, Any]:
    start = time.perf_counter()
    assert scan_ledger(data / "ledger", load_verifier(data / "keys")).checkpoint.size == entries
    return {"scan s": round(time.perf_counter() - start, 1)}


def step(name: str, data: Path, entries: int, flushed: int) -> dict[str, Any]:
    """Run one step in a process of its own; return its figures with its memory."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(data), "--entries", str(entries)]
    command += ["--flushed", str(flushed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description="what the ledger costs")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--flushed", type=int, default=100, help="entries to a flush")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--save", action="store_true", help="add the result to results/")
    parser.add_argument("--step", choices=STEPS)
    options = parser.parse_args()
    if options.step is not None:
        before = peak_kib()
        actions = dict(zip(STEPS, (record, open_again, prove, scan), strict=True))
        figures = actions[options.step](options.folder, options.entries, options.flushed)
        print(json.dumps({**figures, f"{options.step} MiB": round((peak_kib() - before) / 1024, 1)}))
        return
    folder = Path(tempfile.mkdtemp(prefix="vittne-ledger-", dir=options.folder))
    figures = {}
    try:
        for name in STEPS:
            figures |= step(name, folder / "data", options.entries, options.flushed)
    finally:
        shutil.rmtree(folder)
    print(report.table([{"entries": options.entries, **figures}]))
    if options.save:
        report.save(report.result("ledger", {"entries": options.entries, "flushed every": options.flushed}, figures))


if __name__ == "__main__":
    main()
