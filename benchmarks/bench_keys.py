#!/usr/bin/env python3
"""What keys cost: wrapping, opening capsules, and an epoch over a whole store of data keys.

    python benchmarks/bench_keys.py [--rows 1000000] [--folder DIR] [--save]

The store is made with one part a recording, under buckets of --months months in --classes classes. The epoch is the
real one: every row opened and wrapped anew, written in transactions that are synced, the database rebuilt, the log
emptied. CPU is user and system time of this process; afterwards some rows are opened to see that it was done.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from report import result, save

from vittne.appliance.keyring import renewal, wrapping
from vittne.appliance.keyring.opening import OpenKeys, create_keys
from vittne.appliance.seal.capsule import KeyStore
from vittne.appliance.seal.keys import make_capsule
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.store.files import Store


def microseconds(action: Callable[[], object], times: int) -> float:
    """Return CPU microseconds for one call: the least of five rounds."""
    spent = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            action()
        spent.append((time.process_time() - start) / times * 1e6)
    return round(min(spent), 2)


def primitives(keys: OpenKeys) -> dict[str, float]:
    """Return what single keys cost."""
    one, other, rec = wrapping.new_key(), wrapping.new_key(), str(uuid.uuid4())
    wrapped, public = wrapping.wrap(one, other), keys.vault.archive.public
    capsule = make_capsule(public, other, rec, 0)
    return {
        "rewrap_us": microseconds(lambda: wrapping.wrap(other, wrapping.unwrap(one, wrapped)), 20_000),
        "make_capsule_us": microseconds(lambda: make_capsule(public, other, rec, 0), 300),
        "open_capsule_us": microseconds(lambda: keys.vault.open_capsule(capsule, rec, 0), 300),
    }


def fill(keys: OpenKeys, rows: int, months: int, classes: int) -> dict[tuple[str, int], bytes]:
    """Put in rows under buckets; return some of their keys in clear, to look again."""
    places = [
        ("main", f"class-{c}", f"20{30 + m // 12}-{m % 12 + 1:02}") for m in range(months) for c in range(classes)
    ]
    now = "2030-01-01T00:00:00.000000Z"
    buckets = [keys.store.bucket_for(place, keys.vault.new_bucket, now) for place in places]
    known: dict[tuple[str, int], bytes] = {}
    step = 50_000
    for start in range(0, rows, step):
        batch = []
        for n in range(start, min(start + step, rows)):
            bucket, key, rec = random.choice(buckets), wrapping.new_key(), str(uuid.uuid4())
            batch.append((rec, 0, bucket.id, wrapping.wrap(keys.vault.bucket_key(bucket), key)))
            if n % 1000 == 0:
                known[rec, 0] = key
        keys.store._db.execute("BEGIN")
        keys.store._db.executemany("INSERT INTO data_keys VALUES (?, ?, ?, ?)", batch)
        keys.store._db.execute("COMMIT")
    keys.store.empty_log()
    return known


def measure(data: Path, rows: int, months: int, classes: int) -> dict[str, float]:
    """Return the figures of one run."""
    Store(data).close()
    KeyStore(data / "keys.db").close()
    with OpenKeys(data, create_keys(data)) as keys:
        figures: dict[str, float] = primitives(keys)
        known = fill(keys, rows, months, classes)
        ledger = open_ledger(data)
        figures["store_mib_before"] = round((data / "keys.db").stat().st_size / (1 << 20), 1)
        wall, cpu = time.perf_counter(), time.process_time()
        longest, last = 0.0, time.perf_counter()
        for _ in renewal.epoch_steps(keys, ledger, "main"):
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
        figures["epoch_wall_s"] = round(time.perf_counter() - wall, 2)
        figures["epoch_cpu_s"] = round(time.process_time() - cpu, 2)
        figures["epoch_us_per_row"] = round(figures["epoch_cpu_s"] / rows * 1e6, 2)
        figures["longest_step_s"] = round(longest, 2)
        figures["store_mib_after"] = round((data / "keys.db").stat().st_size / (1 << 20), 1)
        ledger.close()
        assert all(keys.data_key(*part) == key for part, key in known.items())
        assert keys.vault.ring.epoch.number == 2
    return figures


def main() -> int:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--save", action="store_true", help="append to results/keys.jsonl")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    os.chmod(folder, 0o700)
    try:
        figures = measure(folder / "data", options.rows, options.months, options.classes)
    finally:
        shutil.rmtree(folder)
    given = {"rows": options.rows, "buckets": options.months * options.classes}
    found = result("keys", given, figures)
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if options.save:
        save(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
