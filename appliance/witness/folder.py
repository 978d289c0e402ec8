"""Checkpoints into a directory, such as one of another machine that is mounted here.

PATH/<origin>/checkpoint        the newest note, put in place whole
PATH/<origin>/checkpoints.log   a line for each, appended
"""

from __future__ import annotations

import os
from pathlib import Path

from vittne.appliance.seal.note import checkpoint_line
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.witness.settings import DirectorySettings
from vittne.appliance.witness.target import OneThread, Published


class DirectoryTarget:
    """One directory. It is not made: one that is missing is a disk that is not there."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self._thread = OneThread()  # a share may hang for ever

    async def send(self, published: Published) -> None:
        """Write both files. Raises StoreError."""
        await self._thread.run(lambda: self._write(published))

    def _write(self, published: Published) -> None:
        path = self._settings.path
        if not path.is_dir():
            raise StoreError("the directory is not there", path, "mount it, or make it")
        if self._settings.mounted and not os.path.ismount(path):
            raise StoreError("nothing is mounted on the directory", path, "mount it")
        folder = path / published.checkpoint.origin.replace("/", "_")
        line = f"{rfc3339(now_us())} {checkpoint_line(published.note)}\n"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _append(folder / "checkpoints.log", line.encode())
        except OSError as error:
            raise explain(error, "write the checkpoint", folder) from error
        write_atomically(folder / "checkpoint", published.note)


def _append(path: Path, line: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)
