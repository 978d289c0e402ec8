"""A file system of one's own that is small, and what fills it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Disk:
    """Where it is mounted, and how large it is."""

    path: Path
    size_bytes: int

    @property
    def free_bytes(self) -> int:
        """What may be written now."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, but_bytes: int = 0) -> None:
        """Leave so much free and no more."""
        with (self.path / "filling").open("ab") as file:
            missing = self.free_bytes - but_bytes
            while missing > 0:
                missing -= file.write(bytes(min(missing, 1 << 20)))

    def empty(self) -> None:
        """Give it back."""
        (self.path / "filling").unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, mib: int = 48) -> Iterator[Disk | None]:
    """Mount one; None where nobody may."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield Disk(path, mib << 20)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
