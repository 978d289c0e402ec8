"""The right edge of a ledger, from its tiles: what is needed to go on with it, however long it is.

The hashes of a tile that is not full are computed anew from the full tiles below it, 255 a level at most, and have
to give the edge that the journal's signed root was computed with. So the newest tiles are checked at each start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vittne.appliance.seal.journal import JOURNAL_FILE, Journal
from vittne.appliance.seal.merkle import TILE_HEIGHT, TILE_WIDTH, TileTree, perfect_root, split_tile
from vittne.appliance.seal.proofs import root_of
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged, TileReader


def edge_tree(directory: Path, journal: Journal) -> tuple[TileTree, Callable[[int], bytes]]:
    """Return the tree before the journal's entries, and what gives the root of any former size.

    Raises LedgerDamaged when a tile of the edge is gone or is not what was signed, StoreError.
    """
    base, reader = journal.base, TileReader(directory, journal.base)
    levels: list[list[bytes]] = [[]]

    def tile(level: int, number: int) -> bytes:
        if level < len(levels) and number == (base >> TILE_HEIGHT * level) // TILE_WIDTH:
            return b"".join(levels[level])
        return reader.tile(level, number)

    while base >> TILE_HEIGHT * len(levels):
        level = len(levels)
        count = base >> TILE_HEIGHT * level
        numbers = range(count - count % TILE_WIDTH, count)
        levels.append([perfect_root(split_tile(tile(level - 1, number))) for number in numbers])
    if root_of(tile, base) != journal.tree().root():
        raise LedgerDamaged("the ledger was altered: tiles and journal disagree", directory / JOURNAL_FILE, NEXT)

    def root_at(size: int) -> bytes:
        if size == journal.checkpoint.size:
            return journal.checkpoint.root
        return journal.root_at(size) if size >= base else root_of(tile, size)

    return TileTree(base, journal.edge, levels), root_at
