"""The process that reads: `python -m vittne.appliance.scrub.process DIR BYTES_PER_S`, a line of JSON for each finding.

Apart from the recorder, and behind everything else: it has the lowest priority for CPU and disk.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from vittne.appliance.scrub.cycle import Damage, Pace, State, read_state, scrub
from vittne.appliance.store.errors import StoreError

LOCK_FILE: Final = "scrub.lock"
BUSY: Final = 75  # exit status: somebody scrubs already (EX_TEMPFAIL)
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
_IDLE: Final = 3 << 13


def main(arguments: list[str]) -> int:
    """Scrub to the end of the cycle; return the exit status."""
    data_dir, rate = Path(arguments[0]), float(arguments[1])
    stay_behind()
    lock = take_lock(data_dir)
    if lock < 0:
        return BUSY
    try:
        state = read_state(data_dir)
        for now, found in scrub(data_dir, state, Pace(rate).spent):
            state = now
            if found is not None:
                _say({"damage": asdict(found)})
        _say({"done": _sum(state)})
    except StoreError as error:
        _say({"error": str(error)})
        return 1
    return 0


def take_lock(data_dir: Path) -> int:
    """Return a descriptor that keeps others from scrubbing; -1 when somebody does."""
    fd = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd


def stay_behind() -> None:
    """Take what CPU and disk others leave."""
    os.nice(19)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _IDLE)


def _sum(state: State) -> dict[str, int]:
    assert state.last is not None
    return {"recordings": state.last.recordings, "bytes": state.last.bytes, "damaged": len(state.last.damaged)}


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


__all__ = ["BUSY", "LOCK_FILE", "Damage", "main", "stay_behind", "take_lock"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
