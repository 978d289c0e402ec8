"""`vittne rebuild`: write the catalogue anew from the recordings, or say where the two differ."""

from __future__ import annotations

import sys
from pathlib import Path

from vittne.appliance.life.carry import LOST_FILE
from vittne.appliance.rebuild import differences, rebuild
from vittne.appliance.store.lock import DataLock
from vittne.appliance.terminal import GREEN, RED, YELLOW, clean, painted


def run(data: Path) -> int:
    """Rebuild; 0 when every recording could be read."""
    good = poor = 0
    with DataLock(data, "rebuilding the catalogue"):
        for read in rebuild(data, _tell):
            good, poor = good + (not read.problem), poor + bool(read.problem)
            if read.problem:
                print(painted(f"{read.row.id}: {clean(read.problem, 300)}", YELLOW), file=sys.stderr)
    print(f"the catalogue was written anew: {good} recordings, {poor} of which less is known than was")
    if (data / LOST_FILE).exists():
        print(painted("what was on hold is not known any more: nothing is erased, see docs/retention.md", RED))
    print("calls of which nothing was recorded, tokens and runs come back only from a backup;")
    print("what there was is kept in catalogue.before.db")
    return 1 if poor else 0


def _tell(problem: str) -> None:
    print(painted(clean(problem, 300), YELLOW), file=sys.stderr)


def check(data: Path) -> int:
    """Say where catalogue and recordings differ; 0 when nowhere."""
    count = 0
    for recording, words in differences(data):
        count += 1
        print(painted(f"{recording}: {clean(words, 300)}", RED))
    print(painted(f"{count} differ" if count else "catalogue and recordings say the same", RED if count else GREEN))
    return 1 if count else 0
