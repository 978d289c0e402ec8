"""What the capture worker counts about itself, for its status: rings, commits, what the process takes.

It says this itself: nobody else may look into it (PR_SET_DUMPABLE is off, and ProtectProc= hides it).
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

# Upper bounds in seconds of how long commits took; the last bucket has no bound.
COMMIT_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_PAGE: Final = resource.getpagesize()

ProcessName = Literal["appliance", "worker", "analysis"]


@dataclass(frozen=True, slots=True)
class RingFigures:
    """A ring since its worker began. packets: that its socket saw, the dropped ones included. held: of its blocks."""

    interface: str
    packets: int
    drops: int
    held: int
    blocks: int
    block_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What processes of a kind take: CPU time since each began, memory, open files. count: how many there are."""

    name: ProcessName
    cpu_s: float
    resident_bytes: int
    open_files: int
    count: int = 1


@dataclass(slots=True)
class CommitTimes:
    """How long commits took since the worker began. counts: by COMMIT_BOUNDS_S, and one more for what is longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(COMMIT_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def note(self, took_s: float) -> None:
        """Count one.

        >>> times = CommitTimes()
        >>> times.note(0.01)
        >>> times.counts[:3]
        [0, 1, 0]
        """
        self.counts[bisect_left(COMMIT_BOUNDS_S, took_s)] += 1
        self.sum_s += took_s


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """All of it. recordings_open: being written; closing: written, and not entered yet; behind_s: how long ago what
    was committed last came in; unsignalled: streams of this run that no signalling explains.
    """

    rings: list[RingFigures] = field(default_factory=list)
    commits: CommitTimes = field(default_factory=CommitTimes)
    processes: list[ProcessUse] = field(default_factory=list)
    recordings_open: int = 0
    closing: int = 0
    behind_s: float = 0.0
    unsignalled: int = 0


def own_use(name: ProcessName) -> ProcessUse:
    """Return what this process takes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    return ProcessUse(name, round(used.ru_utime + used.ru_stime, 2), resident, len(os.listdir("/proc/self/fd")))


def use_of(name: ProcessName, pids: Iterable[int]) -> ProcessUse | None:
    """Return what other processes take together, but for their files; None where none can be looked at."""
    cpu_s, resident, count = 0.0, 0, 0
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended, or is hidden
            continue
        cpu_s += (int(fields[11]) + int(fields[12])) * tick_s
        resident += int(fields[21]) * _PAGE
        count += 1
    return ProcessUse(name, round(cpu_s, 2), resident, 0, count) if count else None
