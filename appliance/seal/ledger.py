"""The ledger: an append-only Merkle log of what happened to recordings.

    DIR/ledger/entries     one entry a line, canonical JSON; the line without its newline is the leaf's data
    DIR/ledger/checkpoint  signed note: number of entries and their root (RFC 6962, C2SP tlog-checkpoint)

An entry counts once a signed checkpoint covers it. flush() makes entries durable before it signs, so a
crash leaves at most a tail that nobody was told of; it is cut at the next start, and never signed: whoever
can write the file but has not the key can add nothing. What a checkpoint covers must be there to the byte.
Act on an event (rename a folder, answer a request) only after flush() returned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from vittne.appliance.seal.canonical import Json, canonical
from vittne.appliance.seal.events import MEMBERS
from vittne.appliance.seal.merkle import EMPTY_ROOT, GrowingTree
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint, sign_note
from vittne.appliance.seal.signing import KEY_FILE, SigningKey, VerifyKey, load_key, new_key, save_key
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.times import now_us, rfc3339

ENTRIES_FILE: Final = "entries"
CHECKPOINT_FILE: Final = "checkpoint"
ENTRY_LIMIT: Final = 16_384  # bytes; the longest that we write has some 300

Visitor = Callable[[int, bytes], None]


class LedgerDamaged(StoreError):
    """Ledger and signed checkpoint disagree: shortened, altered, rewritten or gone."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading a ledger through gave: all of it was in order."""

    checkpoint: Checkpoint
    tree: GrowingTree
    covered_bytes: int  # the part of the file that the checkpoint covers
    tail_bytes: int  # after it: entries not yet signed, or left by a crash


class Ledger:
    """The one writer's view. record() is cheap and only remembers, flush() makes it last."""

    def __init__(self, directory: Path, key: SigningKey) -> None:
        """Open a ledger and re-hash it, 2 us an entry. Raises LedgerDamaged, StoreError.

        cut_bytes afterwards is what a crash had left behind the last checkpoint: it was removed.
        """
        self._entries = directory / ENTRIES_FILE
        self._checkpoint_path = directory / CHECKPOINT_FILE
        self.key = key
        scan = scan_ledger(directory, key.verifier)
        self.checkpoint = scan.checkpoint
        self.cut_bytes = scan.tail_bytes
        self._tree = scan.tree
        self._end = scan.covered_bytes
        self._waiting: list[bytes] = []
        try:
            self._fd = os.open(self._entries, os.O_WRONLY | os.O_CLOEXEC)
            if scan.tail_bytes:
                os.ftruncate(self._fd, self._end)
        except OSError as error:
            raise explain(error, "open the ledger", self._entries) from error

    @classmethod
    def create(cls, directory: Path, key: SigningKey) -> Ledger:
        """Begin an empty ledger; an existing one is never overwritten unless it is empty."""
        entries = directory / ENTRIES_FILE
        if entries.exists() and entries.stat().st_size:
            raise StoreError("there is a ledger already", entries, "restore the key that belongs to it")
        write_atomically(entries, b"")
        empty = Checkpoint(key.name, 0, EMPTY_ROOT)
        write_atomically(directory / CHECKPOINT_FILE, sign_note(empty.text(), key))
        return cls(directory, key)

    @property
    def size(self) -> int:
        """Entries so far, with those that still wait for flush()."""
        return self._tree.size

    def record(self, event: Mapping[str, Json], at_us: int | None = None) -> int:
        """Remember an event and return its index. It gets the time as "at": now, or at_us (UTC).

        Its kind is in "t"; which members it may have is fixed in events.py (no personal data).
        """
        allowed = MEMBERS[str(event["t"])]
        assert event.keys() - {"t"} <= allowed, f"{event['t']}: {sorted(event.keys() - allowed)}"
        line = canonical({**event, "at": rfc3339(now_us() if at_us is None else at_us)})
        assert len(line) <= ENTRY_LIMIT
        self._waiting.append(line)
        self._tree.add(line)
        return self._tree.size - 1

    def flush(self) -> Checkpoint:
        """Write, sync and sign what waits. After a StoreError nothing is lost: it may be called again."""
        if not self._waiting:
            return self.checkpoint
        data = b"".join(line + b"\n" for line in self._waiting)
        try:
            # Always at the same place: what a failed try left is overwritten with the same bytes and more.
            _write_at(self._fd, data, self._end)
            os.fdatasync(self._fd)
        except OSError as error:
            raise explain(error, "write the ledger", self._entries) from error
        checkpoint = Checkpoint(self.key.name, self._tree.size, self._tree.root())
        write_atomically(self._checkpoint_path, sign_note(checkpoint.text(), self.key))
        self._end += len(data)
        self._waiting.clear()
        self.checkpoint = checkpoint
        return checkpoint

    def close(self) -> None:
        """Flush and let go."""
        if self._fd >= 0:
            try:
                self.flush()
            finally:
                os.close(self._fd)
                self._fd = -1


def open_ledger(data_dir: Path) -> Ledger:
    """Open the ledger of a data directory; on the very first run make its key and begin it.

    The key file comes last, so a first run that was cut short begins again. Once there is a key, a missing
    ledger is damage and not a beginning. Raises LedgerDamaged, StoreError.
    """
    keys_dir, directory = data_dir / "keys", data_dir / "ledger"
    if (keys_dir / KEY_FILE).exists():
        return Ledger(directory, load_key(keys_dir))
    key = new_key()
    ledger = Ledger.create(directory, key)
    save_key(keys_dir, key)
    return ledger


def scan_ledger(directory: Path, key: VerifyKey, visit: Visitor | None = None, size: int | None = None) -> Scan:
    """Read a ledger through and hold it against its checkpoint; visit(index, entry) gets each entry
    while the root is not known yet: act on what it collected only after this function has returned.

    Safe while another process appends: the checkpoint is read first, and what follows it is only counted.
    size stops earlier, for the root of a former state (Scan.tree.root()), held against nothing.
    Raises LedgerDamaged saying what is wrong, StoreError when it cannot be read.
    """
    path = directory / ENTRIES_FILE
    checkpoint = _read_checkpoint(directory / CHECKPOINT_FILE, key)
    wanted = checkpoint.size if size is None else min(size, checkpoint.size)
    tree = GrowingTree()
    try:
        with path.open("rb", buffering=1 << 20) as stream:
            covered = _read_entries(stream, tree, wanted, visit)
            total = os.fstat(stream.fileno()).st_size
    except FileNotFoundError as error:
        raise LedgerDamaged("the ledger's entries are gone", path, _NEXT) from error
    except OSError as error:
        raise explain(error, "read the ledger", path) from error
    if tree.size < wanted:
        raise LedgerDamaged(
            f"the ledger was shortened: {checkpoint.size} entries were signed, {tree.size} are there",
            path,
            _NEXT,
        )
    if wanted == checkpoint.size and tree.root() != checkpoint.root:
        raise LedgerDamaged(
            f"the ledger was altered: its {checkpoint.size} entries do not have the signed root", path, _NEXT
        )
    return Scan(checkpoint, tree, covered, total - covered)


def read_entry(entry: bytes) -> dict[str, Json]:
    """Return an entry as an object. ValueError when it is none, which a covered one never is."""
    value = json.loads(entry)
    if not isinstance(value, dict):
        raise ValueError("an entry is an object")
    return value


_NEXT: Final = "keep the directory as it is and compare with a backup"


def _read_entries(stream: BinaryIO, tree: GrowingTree, wanted: int, visit: Visitor | None) -> int:
    """Add up to wanted entries to the tree; return the bytes that they take in the file."""
    covered = 0
    while tree.size < wanted:
        line = stream.readline(ENTRY_LIMIT + 2)
        if not line.endswith(b"\n"):
            break
        covered += len(line)
        if visit is not None:
            visit(tree.size, line[:-1])
        tree.add(line[:-1])
    return covered


def _read_checkpoint(path: Path, key: VerifyKey) -> Checkpoint:
    try:
        with path.open("rb") as stream:
            return open_checkpoint(stream.read(NOTE_LIMIT + 1), key)
    except FileNotFoundError as error:
        raise LedgerDamaged("the ledger's signed checkpoint is gone", path, _NEXT) from error
    except BadNote as error:
        raise LedgerDamaged(f"the ledger's checkpoint cannot be trusted: {error}", path, _NEXT) from error
    except OSError as error:
        raise explain(error, "read the ledger", path) from error


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
