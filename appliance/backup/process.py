"""The process that copies: `python -m vittne.appliance.backup.process ORDER`, a line of JSON for what came of it.

ORDER is JSON: {"data", "target", "config", "keep_days", "bytes_per_s"}. It has the lowest priority for CPU and disk,
and asks the recorder over DIR/control.sock for a state to copy.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vittne.appliance.backup.operation import POINT, Entered, Point
from vittne.appliance.backup.write import Backup, Done, Wanted
from vittne.appliance.control.client import perform
from vittne.appliance.scrub.cycle import Pace
from vittne.appliance.scrub.process import stay_behind
from vittne.appliance.store.errors import StoreError


def main(arguments: list[str]) -> int:
    """Back up once; return the exit status."""
    order: dict[str, Any] = json.loads(arguments[0])
    stay_behind()
    data = Path(order["data"])
    config = Path(order["config"]) if order["config"] else None
    wanted = Wanted(data, Path(order["target"]), config, int(order["keep_days"]), begin=False)
    try:
        backup = Backup(wanted, lambda: point(data), Pace(float(order["bytes_per_s"])).spent)
        for _ in backup.steps():
            pass
    except StoreError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps({"done": asdict(backup.done)}), flush=True)
    return 0


def point(data_dir: Path) -> None:
    """Have whoever writes bring ledger and catalogue to one state. Raises StoreError."""
    perform(data_dir, POINT, Point())


def entry_of(done: Done) -> Entered:
    """Return what is entered in the ledger of a backup."""
    return Entered(
        recordings=done.recordings,
        copied=done.copied,
        missing=len(done.problems),
        bytes=done.bytes,
        size=done.size,
        sum=done.sum,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
