"""The process that copies to one target: `python -m vittne.appliance.storage.process DIR`, the target on its input.

A line of JSON for what is to be entered: {"rows"}, and last {"away", "missing"} or {"done"}. It has the lowest priority
for CPU and disk, and reads no more than mb_per_s.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from vittne.appliance.scrub.cycle import Pace
from vittne.appliance.scrub.process import stay_behind
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import LockMissing, TargetAway
from vittne.appliance.storage.work import Busy, alone, place_at, work
from vittne.appliance.store.errors import StoreError


def main(arguments: list[str]) -> int:
    """Do what is due at a target; return the exit status."""
    settings = StorageTarget.model_validate_json(sys.stdin.buffer.read())
    data_dir = Path(arguments[0])
    stay_behind()
    pace = Pace(settings.mb_per_s * 1e6)
    try:
        with alone(data_dir, settings.name), place_at(settings, data_dir) as at:
            for rows in work(at, pace.spent):
                _say({"rows": [asdict(row) for row in rows]})
    except Busy:
        _say({"done": True})
        return 0
    except TargetAway as error:
        _say({"away": str(error)[:400], "missing": isinstance(error, LockMissing)})
        return 0
    except StoreError as error:
        _say({"error": str(error)[:400]})
        return 1
    _say({"done": True})
    return 0


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
