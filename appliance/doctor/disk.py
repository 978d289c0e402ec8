"""How fast a disk takes what is written to it for good: a small file, written and synced, and removed at once.

Gentle: at most a second and some megabytes, in pieces as a commit writes them, and not where little room is left.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PIECE: Final = 2 << 20
_MOST: Final = 32 << 20
_LONGEST_S: Final = 1.0
_LEAST_FREE: Final = 1 << 30
_NAME: Final = ".doctor"


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """bytes_per_s: written and synced. worst_s: that one sync took at most."""

    bytes_per_s: float
    worst_s: float
    written: int


def measure(folder: Path) -> DiskSpeed | None:
    """Write to a file in a folder, sync it piece by piece, remove it. None where there is no room for that.

    Errors: OSError where nothing can be written at all.
    """
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < _LEAST_FREE:
        return None
    piece = os.urandom(_PIECE)  # what is sealed looks like that: nothing that a disk could make smaller
    fd = _open(folder)
    try:
        begin = time.monotonic()
        written, worst = 0, 0.0
        while written < _MOST and (now := time.monotonic()) - begin < _LONGEST_S:
            written += os.write(fd, piece)
            os.fdatasync(fd)
            worst = max(worst, time.monotonic() - now)
        return DiskSpeed(written / max(1e-6, time.monotonic() - begin), worst, written)
    finally:
        os.close(fd)


def _open(folder: Path) -> int:
    """Return a file without a name, which nobody has to remove (open(2), O_TMPFILE), or one whose name is gone."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:  # not every file system can
        path = folder / f"{_NAME}-{os.getpid()}"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        path.unlink()
        return fd
