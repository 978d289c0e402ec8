"""The two files that a ledger's writer keeps open: its journal, and the head that is remembered elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vittne.appliance.seal.journal import JOURNAL_BYTES, JOURNAL_FILE, header
from vittne.appliance.seal.ledgerstate import head_path, padded_head
from vittne.appliance.seal.tiles import write_at
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import sync_path, write_atomically

_NEW_JOURNAL: Final = ".journal.new"


class JournalWriter:
    """Appends to a journal, and begins it anew. Its steps are generators that name each write, sync and rename."""

    def __init__(self, directory: Path, base: int) -> None:
        """Nothing is opened before begin(). base: entries before the journal that is there."""
        self.base = base
        self._directory = directory
        self._fd = -1
        self._end = 0
        self._is_moved = False  # the journal has a new name that is not synced yet

    @property
    def is_open(self) -> bool:
        """Whether there is a journal to append to."""
        return self._fd >= 0

    @property
    def is_long(self) -> bool:
        """Whether it has outgrown the zeros that it was begun with."""
        return self._end > JOURNAL_BYTES

    def append(self, data: bytes) -> Iterator[str]:
        """Write behind what is there, and sync. After a StoreError it counts for nothing: append it again, or more."""
        if self._is_moved:
            self._settle()
        try:
            # Always at the same place: what a failed try left is overwritten with the same bytes and more.
            write_at(self._fd, data, self._end)
            yield "journal written"
            os.fdatasync(self._fd)
        except OSError as error:
            raise explain(error, "write the ledger", self._directory / JOURNAL_FILE) from error
        self._end += len(data)
        yield "journal synced"

    def begin(self, base: int, edge: Sequence[bytes], lines: bytes) -> Iterator[str]:
        """Put a new journal in the place of the old one. Raises StoreError; then the old one goes on."""
        data = header(base, edge) + lines
        path, half = self._directory / JOURNAL_FILE, self._directory / _NEW_JOURNAL
        try:
            fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_at(fd, data.ljust(JOURNAL_BYTES, b"\0"), 0)
                yield "new journal written"
                os.fsync(fd)
                yield "new journal synced"
                os.rename(half, path)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise explain(error, "write the ledger", path) from error
        self.close()
        self._fd, self._end, self.base, self._is_moved = fd, len(data), base, True
        yield "new journal in place"
        self._settle()
        yield "folder of the journal synced"

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _settle(self) -> None:
        """Make the new journal's name durable: before that nothing may be confirmed that stands in it only."""
        sync_path(self._directory)
        self._is_moved = False


class HeadWriter:
    """Notes the newest checkpoint apart from the ledger's folder."""

    def __init__(self, directory: Path, note: bytes) -> None:
        """Write it anew, whatever it was before: it was read and compared. Raises StoreError."""
        self._path = head_path(directory)
        self._fd = -1
        write_atomically(self._path, padded_head(note))
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise explain(error, "open the ledger", self._path) from error

    def write(self, note: bytes, last: bool = False) -> None:
        """Note a checkpoint, after the journal was synced: never before it. last: durable on return."""
        try:
            write_at(self._fd, padded_head(note), 0)
            if last:
                os.fdatasync(self._fd)
        except OSError as error:
            raise explain(error, "write the ledger's head", self._path) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
