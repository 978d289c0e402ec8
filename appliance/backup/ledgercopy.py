"""The ledger's copy: full tiles and bundles once, for they never change; what is at its edge into each snapshot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vittne.appliance.backup.copying import Spent
from vittne.appliance.backup.place import Place, make_folders
from vittne.appliance.seal.journal import JOURNAL_FILE, Journal, read_journal
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE, HEAD_FILE, padded_head
from vittne.appliance.seal.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.tiles import ENTRIES, NEXT, LedgerDamaged, TileReader, bundle, tile_name
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import sync_path, write_atomically


def copy_ledger(source: Path, place: Place, key: VerifyKey, spent: Spent) -> Journal:
    """Copy what is new of a ledger, its edge into the snapshot that is being made; return the journal that was copied.

    Its writer may go on. Raises LedgerDamaged, StoreError.
    """
    edge = place.staging / "ledger"
    make_folders(edge)
    # What was published is read before the journal, and tiles after it: so each contains the one before.
    published = _published(source, key)
    for path in source.glob(f"{CHECKPOINT_FILE}.*"):  # with a witness's signatures, or a former key's last word
        write_atomically(edge / path.name, _read(path))
    write_atomically(edge / CHECKPOINT_FILE, published)
    write_atomically(edge / JOURNAL_FILE, _read(source / JOURNAL_FILE).rstrip(b"\0"))
    journal = read_journal(edge / JOURNAL_FILE, key)
    write_atomically(edge / HEAD_FILE, padded_head(journal.note))
    size = open_checkpoint(published, key).size
    there = max(size, journal.base)
    folders = set()
    for name in full_tiles(there):
        target = place.path / "ledger" / name
        if target.exists():
            continue
        data = _read(source / name)
        make_folders(target.parent)
        write_unsynced(target, data)
        folders.add(target.parent)
        spent(len(data))
    for folder in sorted(folders):
        sync_path(folder)
    for name, data in _edge_tiles(source, size):
        make_folders((edge / name).parent)
        write_atomically(edge / name, data)
    return journal


def full_tiles(size: int) -> Iterator[str]:
    """Yield the paths of the full tiles and bundles of a ledger of so many entries.

    >>> [len(list(full_tiles(size))) for size in (255, 256, 65_536)]
    [0, 2, 513]
    """
    yield from (tile_name(ENTRIES, number) for number in range(size // TILE_WIDTH))
    level = 0
    while count := size >> TILE_HEIGHT * (level + 1):
        yield from (tile_name(level, number) for number in range(count))
        level += 1


def _edge_tiles(source: Path, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the tiles and the bundle that are not full in a log of so many entries."""
    reader = TileReader(source, size)
    number, width = divmod(size, TILE_WIDTH)
    if width:
        yield tile_name(ENTRIES, number, width), bundle(reader.entries(number))
    level = 0
    while count := size >> TILE_HEIGHT * level:
        number, width = divmod(count, TILE_WIDTH)
        if width:
            yield tile_name(level, number, width), reader.tile(level, number)[: width * HASH_BYTES]
        level += 1


def _published(source: Path, key: VerifyKey) -> bytes:
    path = source / CHECKPOINT_FILE
    note = _read(path)
    try:
        open_checkpoint(note, key)
    except BadNote as error:
        raise LedgerDamaged(f"the ledger's signed checkpoint cannot be trusted: {error}", path, NEXT) from error
    return note[:NOTE_LIMIT]


def write_unsynced(target: Path, data: bytes) -> None:
    """Write a file that appears whole; its folder is synced by who called. Raises StoreError."""
    half = target.with_name(f".{target.name}.new")
    try:
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(half, target)
    except OSError as error:
        raise explain(error, "write a file", target) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LedgerDamaged("a file of the ledger is gone", path, NEXT) from error
    except OSError as error:
        raise explain(error, "read the ledger", path) from error
