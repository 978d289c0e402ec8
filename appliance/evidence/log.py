"""The ledger as a bundle needs it: entries about some recordings, and proofs under its newest signed state.

Unlike what is published, the newest state covers an entry from the moment on that it was made: a call can be handed
over when it has just been sealed. Its checkpoint is signed all the same, and every later one contains it.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.ledgerstate import read_state
from vittne.appliance.seal.merkle import TILE_HEIGHT, TILE_WIDTH, leaf_hash, perfect_root, split_tile
from vittne.appliance.seal.note import BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.proofs import consistency_proof, inclusion_proof, is_consistent, is_included
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged, TileReader
from vittne.appliance.seal.tlogproof import TlogProof
from vittne.appliance.store.errors import StoreError

ROTATED: Final = "key.rotate"
_VERSIONS: Final = (events.SEALED, events.CUT)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its number, the line that is hashed, and what that says."""

    index: int
    line: bytes
    event: dict[str, Json]


@dataclass(slots=True)
class Found:
    """What the ledger says of some recordings, each in order, and of its own key."""

    of: dict[str, list[Entry]]
    rotations: list[Entry] = field(default_factory=list)

    def version(self, recording: str) -> Entry:
        """Return the entry of the manifest that counts. Raises StoreError when it was never sealed."""
        versions = [entry for entry in self.of[recording] if entry.event["t"] in _VERSIONS]
        if not versions:
            raise StoreError("the ledger does not know this recording", recording, "`vittne verify` says more")
        return versions[-1]


class Log:
    """The newest signed state of a ledger, as its files were when this was made. Raises LedgerDamaged, StoreError."""

    def __init__(self, directory: Path, key: VerifyKey) -> None:
        self._directory = directory
        state = read_state(directory, key)
        self._key, self._journal = state.key, state.journal
        self._disk = TileReader(directory, self._journal.base)
        self._made: dict[tuple[int, int], bytes] = {}
        self.note = self._journal.note
        self.checkpoint = self._journal.checkpoint

    def about(self, recordings: Collection[str]) -> Found:
        """Return the entries that name some recordings, and those by which one signing key followed another."""
        found = Found({recording: [] for recording in recordings})
        marks = [recording.encode() for recording in recordings]
        for index, line in self._entries():
            if not any(mark in line for mark in marks) and ROTATED.encode() not in line:
                continue
            event = read_entry(line)
            entry = Entry(index, line, event)
            if event["t"] == ROTATED and event.get("kind") == "ledger":
                found.rotations.append(entry)
            named = event.get("recs")
            for recording in {str(event.get("rec", "")), *(named if isinstance(named, list) else ())}:
                if recording in found.of:
                    found.of[recording].append(entry)
        return found

    def prove(self, entry: Entry, told: bool, note: bytes = b"") -> bytes:
        """Return a proof's file. told: the entry stands in it. note: of an older checkpoint; default: the newest."""
        checkpoint = self.opened(note) if note else self.checkpoint
        path = inclusion_proof(self._tile, entry.index, checkpoint.size)
        if not is_included(entry.index, checkpoint.size, leaf_hash(entry.line), path, checkpoint.root):
            raise LedgerDamaged(f"entry {entry.index} is not under the signed root", self._directory, NEXT)
        return TlogProof(entry.index, tuple(path), note or self.note, entry.line if told else b"").text()

    def consistency(self, note: bytes) -> bytes:
        """Return the proof, a hash a line, that the newest state begins with an older one."""
        old = self.opened(note)
        path = consistency_proof(self._tile, old.size, self.checkpoint.size) if old.size <= self.checkpoint.size else []
        if not is_consistent(old.size, old.root, self.checkpoint.size, self.checkpoint.root, path):
            what = f"the ledger of now does not begin with the {old.size} entries of that checkpoint"
            raise LedgerDamaged(what, self._directory, NEXT)
        return b"".join(base64.b64encode(step) + b"\n" for step in path)

    def opened(self, note: bytes) -> Checkpoint:
        """Return the checkpoint in a note of this ledger. Raises StoreError."""
        try:
            return open_checkpoint(note, self._key)
        except BadNote as error:
            raise StoreError(f"this is no checkpoint of this ledger: {error}", self._directory, NEXT) from error

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        for number in range(self._journal.base // TILE_WIDTH):
            yield from enumerate(self._disk.entries(number), number * TILE_WIDTH)
        yield from enumerate(self._journal.entries, self._journal.base)

    def _tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile; those behind what was written are computed."""
        if (number + 1) << TILE_HEIGHT * (level + 1) <= self._journal.base:
            return self._disk.tile(level, number)
        made = self._made.get((level, number))
        if made is None:
            made = self._made[level, number] = b"".join(self._hashes(level, number))
        return made

    def _hashes(self, level: int, number: int) -> Iterator[bytes]:
        first = number * TILE_WIDTH
        if level == 0:
            start = first - self._journal.base  # bundles are whole, so this tile is wholly in the journal
            yield from map(leaf_hash, self._journal.entries[start : start + TILE_WIDTH])
            return
        for child in range(first, first + TILE_WIDTH):
            if (child + 1) << TILE_HEIGHT * level > self.checkpoint.size:
                return
            yield perfect_root(split_tile(self._tile(level - 1, child)))


def entry_name(entry: Entry) -> str:
    """Return what the proof of an entry is called in a bundle; names sort as the entries do.

    >>> entry_name(Entry(12, b"", {}))
    'entry-000000000012.tlog-proof'
    """
    return f"entry-{entry.index:012}.tlog-proof"
