"""Reading a ledger through: every entry, every tile, and what was remembered of it, held against each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.seal import ledgerstate
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.events import KEY_ROTATE
from vittne.appliance.seal.journal import JOURNAL_FILE
from vittne.appliance.seal.ledgerstate import LedgerState, read_state
from vittne.appliance.seal.merkle import TILE_HEIGHT, TILE_WIDTH, TileTree
from vittne.appliance.seal.note import Checkpoint
from vittne.appliance.seal.proofs import root_of
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.succession import ROTATIONS_FILE, Rotation, read_succession
from vittne.appliance.seal.tiles import ENTRIES, NEXT, LedgerDamaged, TileReader, tile_name

Visitor = Callable[[int, bytes], None]
Progress = Callable[[int, int], None]  # entries read, entries in all

_ROTATED: Final = b'"t":"key.rotate"'


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading a ledger through gave: all of it was in order."""

    checkpoint: Checkpoint
    published: Checkpoint
    tree: TileTree
    tail_bytes: int  # behind the last checkpoint: entries not yet signed, or left by a crash


def scan_ledger(
    directory: Path,
    key: VerifyKey,
    visit: Visitor | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Read a ledger through and hold it against its checkpoints; visit(index, entry) gets each entry
    while the root is not known yet: act on what it collected only after this function has returned.

    Safe while another process appends and publishes. size stops earlier, for the root of a former state
    (Scan.tree.root()), held against nothing but tiles. Memory stays flat.
    Raises LedgerDamaged saying what is wrong, StoreError when it cannot be read.
    """
    state = read_state(directory, key)
    journal = state.journal
    wanted = journal.checkpoint.size if size is None else min(size, journal.checkpoint.size)
    reader = _Reading(directory, state, visit)
    for number in range(-(-min(wanted, journal.base) // TILE_WIDTH)):
        reader.add(TileReader(directory, journal.base).entries(number), wanted)
        reader.compare_tiles()
        if progress is not None and not number % TILE_WIDTH:
            progress(reader.tree.size, wanted)
    if wanted >= journal.base:
        if reader.tree.edge() != list(journal.edge):
            raise _altered(directory / JOURNAL_FILE, "its entries do not have the signed root")
        reader.add(journal.entries, wanted)
        reader.compare_tiles()
    if size is None:
        for remembered in state.remembered:
            ledgerstate.hold_against(remembered, journal.checkpoint, lambda known: reader.roots[known])
        reader.check_rotations()
        _check_published(directory, state)
    if progress is not None:
        progress(wanted, wanted)
    return Scan(journal.checkpoint, state.published.checkpoint, reader.tree, journal.tail_bytes)


def read_entry(entry: bytes) -> dict[str, Json]:
    """Return an entry as an object. ValueError when it is none, which a covered one never is."""
    value = json.loads(entry)
    if not isinstance(value, dict):
        raise ValueError("an entry is an object")
    return value


class _Reading:
    """Entries in order, the tree that they make, and its root at the sizes that somebody remembers."""

    def __init__(self, directory: Path, state: LedgerState, visit: Visitor | None) -> None:
        self.tree = TileTree()
        self.roots = {one.checkpoint.size: b"" for one in state.remembered}
        self._directory = directory
        # Full tiles are there as far as somebody may look for them: what was published, or left the journal.
        self._there = max(state.journal.base, state.published.checkpoint.size)
        self._tiles = TileReader(directory, self._there)
        self._visit = visit
        self._key = state.key
        self._rotations: list[Rotation] = []
        self._note_root()

    def add(self, entries: Iterable[bytes], wanted: int) -> None:
        """Take entries in until the tree is as large as wanted."""
        tree, visit = self.tree, self._visit
        for entry in entries:
            if tree.size == wanted:
                return
            if visit is not None:
                visit(tree.size, entry)
            tree.add(entry)
            if _ROTATED in entry:
                self._note_rotation(entry)
            if tree.size in self.roots:
                self._note_root()

    def compare_tiles(self) -> None:
        """Hold the tiles that have become full against their files."""
        for level, number, data in self.tree.take_full():
            if (number + 1) << TILE_HEIGHT * (level + 1) > self._there:
                continue
            if self._tiles.tile(level, number) != data:
                raise _altered(self._directory / tile_name(level, number), "entries and hashes disagree")

    def check_rotations(self) -> None:
        """See that the list of keys beside the ledger says what its entries say, since readers follow the list."""
        listed = read_succession(self._directory).rotations
        if self._rotations[: len(listed)] == list(listed):
            rest = self._rotations[len(listed) :]
            if not rest or [one.old for one in rest] == [self._key]:  # one that is under way: its line is to come
                return
        raise _altered(self._directory / ROTATIONS_FILE, "the list of its keys and its entries disagree")

    def _note_rotation(self, entry: bytes) -> None:
        with suppress(ValueError, KeyError, RecursionError):  # altered: the root's check will say so
            event = read_entry(entry)
            found = Rotation.read(event) if event["t"] == KEY_ROTATE else None
            if found is not None and found.size == self.tree.size:
                self._rotations.append(found)

    def _note_root(self) -> None:
        if self.tree.size in self.roots:
            self.roots[self.tree.size] = self.tree.root()


def _check_published(directory: Path, state: LedgerState) -> None:
    """See that what anybody's reader needs for the public checkpoint is there, at the edge that is not full."""
    published = state.published.checkpoint
    reader = TileReader(directory, published.size)
    try:
        root = root_of(reader.tile, published.size)
    except ValueError as error:
        raise _altered(state.published.path, str(error)) from error
    if root != published.root:
        raise _altered(state.published.path, "the newest tiles do not have the published root")
    journal = state.journal
    for number in range(journal.base // TILE_WIDTH, -(-published.size // TILE_WIDTH)):
        first = number * TILE_WIDTH - journal.base
        entries = reader.entries(number)
        if entries != list(journal.entries[first : first + len(entries)]):
            raise _altered(directory / tile_name(ENTRIES, number), "bundle and journal disagree")


def _altered(where: Path, how: str) -> LedgerDamaged:
    return LedgerDamaged(f"the ledger was altered: {how}", where, NEXT)
