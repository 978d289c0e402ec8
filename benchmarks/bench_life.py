#!/usr/bin/env python3
"""What the life of recordings costs: planning over a large catalogue, and erasing many recordings at once.

    python benchmarks/bench_life.py                # 50 000 calls planned, 1 000 erased
    python benchmarks/bench_life.py --full --save  # a million planned, 10 000 erased
    python benchmarks/bench_life.py --logins       # how long a login waits meanwhile, as in a recorder

Rows are put into the catalogue as sealing leaves them, a tenth of them held; the recordings that are erased have a
folder with a part of 4 KiB and a manifest each, a key, two streams, a dialog and a row in the audit trail. Erasing is
timed from the first step to the last sync, the longest step is what a recorder's event loop waits at most.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report

from vittne.appliance.access.operations import NOTE_LOGIN, NoteLogin
from vittne.appliance.audit import AuditRow
from vittne.appliance.control.caller import VITTNE, Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.life.retention import RUN_RETENTION, RunRetention, add_up, following, planned
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.pausebooks import PauseBooks
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.manifest import Manifest, write_manifest
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow
from vittne.appliance.store.times import now_us, rfc3339

START_US = 1_600_000_000_000_000
STREAM = StreamRow("caller", "PCMA", 8, 8000, 1, "10.0.0.1:4000", "10.0.0.2:5000", 150, 150, START_US, START_US)


def call(n: int, folder: str, expires_us: int | None) -> CallRow:
    """Return a call like any other."""
    return CallRow(
        f"{n:08x}-2222-4000-8000-000000000000",
        FINISHED,
        (f"call-{n}@example.org",),
        f"sip:+4930{n:07}@example.org",
        "sip:200@example.org",
        START_US + n * 1_000_000,
        START_US + n * 1_000_000,
        START_US + n * 1_000_000 + 60_000_000,
        parties=({"uri": f"sip:+4930{n:07}@example.org", "name": f"Caller {n}"},),
        outcome="recorded",
        folder=folder,
        size_bytes=4096 if folder else 0,
        streams=(STREAM, replace(STREAM, party="callee")) if folder else (),
        details={"flags": [], "gaps": []},
        retention_class="gdpr-90d",
        expires_us=expires_us,
    )


def record(registrar: Registrar, count: int) -> None:
    """Put recordings on the disk that are due."""
    for begin in range(0, count, 1000):
        rows = []
        capsules = []
        trail = []
        for n in range(begin, min(begin + 1000, count)):
            row = call(n, "", START_US)
            day = registrar.store.recordings_dir / rfc3339(row.started_us)[:10].replace("-", "/")
            folder = day / row.id
            folder.mkdir(parents=True, mode=0o700)
            (folder / "part-0.floe").write_bytes(bytes(4096))
            write_manifest(folder, Manifest(row.id, "sealed", (), "recorded"), registrar.ledger.key)
            rows.append(replace(call(n, str(folder.relative_to(registrar.data_dir)), START_US)))
            capsules.append((row.id, 0, os.urandom(200).hex()))
            trail.append(AuditRow(f"{n:032x}", START_US, "play", "Ann", "terminal", row.id, {"n": n}, "00" * 16, 0))
        registrar.catalogue.upsert_calls(rows)
        registrar.keys.put(capsules)
        registrar.audit.table.put(trail)


def plan(registrar: Registrar) -> dict[str, Any]:
    """Return what planning all of the catalogue costs."""
    begun = time.perf_counter()
    totals = add_up(planned(registrar.life.due(now_us()), now_us()))
    seconds = time.perf_counter() - begun
    return {"planned": sum(total.recordings for total in totals.values()), "plan_s": round(seconds, 2)}


def erase(registrar: Registrar) -> dict[str, Any]:
    """Return what erasing everything that is due costs."""
    begun = last = time.perf_counter()
    longest, words, erased = 0.0, "", 0
    order: RunRetention | None = RunRetention()
    while order is not None:
        steps = RUN_RETENTION.do(registrar, order, VITTNE)
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                erased += end.value["rules"].get("expiry", 0)
                order = following(end.value)
                break
            now = time.perf_counter()
            if now - last > longest:
                longest, words = now - last, progress.words
            last = now
    seconds = time.perf_counter() - begun
    return {
        "erased": erased,
        "erase_s": round(seconds, 1),
        "longest_step_ms": round(longest * 1000),
        "longest_step": words,
    }


def erase_beside_logins(registrar: Registrar) -> dict[str, Any]:
    """Return how long entering a login takes while everything that is due is erased."""
    books = PauseBooks(registrar)
    operator = Operator(registrar, OPERATIONS, books.do)
    waited: list[float] = []

    async def log_in() -> None:
        while True:
            await asyncio.sleep(0.1)
            begun = time.perf_counter()
            await operator.perform(NOTE_LOGIN, NoteLogin(user="", kind="refused"), Caller("bench"))
            waited.append((time.perf_counter() - begun) * 1000)

    async def whole() -> int:
        logging_in = asyncio.create_task(log_in())
        erased, order = 0, RunRetention()
        while order is not None:
            done = await operator.perform(RUN_RETENTION, order, VITTNE)
            erased += done["rules"].get("expiry", 0)
            order = following(done)
        logging_in.cancel()
        return erased

    begun = time.perf_counter()
    erased = asyncio.run(whole())
    seconds = time.perf_counter() - begun
    books.close()
    waited.sort()
    return {
        "erased": erased,
        "erase_s": round(seconds, 1),
        "logins": len(waited),
        "login_p50_ms": round(waited[len(waited) // 2]),
        "login_p95_ms": round(waited[int(len(waited) * 0.95)]),
        "login_max_ms": round(waited[-1]),
    }


def main() -> None:
    """Measure, print, and keep if asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="a million planned, ten thousand erased")
    options.add_argument("--save", action="store_true", help="add the line to results/life.jsonl")
    options.add_argument("--folder", type=Path, default=Path("."), help="where there is room")
    options.add_argument("--logins", action="store_true", help="erase beside logins, and nothing else")
    given = options.parse_args()
    calls, erased = (1_000_000, 10_000) if given.full else (50_000, 1_000)
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        registrar = Registrar(folder / "data")
        record(registrar, erased)
        if given.logins:
            figures = erase_beside_logins(registrar)
            registrar.close()
            print(report.table([figures]))
            return
        figures = erase(registrar)
        for begin in range(0, calls, 5000):
            registrar.catalogue.upsert_calls(
                [call(erased + n, "", START_US + n) for n in range(begin, min(begin + 5000, calls))]
            )
        registrar.close()
        registrar = Registrar(folder / "data")
        hold(registrar, calls)
        figures |= plan(registrar)
        registrar.close()
    finally:
        shutil.rmtree(folder)
    found = report.result("life", {"calls": calls, "recordings": erased}, figures)
    print(report.table([figures]))
    if given.save:
        report.save(found)


def hold(registrar: Registrar, calls: int) -> None:
    """Hold the calls of the first tenth of the time."""
    from vittne.appliance.life.operations import PLACE_HOLD, PlaceHold  # noqa: PLC0415

    until = START_US + calls // 10 * 1_000_000
    for _ in PLACE_HOLD.do(registrar, PlaceHold(label="case", reason="court", search={"until_us": until}), VITTNE):
        pass


if __name__ == "__main__":
    main()
