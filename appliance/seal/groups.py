"""Groups: what a sealed part is a row of, as far as it shows without a key. Byte by byte: FORMAT.md."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.seal import floe
from vittne.appliance.store.errors import explain

BLOCK: Final = 4096  # what O_DIRECT asks of offset, length and memory on every disk in use
MAX_GROUP: Final = 1 << 20
CONTEXT: Final = "vittne-part/1"
NEXT_KEY: Final = b"vittne-part/1 next key"
CONTENTS: Final = b"vittne-part/1 contents"
MIN_PADDING: Final = 22  # a PADDING header, and the 6 bytes that bring FLOE's 106 to a multiple of 16
MAX_RECORDS: Final = MAX_GROUP - floe.ONE_OVERHEAD - MIN_PADDING  # bytes of records in one group

# One group's index entry: (offset in the file, at_ns of its first record; None when the key was not at hand).
IndexEntry = tuple[int, int | None]


class PartDamaged(ValueError):
    """A part that is not, or not wholly, what its writer wrote.

    group, offset: the group that is bad and where it begins in the file. When the part was read
    from its start, all `group` groups before it, `offset` bytes of the file, were good.
    """

    def __init__(self, reason: str, path: str | Path, group: int, offset: int) -> None:
        super().__init__(f"{path}: group {group} at byte {offset}: {reason}")
        self.reason = reason
        self.path = Path(path)
        self.group = group
        self.offset = offset


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What the manifest says about a part."""

    n: int
    bytes: int
    groups: int
    sha256: str  # hex, over the file
    index: tuple[IndexEntry, ...]
    ended: bool  # the last record is END; False when the part was cut, or when nobody could look
    contents: str = ""  # hex, commitment to every group's records; "" when nobody had the key


def next_key(key: bytes) -> bytes:
    """Return the key of the group after the one that `key` is for. There is no way back."""
    return floe.expand(key, NEXT_KEY, floe.KEY_BYTES)


def contents_salt(key: bytes) -> bytes:
    """Return what hides a group's records in the part's commitment; told for groups that stay, gone with the key."""
    return floe.expand(key, CONTENTS, floe.KEY_BYTES)


def contents_leaf(salt: bytes, plain: bytes | memoryview) -> bytes:
    """Return a group's leaf in the Merkle tree that a part's commitment is the root of."""
    return salt + hashlib.sha256(plain).digest()


def context(recording_id: str, part_no: int) -> bytes:
    """Return what every group's FLOE context begins with; the group's number and a line feed follow."""
    if str(uuid.UUID(recording_id)) != recording_id or part_no < 0:
        raise ValueError(f"no recording and part: {recording_id!r}, {part_no}")
    return f"{CONTEXT}\n{recording_id}\n{part_no}\n".encode("ascii")


def group_at(index: Sequence[IndexEntry], at_ns: int) -> int:
    """Return the group to begin with for what was captured at at_ns and later; 0 when all is later.

    Groups without a time, or that begin before an earlier one did (META, END), are never the answer.
    """
    group = 0
    latest: int | None = None
    for number, (_, first_at_ns) in enumerate(index):
        if first_at_ns is None or (latest is not None and first_at_ns < latest):
            continue
        if first_at_ns > at_ns:
            break
        group, latest = number, first_at_ns
    return group


def scan_whole_groups(path: str | Path) -> int:
    """Return how many bytes from the start are whole groups by their headers; nothing is authenticated.

    After a crash of the program that is what was written. After a power cut only what was
    synced is sure: a header can be there before its group is.
    """
    fd = open_to_read(path)
    try:
        return scan(fd, Path(path), os.fstat(fd).st_size)[1]
    finally:
        os.close(fd)


def truncate_to(path: str | Path, size: int) -> None:
    """Cut the file to its first `size` bytes and sync it. Raises PartDamaged when no group ends there."""
    _checked_borders(path, size)
    try:
        with open(path, "r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(error, "cut a sealed part to its whole groups", path) from error


def summarise(path: str | Path, part_no: int, size: int) -> PartSummary:
    """Return the summary of the first `size` bytes, hashed anew. Without the key the index knows no times."""
    borders = _checked_borders(path, size)
    digest = hashlib.sha256()
    fd = open_to_read(path)
    try:
        for at in range(0, size, MAX_GROUP):
            piece = read_at(fd, Path(path), min(MAX_GROUP, size - at), at)
            if len(piece) < min(MAX_GROUP, size - at):
                raise PartDamaged("the file was cut while it was read", path, len(borders), at)
            digest.update(piece)
    finally:
        os.close(fd)
    index = tuple((offset, None) for offset in borders)
    return PartSummary(part_no, size, len(borders), digest.hexdigest(), index, ended=False)


def _checked_borders(path: str | Path, size: int) -> list[int]:
    """Return where the groups of the first `size` bytes begin; PartDamaged when no group ends at size."""
    fd = open_to_read(path)
    try:
        available = min(size, os.fstat(fd).st_size)
        borders, end = scan(fd, Path(path), available)
    finally:
        os.close(fd)
    if end != size:
        raise PartDamaged(f"no group ends at byte {size}", path, len(borders), end)
    return borders


def open_to_read(path: str | Path) -> int:
    """Return a descriptor. Raises StoreError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise explain(error, "read a sealed part", path) from error


def read_at(fd: int, path: Path, size: int, offset: int) -> bytes:
    """Return what is there of `size` bytes at offset. Raises StoreError when the disk cannot read them."""
    try:
        return os.pread(fd, size, offset)
    except OSError as error:
        raise explain(error, "read a sealed part", path) from error


def scan(fd: int, path: Path, size: int) -> tuple[list[int], int]:
    """Return (where the whole groups of the first `size` bytes begin, where the last of them ends)."""
    borders: list[int] = []
    offset = 0
    while offset < size:
        try:
            length = group_length(fd, path, len(borders), offset, size)
        except PartDamaged:
            break
        borders.append(offset)
        offset += length
    return borders, offset


def group_length(fd: int, path: Path, group: int, offset: int, size: int) -> int:
    """Return the length of the group that begins at offset; PartDamaged when none can, or when it is cut."""
    header = read_at(fd, path, floe.HEADER_BYTES + 4, offset)
    try:
        length = floe.one_length(header, 0)
    except floe.FloeError as error:
        raise PartDamaged(str(error), path, group, offset) from error
    if length % BLOCK:
        raise PartDamaged(f"a group of {length} bytes is impossible", path, group, offset)
    if length > size - offset:
        raise PartDamaged(f"cut: {size - offset} of {length} bytes", path, group, offset)
    return length
