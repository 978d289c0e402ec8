"""The files of a tiled log (C2SP tlog-tiles): hashes in tiles, entries in bundles, 256 a file.

    tile/<L>/<N>            256 hashes of tree level 8 x L; one that is not full yet ends in .p/<how many>
    tile/entries/<N>        256 entries, each behind its length (uint16, big-endian)

N is written in groups of three digits, all but the last behind an x. A full file never changes. One that is not
full is there for sizes at which a checkpoint was published, and goes when the full one is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from vittne.appliance.seal.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path

TILE_FOLDER: Final = "tile"
ENTRIES: Final = "entries"
LENGTH_BYTES: Final = 2
_BUNDLE_LIMIT: Final = TILE_WIDTH * (65_535 + LENGTH_BYTES)


class LedgerDamaged(StoreError):
    """Ledger and signed checkpoint disagree: shortened, altered, rewritten or gone."""


NEXT: Final = "keep the directory as it is and compare with a backup"


def tile_name(level: int | str, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile, or of a bundle (level "entries"), below the log.

    >>> tile_name(0, 1234067), tile_name("entries", 3, 112)
    ('tile/0/x001/x234/067', 'tile/entries/003.p/112')
    """
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{TILE_FOLDER}/{level}/{'/'.join(groups)}{partial}"


def width_at(level: int, number: int, size: int) -> int:
    """Return how many hashes a tile has in a log of so many entries: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - number * TILE_WIDTH))


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return entries as the content of a bundle."""
    return b"".join(len(entry).to_bytes(LENGTH_BYTES, "big") + entry for entry in entries)


def unbundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle. ValueError when it is cut or longer than its entries."""
    entries, at = [], 0
    while at < len(data):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data) or begin > len(data):
            raise ValueError("the bundle is cut")
        entries.append(data[begin:at])
    return entries


class TileReader:
    """Reads the files of a log whose public checkpoint has so many entries. Never writes."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size
        self._last: dict[int, tuple[int, bytes]] = {}  # of each level, the tile read last

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile. Raises LedgerDamaged, StoreError."""
        known = self._last.get(level)
        if known is not None and known[0] == number:
            return known[1]
        width = width_at(level, number, self._size)
        data = self._read(level, number, width, TILE_WIDTH * HASH_BYTES)[: width * HASH_BYTES]
        if len(data) != width * HASH_BYTES:
            raise LedgerDamaged("a tile of the ledger was shortened", self._path(level, number, width), NEXT)
        self._last[level] = number, data
        return data

    def entries(self, number: int) -> list[bytes]:
        """Return the entries of a bundle. Raises LedgerDamaged, StoreError."""
        width = width_at(0, number, self._size)
        try:
            found = unbundle(self._read(ENTRIES, number, width, _BUNDLE_LIMIT))[:width]
        except ValueError as error:
            raise LedgerDamaged("the ledger was shortened", self._path(ENTRIES, number, width), NEXT) from error
        if len(found) != width:
            raise LedgerDamaged("the ledger was shortened", self._path(ENTRIES, number, width), NEXT)
        return found

    def _path(self, level: int | str, number: int, width: int) -> Path:
        return self._directory / tile_name(level, number, width)

    def _read(self, level: int | str, number: int, width: int, limit: int) -> bytes:
        """Return a file; the full one when the one that was not full is gone, since the log has grown."""
        paths = [self._path(level, number, width)] + [self._path(level, number, TILE_WIDTH)] * (width < TILE_WIDTH)
        for path in paths:
            try:
                with path.open("rb") as stream:
                    return stream.read(limit + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise explain(error, "read the ledger", path) from error
        raise LedgerDamaged("a file of the ledger is gone", paths[0], NEXT)


class TileWriter:
    """Puts files of a log in place, each whole by a rename. They last after sync() only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unsynced: list[Path] = []

    def put(self, level: int | str, number: int, width: int, data: bytes) -> Iterator[str]:
        """Write a file, and remove the shorter ones that it replaces. Raises StoreError."""
        path = self._directory / tile_name(level, number, width)
        half = path.with_name(f".{path.name}.new")
        try:
            try:
                fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                _make_folders(half.parent)
                fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_at(fd, data, 0)
            finally:
                os.close(fd)
            yield f"{path.name} of level {level} written"
            os.rename(half, path)
            yield f"{path.name} of level {level} in place"
        except OSError as error:
            raise explain(error, "write the ledger", path) from error
        if width == TILE_WIDTH:
            self._unsynced.append(path)
            self._drop(path.with_name(f"{path.name}.p"))

    def sync(self) -> Iterator[str]:
        """Make what was written and is full durable. Raises StoreError; then it may be called again."""
        for path in self._unsynced:
            sync_path(path)
            yield f"{path.name} synced"
        for folder in sorted({above for path in self._unsynced for above in _above(path, self._directory)}):
            sync_path(folder)
            yield f"folder {folder.name} synced"
        self._unsynced.clear()

    def _drop(self, folder: Path) -> None:
        """Remove the shorter files of a tile that is full now. What stays is in nobody's way."""
        with suppress(OSError):
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def _make_folders(folder: Path) -> None:
    """Make a folder and what is missing above it, all readable by their owner only."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _above(path: Path, top: Path) -> Iterator[Path]:
    """Yield the folders of a file up to the log's own."""
    while path != top:
        path = path.parent
        yield path


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of data at an offset. OSError where it stops."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
