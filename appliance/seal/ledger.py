"""The ledger: an append-only Merkle log of what happened to recordings. Its one writer.

    DIR/ledger/journal               the newest entries, with a signed checkpoint behind those of each flush
    DIR/ledger/tile/, checkpoint     the log as C2SP tlog-tiles has it, for anybody's reader; a little behind
    DIR/keys/ledger.head             newest size and root, remembered elsewhere

flush() makes entries last with one write and one sync: act on an event (rename a folder, answer a request) only
after it returned. What a crash leaves behind the last signed checkpoint nobody was told of; it is cut at the next
start, and never signed: whoever can write the files but has not the key can add nothing.

Opening reads the tiles at the right edge and the journal, however long the ledger is; scan.py reads all of it.
The steps are generators that name each write, sync and rename: a test dies at every one of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from vittne.appliance.seal import ledgerstate
from vittne.appliance.seal.canonical import Json, canonical
from vittne.appliance.seal.edge import edge_tree
from vittne.appliance.seal.events import MEMBERS
from vittne.appliance.seal.journal import ENTRY_LIMIT, JOURNAL_FILE, flushed, header
from vittne.appliance.seal.ledgerfiles import HeadWriter, JournalWriter
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE, COSIGNED_FILE, head_path, padded_head, read_state
from vittne.appliance.seal.merkle import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH
from vittne.appliance.seal.note import Checkpoint, sign_note
from vittne.appliance.seal.settling import settle_key
from vittne.appliance.seal.signing import KEY_FILE, SigningKey, load_key, new_key, save_key
from vittne.appliance.seal.succession import ROTATIONS_FILE
from vittne.appliance.seal.tiles import ENTRIES, TILE_FOLDER, LedgerDamaged, TileWriter, bundle
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.times import now_us, rfc3339

__all__ = ["Ledger", "LedgerDamaged", "open_ledger"]

_BETWEEN_S: Final = 1.0  # at least so long between checkpoints that are published because bundles fill
_ALLOWED: Final = {kind: members | {"t"} for kind, members in MEMBERS.items()}


class Ledger:
    """The one writer's view. record() is cheap and only remembers, flush() makes it last."""

    def __init__(self, directory: Path, key: SigningKey) -> None:
        """Open a ledger, bring its public files up and begin its journal anew. Raises LedgerDamaged, StoreError.

        cut_bytes afterwards is what a crash had left behind the last checkpoint: it was removed.
        """
        self.directory = directory
        self._lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._is_away = False
        self._open(key)

    def _open(self, key: SigningKey) -> None:
        directory = self.directory
        self._cosigned: tuple[Checkpoint | None, list[bytes]] = None, []
        self._published_at = 0.0  # s, monotonic
        state = read_state(directory, key.verifier)
        if state.head is None:
            raise LedgerDamaged("the folder of keys is gone", head_path(directory), "restore keys/ from a backup")
        if state.key != key.verifier:
            what, where = "another key has followed the one in keys/", directory / ROTATIONS_FILE
            raise StoreError(what, where, "restore keys/ from a backup that was made after it did")
        self.key = replace(key, former=state.key.former)
        journal = state.journal
        self._tree, root_at = edge_tree(directory, journal)
        for remembered in state.remembered:
            ledgerstate.hold_against(remembered, journal.checkpoint, root_at)
        self.checkpoint = journal.checkpoint
        self._note = sign_note(journal.checkpoint.text(), key)  # a former key's is replaced by ours
        self.published = state.published.checkpoint
        self.cut_bytes = journal.tail_bytes
        self._tiles = TileWriter(directory)
        self._bundle = list(journal.entries)  # entries behind the last bundle that was written
        self._full: list[tuple[int | str, int, bytes]] = []  # tiles and bundles that are to be written
        for entry in journal.entries:
            self._tree.add(entry)
        self._journal = JournalWriter(directory, journal.base)
        self._head = HeadWriter(directory, self._note)
        try:
            for _ in self.beginning():
                pass
        except BaseException:
            self._let_go()
            raise

    @classmethod
    def create(cls, directory: Path, key: SigningKey) -> Ledger:
        """Begin an empty ledger; an existing one is never overwritten unless it is empty."""
        journal = directory / JOURNAL_FILE
        if (directory / TILE_FOLDER).exists() or (journal.exists() and b"\n{" in journal.read_bytes()):
            raise StoreError("there is a ledger already", directory, "restore the key that belongs to it")
        empty = Checkpoint(key.name, 0, EMPTY_ROOT)
        lines, note = flushed((), empty, key)
        write_atomically(journal, header(0, ()) + lines)
        write_atomically(directory / CHECKPOINT_FILE, note)
        write_atomically(head_path(directory), padded_head(note))
        return cls(directory, key)

    @property
    def size(self) -> int:
        """Entries so far, with those that still wait for flush()."""
        return self._tree.size

    def record(self, event: Mapping[str, Json], at_us: int | None = None) -> int:
        """Remember an event and return its index. It gets the time as "at": now, or at_us (UTC).

        Its kind is in "t"; which members it may have is fixed in events.py (no personal data).
        """
        allowed = _ALLOWED[str(event["t"])]
        assert allowed.issuperset(event), f"{event['t']}: {sorted(event.keys() - allowed)}"
        line = canonical({**event, "at": rfc3339(now_us() if at_us is None else at_us)})
        assert len(line) <= ENTRY_LIMIT
        with self._lock:
            self._waiting.append(line)
            self._tree.add(line)
            return self._tree.size - 1

    def flush(self) -> Checkpoint:
        """Write, sync and sign what waits. After a StoreError nothing is lost: it may be called again."""
        with self._lock:
            for _ in self.flushing():
                pass
            return self.checkpoint

    def publish(self) -> Checkpoint:
        """Flush, and bring checkpoint and tiles up to the last entry. Raises StoreError; it may be called again."""
        with self._lock:
            for _ in self.publishing():
                pass
            return self.published

    def publish_note(self) -> tuple[Checkpoint, bytes]:
        """Publish, and return the checkpoint with its signed note."""
        with self._lock:
            return self.publish(), self._note

    def keep_cosigned(self, checkpoint: Checkpoint, cosignature: bytes) -> None:
        """Add a witness's signature line, checked before, to the note of a published checkpoint. Raises StoreError.

        The note stays in checkpoint.cosigned; it is also the public one while no newer was published.
        """
        with self._lock:
            known, lines = self._cosigned
            if known is not None and checkpoint.size < known.size:
                return
            self._cosigned = checkpoint, [*(lines if checkpoint == known else ()), cosignature]
            note = sign_note(checkpoint.text(), self.key) + b"".join(self._cosigned[1])
            write_atomically(self.directory / COSIGNED_FILE, note)
            if checkpoint == self.published:
                write_atomically(self.directory / CHECKPOINT_FILE, note)

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """Let somebody else have the ledger within, who may have another key sign it; go on with that afterwards.

        Whoever records or flushes meanwhile waits. Raises StoreError; where it cannot be opened again at once, the
        next flush tries, and nothing that was recorded since is lost.
        """
        with self._lock:
            self.publish()
            self._let_go()
            self._is_away = True
            try:
                yield
            finally:
                self._come_back()

    def _come_back(self) -> None:
        waiting, self._waiting, self._is_away = self._waiting, [], False
        try:
            settle_key(self.directory.parent, resigned)
            self._open(load_key(head_path(self.directory).parent))
        except BaseException:
            self._waiting, self._is_away = waiting, True
            raise
        self._waiting = waiting
        for line in waiting:
            self._tree.add(line)

    def close(self) -> None:
        """Publish and let go."""
        with self._lock:
            if self._journal.is_open:
                try:
                    self.publish()
                finally:
                    self._let_go()

    # One step at a time

    def flushing(self) -> Iterator[str]:
        """Do what flush() does; each step is named when it is done."""
        if self._is_away:
            self._come_back()
        if not self._waiting:
            return
        checkpoint = Checkpoint(self.key.name, self._tree.size, self._tree.root())
        data, note = flushed(self._waiting, checkpoint, self.key)
        yield from self._journal.append(data)
        self._bundle += self._waiting
        self._waiting = []
        self.checkpoint, self._note = checkpoint, note
        # From here on the entries last. What cannot be done now is done by a later flush, or said by publish().
        with suppress(StoreError):
            self._head.write(note)
            yield "head written"
            if len(self._bundle) >= TILE_WIDTH:
                yield from self._tidying()

    def publishing(self) -> Iterator[str]:
        """Do what publish() does."""
        yield from self.flushing()
        if self.published != self.checkpoint or self._full:
            yield from self._put_tiles()
            yield from self._put_checkpoint()
        self._head.write(self._note, last=True)
        yield "head synced"

    def beginning(self) -> Iterator[str]:
        """Put in order what another run, or a crash, has left."""
        self.published = Checkpoint("", -1, b"")  # files that are not full may be torn: they are written again
        yield from self.publishing()
        yield from self._rolling()

    def _tidying(self) -> Iterator[str]:
        """Bring the public files up when a bundle is full, and the journal back when it is long."""
        yield from self._put_tiles()
        if time.monotonic() - self._published_at >= _BETWEEN_S:
            yield from self._put_checkpoint()
        if self._journal.is_long and self._journal.base + TILE_WIDTH <= self.checkpoint.size:
            yield from self._rolling()

    def _put_tiles(self) -> Iterator[str]:
        """Write the bundles and tiles that have become full; they are not synced before the journal lets go of them."""
        while len(self._bundle) >= TILE_WIDTH:
            number = (self.checkpoint.size - len(self._bundle)) // TILE_WIDTH
            self._full.append((ENTRIES, number, bundle(self._bundle[:TILE_WIDTH])))
            del self._bundle[:TILE_WIDTH]
        self._full += self._tree.take_full()
        while self._full:
            level, number, data = self._full[0]
            yield from self._tiles.put(level, number, TILE_WIDTH, data)
            del self._full[0]

    def _put_checkpoint(self) -> Iterator[str]:
        """Write the tiles that are not full, then the checkpoint that needs them."""
        size = self.checkpoint.size
        if self._bundle:
            number = size // TILE_WIDTH
            yield from self._tiles.put(ENTRIES, number, len(self._bundle), bundle(self._bundle))
        for level, number, data in self._tree.partial():
            yield from self._tiles.put(level, number, len(data) // HASH_BYTES, data)
        write_atomically(self.directory / CHECKPOINT_FILE, self._note)
        self.published, self._published_at = self.checkpoint, time.monotonic()
        yield "checkpoint in place"

    def _rolling(self) -> Iterator[str]:
        """Begin the journal anew behind the last full bundle, when all before it are safe on the disk."""
        yield from self._tiles.sync()
        base = self.checkpoint.size - len(self._bundle)
        edge = self._tree.edge()[: base.bit_count()]  # the perfect subtrees of the rest are smaller than a bundle
        lines, _ = flushed(self._bundle, self.checkpoint, self.key)
        yield from self._journal.begin(base, edge, lines)

    def _let_go(self) -> None:
        self._journal.close()
        self._head.close()


def resigned(directory: Path, key: SigningKey) -> None:
    """Publish a ledger and have a key sign its newest state, in the place of one that it followed."""
    Ledger(directory, key).close()


def open_ledger(data_dir: Path, fips: bool = False) -> Ledger:
    """Open the ledger of a data directory; on the very first run make its key and begin it. fips: an ECDSA key.

    The key file comes last, so a first run that was cut short begins again. Once there is a key, a missing
    ledger is damage and not a beginning. Raises LedgerDamaged, StoreError.
    """
    keys_dir, directory = data_dir / "keys", data_dir / "ledger"
    settle_key(data_dir, resigned)
    if (keys_dir / KEY_FILE).exists():
        return Ledger(directory, load_key(keys_dir))
    key = new_key(fips)
    ledger = Ledger.create(directory, key)
    save_key(keys_dir, key)
    return ledger
