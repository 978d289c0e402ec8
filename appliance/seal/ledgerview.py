"""A ledger as a reader sees it: one entry, some entries, proofs; also while its writer goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vittne.appliance.seal.ledgerstate import COSIGNED_FILE, read_state
from vittne.appliance.seal.merkle import TILE_WIDTH, leaf_hash
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.proofs import consistency_proof, inclusion_proof, is_consistent, is_included
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged, TileReader
from vittne.appliance.seal.tlogproof import TlogProof
from vittne.appliance.store.errors import StoreError


class LedgerView:
    """What the files said at one moment. Raises LedgerDamaged, StoreError wherever a file is not as it should be."""

    def __init__(self, directory: Path, key: VerifyKey) -> None:
        """Read the newest signed state. Nothing before the journal is looked at: scan.py does that."""
        self.directory = directory
        state = read_state(directory, key)
        self._key = state.key
        self._journal = state.journal
        self._state = state
        self.note = state.published.note
        self._bundles = TileReader(directory, self._journal.base)
        self._tiles = TileReader(directory, self.published.size)

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest signed state."""
        return self._journal.checkpoint

    @property
    def published(self) -> Checkpoint:
        """The state of the public files: what proofs are made for."""
        return self._state.published.checkpoint

    @property
    def head(self) -> Checkpoint | None:
        """What is remembered apart from the ledger's folder."""
        return None if self._state.head is None else self._state.head.checkpoint

    @property
    def tail_bytes(self) -> int:
        """Bytes behind the newest signed state."""
        return self._journal.tail_bytes

    def entries(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield index and entry from the first-th on."""
        for number in range(first // TILE_WIDTH, self._journal.base // TILE_WIDTH):
            for index, entry in enumerate(self._bundles.entries(number), number * TILE_WIDTH):
                if index >= first:
                    yield index, entry
        for index, entry in enumerate(self._journal.entries, self._journal.base):
            if index >= first:
                yield index, entry

    def backwards(self) -> Iterator[tuple[int, bytes]]:
        """Yield index and entry, the newest first."""
        base = self._journal.base
        yield from reversed(list(enumerate(self._journal.entries, base)))
        for number in reversed(range(base // TILE_WIDTH)):
            yield from reversed(list(enumerate(self._bundles.entries(number), number * TILE_WIDTH)))

    def entry(self, index: int) -> bytes:
        """Return one entry. StoreError when there is none."""
        if not 0 <= index < self.checkpoint.size:
            raise StoreError("there is no such entry", str(index), f"the ledger has 0 to {self.checkpoint.size - 1}")
        return next(entry for _, entry in self.entries(index))

    def prove(self, index: int) -> TlogProof:
        """Return an entry's proof, checked, with a witness's signatures where there are some for its size."""
        entry = self.entry(index)
        if index >= self.published.size:
            raise StoreError("the entry is not published yet", str(index), "wait for [ledger] publish_s and ask again")
        for note, known in self._notes(index):
            try:
                path = inclusion_proof(TileReader(self.directory, known.size).tile, index, known.size)
            except (ValueError, LedgerDamaged):
                continue  # it may be that a crash tore the files of a state that is not the newest
            if is_included(index, known.size, leaf_hash(entry), path, known.root):
                return TlogProof(index, tuple(path), note, entry)
        raise LedgerDamaged(f"the ledger was altered: entry {index} is not under the signed root", self.directory, NEXT)

    def see_proven(self, index: int) -> None:
        """See that an entry is under the signed root. Those in the journal are: it was read with its signature."""
        if index < self._journal.base:
            self.prove(index)

    def consistency(self, old: Checkpoint) -> list[bytes]:
        """Return the proof that the published state contains an older one. Raises LedgerDamaged when it does not."""
        size = self.published
        if old.size > size.size:
            what = f"the ledger was shortened: it had {old.size} entries, {size.size} are published"
            raise LedgerDamaged(what, self.directory, NEXT)
        try:
            path = consistency_proof(self._tiles.tile, old.size, size.size)
            good = is_consistent(old.size, old.root, size.size, size.root, path)
        except ValueError:
            good, path = False, []
        if not good:
            what = f"the ledger was altered: its first {old.size} entries are not those of the older checkpoint"
            raise LedgerDamaged(what, self.directory, NEXT)
        return path

    def _notes(self, index: int) -> Iterator[tuple[bytes, Checkpoint]]:
        """Yield notes that cover an entry: first one that a witness signed, if it goes so far."""
        with suppress(OSError, BadNote), (self.directory / COSIGNED_FILE).open("rb") as stream:
            note = stream.read(NOTE_LIMIT + 1)
            found = open_checkpoint(note, self._key)
            if index < found.size <= self.published.size:
                yield note, found
        yield self.note, self.published
