"""What the kernel knows of its clock: adjtimex(2), only read, which needs no right.

Whoever keeps the clock right (chrony, ntpd, timesyncd, ptp4l with phc2sys) tells the kernel how far off it
may be. Between two of its words the kernel lets that bound grow by 500 ppm, and after 16 s it calls the
clock unsynchronised.
"""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5
_CLOCK_FD: Final = 3  # FD_TO_CLOCKID of clock_gettime(2), "dynamic clocks"
_LONG: Final = ctypes.c_long


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: change nothing
        ("offset", _LONG),
        ("freq", _LONG),
        ("maxerror", _LONG),
        ("esterror", _LONG),
        ("status", ctypes.c_int),
        ("constant", _LONG),
        ("precision", _LONG),
        ("tolerance", _LONG),
        ("time_sec", _LONG),
        ("time_usec", _LONG),
        ("tick", _LONG),
        ("ppsfreq", _LONG),
        ("jitter", _LONG),
        ("shift", ctypes.c_int),
        ("stabil", _LONG),
        ("jitcnt", _LONG),
        ("calcnt", _LONG),
        ("errcnt", _LONG),
        ("stbcnt", _LONG),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """Microseconds. offset_us: what is still to be slewed away."""

    offset_us: int
    max_error_us: int
    estimated_error_us: int
    synchronised: bool
    tai_s: int  # TAI less UTC; 0 when nobody told the kernel


def read_kernel_clock() -> KernelClock | None:
    """Ask the kernel; None where a sandbox does not let us (systemd's ProtectClock= forbids even to look)."""
    found = _Timex()
    state = _LIBC.adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    nano = 1000 if found.status & _STA_NANO else 1
    return KernelClock(
        offset_us=round(found.offset / nano),
        max_error_us=found.maxerror,
        estimated_error_us=found.esterror,
        synchronised=state != _TIME_ERROR and not found.status & _STA_UNSYNC,
        tai_s=found.tai,
    )


def clock_of(fd: int) -> int:
    """Return the clock's number for clock_gettime(2) of an open /dev/ptpN.

    >>> clock_of(3)
    -29
    """
    return (~fd << 3) | _CLOCK_FD


def read_ptp_clocks(folder: Path = Path("/dev")) -> dict[str, int]:
    """Return by how many microseconds each readable PTP clock of a network card is ahead of this machine's.

    A card that ptp4l keeps on PTP time counts TAI: 37 s ahead since 2017.
    """
    found = {}
    for path in sorted(folder.glob("ptp[0-9]*")):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            before = time.time_ns()
            there = time.clock_gettime_ns(clock_of(fd))
            after = time.time_ns()
        except OSError:  # no clock behind it
            continue
        finally:
            os.close(fd)
        found[path.name] = (there - (before + after) // 2) // 1000
    return found


_LIBC: Final = ctypes.CDLL(None, use_errno=True)
