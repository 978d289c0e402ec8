#!/usr/bin/env python3
"""What it costs to say how many calls were announced, and which were not, over a large catalogue.

    python benchmarks/bench_coverage.py                # 50 000 calls
    python benchmarks/bench_coverage.py --full --save  # a million

Calls come every 31 seconds from 300 000 numbers to 500, at 20 sites over 7 trunks, with prompts in two languages; 3 %
were not announced. CPU seconds of this process, which the database runs in; the list is that of the newest hundred.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report
from sqlalchemy import insert

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import announcement_call
from vittne.appliance.verdicts.sums import Which, missing, sums

START_US = 1_700_000_000_000_000
APART_US = 31_000_000
DAY_US = 86_400_000_000
_AT_ONCE = 20_000


def fill(catalogue: Catalogue, calls: int) -> None:
    """Put calls into the catalogue."""
    chance = random.Random(1)
    for begin in range(0, calls, _AT_ONCE):
        rows = [_row(n, chance) for n in range(begin, min(begin + _AT_ONCE, calls))]
        with catalogue.writing() as connection:
            connection.execute(insert(announcement_call), rows)


def _row(n: int, chance: random.Random) -> dict[str, Any]:
    is_announced = chance.random() < 0.97
    return {
        "recording": f"{n:08x}-2222-4000-8000-000000000000",
        "at_us": START_US + n * APART_US,
        "site": f"site {n % 20}",
        "trunk": f"10.0.{n % 7}.1 - 10.0.0.9",
        "caller": f"+4930{chance.randrange(300_000):06}",
        "callee": str(200 + chance.randrange(500)),
        "language": ("en", "de")[n % 2] if is_announced else "",
        "announced": "full" if is_announced else "none",
        "expected": True,
        "proven": is_announced,
        "due_us": None if is_announced else START_US + n * APART_US,
    }


def measure(work: Callable[[], object]) -> float:
    """Return CPU seconds of a work."""
    begin = time.process_time()
    work()
    return round(time.process_time() - begin, 3)


def main() -> None:
    """Measure, print, and keep if asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="a million calls")
    options.add_argument("--save", action="store_true", help="add the line to results/coverage.jsonl")
    options.add_argument("--folder", type=Path, default=Path("."), help="where there is room")
    given = options.parse_args()
    calls = 1_000_000 if given.full else 50_000
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        with Catalogue(folder / "catalogue.db") as catalogue:
            fill(catalogue, calls)
            end = START_US + calls * APART_US
            figures = {
                "all_cpu_s": measure(lambda: sums(catalogue, 0, end)),
                "thirty_days_cpu_s": measure(lambda: sums(catalogue, end - 30 * DAY_US, end)),
                "day_cpu_s": measure(lambda: sums(catalogue, end - DAY_US, end)),
                "newest_missing_cpu_s": measure(lambda: missing(catalogue, Which(limit=100))),
            }
    finally:
        shutil.rmtree(folder)
    found = report.result("coverage", {"calls": calls}, figures)
    print(report.table([figures]))
    if given.save:
        report.save(found)


if __name__ == "__main__":
    main()
