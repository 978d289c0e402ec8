#!/usr/bin/env python3
"""What a shared catalogue costs: noting changes, sending them, and searching over several recorders at once.

    python benchmarks/bench_catalogue.py                       # 3 recorders of 2 000 calls
    python benchmarks/bench_catalogue.py --boxes 10 --calls 10000 --save

PostgreSQL is this machine's own, over a Unix socket, without fsync: what is measured is this program and its driver,
not a disk or a network. Calls are those of bench_search.py: two streams, a dialog, 5 KB of details.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import report
from bench_search import asked, calls
from rig.postgres import Cluster, cluster

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.fleet import triggers
from vittne.appliance.fleet.boxes import SharedCatalogue
from vittne.appliance.fleet.sending import Sender
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.server import DatabaseServer

ALL = Principal("user", "1", "anna", (BUILT_IN["compliance"],))
KINDS = ("nothing", "a number", "a name", "what nobody has", "a Call-ID", "a tag", "excluded")


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--boxes", type=int, default=3)
    options.add_argument("--calls", type=int, default=2000, help="of each recorder")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--save", action="store_true")
    options.add_argument("--note", default="")
    given = options.parse_args()
    load = os.getloadavg()[0]
    dice = random.Random(7)
    some = list(calls(given.calls, dice))
    with tempfile.TemporaryDirectory() as folder, cluster() as server:
        figures: dict[str, Any] = writing(Path(folder), some)
        figures |= sending(Path(folder), server, some, given.boxes)
        figures |= searching(server, some, given.rounds, dice)
        size = server.sql("SELECT pg_database_size(current_database())")[0][0]
        figures["bytes_a_call"] = round((size - figures.pop("empty_bytes")) / (given.boxes * given.calls))
    told = {"boxes": given.boxes, "calls": given.calls, "rounds": given.rounds}
    found = {**report.result("catalogue", told, figures, given.note), "load_before": round(load, 1)}
    print(report.table([figures]))
    if given.save:
        report.save(found)
    return 0


def writing(folder: Path, some: list[CallRow]) -> dict[str, float]:
    """Return what one call costs to write, without triggers and with them, us of processor."""
    found = {}
    for name in ("plain", "noted"):
        with Catalogue(folder / f"{name}.db") as catalogue:
            if name == "noted":
                triggers.switch_on(catalogue, "x")
            begun = time.process_time()
            for row in some[:1000]:
                catalogue.upsert_call(row)
            found[f"write_{name}_us"] = round((time.process_time() - begun) / len(some[:1000]) * 1e6)
    return found


def sending(folder: Path, server: Cluster, some: list[CallRow], boxes: int) -> dict[str, float]:
    """Return calls a second: of a first copy, and of changes."""
    took = {"copied": 0.0, "changed": 0.0, "processor": 0.0}
    changed = some[: max(500, len(some) // 10)]
    empty = server.sql("SELECT pg_database_size(current_database())")[0][0]
    for n in range(boxes):
        place = DatabaseServer(server.url(), f"box_{n:016x}")
        with Catalogue(folder / f"{n}.db") as here, Catalogue(place) as there:
            for begin in range(0, len(some), 1000):
                here.upsert_calls(some[begin : begin + 1000])
            triggers.switch_on(here, server.url())
            sender = Sender(here, there, {"name": f"box {n}"})
            sender.begin("")
            begun, busy = time.perf_counter(), time.process_time()
            run(here, sender)
            took["copied"] += time.perf_counter() - begun
            took["processor"] += time.process_time() - busy
            here.upsert_calls(changed)
            begun = time.perf_counter()
            run(here, sender)
            took["changed"] += time.perf_counter() - begun
    return {
        "copied_calls_per_s": round(boxes * len(some) / took["copied"]),
        "changed_calls_per_s": round(boxes * len(changed) / took["changed"]),
        "copied_processor_us": round(took["processor"] / (boxes * len(some)) * 1e6),
        "empty_bytes": empty,
    }


def run(here: Catalogue, sender: Sender) -> None:
    """Do what the recorder does at each step."""
    for step in sender.round():
        if step.word in ("announce", "anew"):
            triggers.announce(here, step.mark)
        elif step.word == "settle":
            triggers.settle(here, step.mark, step.seq, 1)
        assert step.word != "refused", step.reason


def searching(server: Cluster, some: list[CallRow], rounds: int, dice: random.Random) -> dict[str, Any]:
    """Return how long searches over all recorders take, ms: on connections that are kept, as the console has them."""
    server.sql("ANALYZE")
    took: list[tuple[float, str]] = []
    with SharedCatalogue(DatabaseServer(server.url(), "pg_catalog")) as shared:
        for _ in range(rounds):
            for kind, query in itertools.filterfalse(lambda one: one[0] not in KINDS, asked(some, dice)):
                begun = time.perf_counter()
                shared.search(ALL, query, some[-1].started_us + 10**9, 50)
                took.append(((time.perf_counter() - begun) * 1e3, kind))
    took.sort()
    return {
        "searches": len(took),
        "search_p50_ms": round(took[len(took) // 2][0], 1),
        "search_p95_ms": round(took[int(len(took) * 0.95)][0], 1),
        "slowest": took[-1][1],
    }


if __name__ == "__main__":
    sys.exit(main())
