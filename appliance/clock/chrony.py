"""What chrony says of the clock: `chronyc -c tracking`, one line of fields separated by commas (chronyc(1))."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 3
_FIELDS: Final = 14
_UNSYNCHRONISED: Final = "Not synchronised"
_LOCAL: Final = "7F7F0101"


@dataclass(frozen=True, slots=True)
class Tracking:
    """Microseconds. offset_us: this machine's clock less NTP's; what is slewed away just now."""

    stratum: int
    offset_us: int
    max_error_us: int
    synchronised: bool


def read_tracking(line: str) -> Tracking | None:
    """Return what a line of `chronyc -c tracking` says, None when it is none.

    The bound is chrony's own: |system time| + root dispersion + half the root delay (chronyc(1)). Of the fields:
    0 reference, 2 stratum, 4 system time (positive: slow), 10 root delay, 11 root dispersion, 13 leap status.
    With `local` in its configuration and no server chrony calls its own clock good: that is not believed.

    >>> read_tracking("C0A80001,192.168.0.1,3,1700000000.1,-0.000010,0,0,0,0,0,0.002,0.0005,64.5,Normal")
    Tracking(stratum=3, offset_us=10, max_error_us=1510, synchronised=True)
    """
    fields = line.strip().split(",")
    if len(fields) != _FIELDS:
        return None
    try:
        stratum = int(fields[2])
        system, delay, dispersion = (float(fields[n]) for n in (4, 10, 11))
    except ValueError:
        return None
    bound = abs(system) + dispersion + delay / 2
    if not (math.isfinite(bound) and 0 <= bound < 1e9 and 0 <= stratum <= 16):
        return None
    is_synchronised = fields[13] != _UNSYNCHRONISED and fields[0] != _LOCAL and 0 < stratum < 16
    return Tracking(stratum, round(-system * 1e6), math.ceil(bound * 1e6), is_synchronised)


def ask_chrony(server: str = "") -> Tracking | None:
    """Return what chrony says; None when it is not installed, does not run, or does not answer in time.

    server: where chronyd listens for commands, as chronyc's -h takes it; "" for its usual places.
    """
    program = shutil.which("chronyc")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-n", "-c", *(["-h", server] if server else []), "tracking"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_tracking(done.stdout.decode("ascii", "replace")) if done.returncode == 0 else None
