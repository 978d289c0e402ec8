"""Sealed parts: the files that a recording consists of. Byte by byte: FORMAT.md.

A part is a row of groups; a group is one whole FLOE message under a key of its own, a
multiple of 4096 bytes long. One commit of a call writes one group (more when it is over a
megabyte), so whatever a commit wrote can be read although nothing after it exists, and the
writer keeps no key to what it wrote before.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vittne.appliance.seal import floe, records
from vittne.appliance.seal.groups import (
    BLOCK,
    MAX_GROUP,
    MAX_RECORDS,
    MIN_PADDING,
    IndexEntry,
    PartDamaged,
    PartSummary,
    contents_leaf,
    contents_salt,
    context,
    group_at,
    group_length,
    next_key,
    open_to_read,
    read_at,
    scan,
    scan_whole_groups,
    summarise,
    truncate_to,
)
from vittne.appliance.seal.merkle import GrowingTree
from vittne.appliance.store.errors import explain

__all__ = [
    "IndexEntry",
    "PartDamaged",
    "PartReader",
    "PartSummary",
    "PartWriter",
    "group_at",
    "next_key",
    "scan_whole_groups",
    "summarise",
    "truncate_to",
]

Buffer = bytes | bytearray | memoryview


class _Scratch:
    """Memory in which groups are put together; one for all writers of a process, which has no threads.

    Private: Python's own default is memory shared with forked children, who would then
    write into each other's groups. Plaintext is kept out of core dumps.
    """

    def __init__(self) -> None:
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.plain = mmap.mmap(-1, MAX_GROUP, flags=private)
        self.plain.madvise(mmap.MADV_DONTDUMP)
        self.plain_view = memoryview(self.plain)
        self.sealed_view = memoryview(mmap.mmap(-1, MAX_GROUP, flags=private))


_ZEROS: Final = memoryview(bytes(BLOCK + MIN_PADDING))
_scratch: _Scratch | None = None


def _shared_scratch() -> _Scratch:
    global _scratch  # noqa: PLW0603 - two megabytes that every writer of the process uses in turn
    if _scratch is None:
        _scratch = _Scratch()
    return _scratch


class PartWriter:
    """Writes one part. What `append` returned from is whole; making it durable is the caller's work.

    A failed write raises StoreError, and the part takes nothing more: call abandon() and go
    on in a new part. Files are 0600 and never overwritten.
    """

    def __init__(self, path: str | Path, recording_id: str, part_no: int, key: bytes, direct: bool = True) -> None:
        """key: the recording's data key, 32 bytes. direct: go past the page cache where that is possible."""
        if len(key) != floe.KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        self.path = Path(path)
        self.part_no = part_no
        self.size = 0  # bytes in whole groups
        self.index: list[IndexEntry] = []
        self._context = context(recording_id, part_no)
        self._key = key
        self._hash = hashlib.sha256()
        self._contents = GrowingTree()
        self._memory = _shared_scratch()
        self._is_failed = False
        self._fd = _create(str(path), direct)

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write records as one group, or as several when they are over a megabyte.

        buffers: contiguous, of any format (an array goes in as array.data); end to end they are
        whole records. Copied before this returns. No bytes, no group.
        """
        if self._fd < 0 or self._is_failed:
            raise ValueError(f"{self.path} takes nothing more")
        sizes = [memoryview(buffer).nbytes for buffer in buffers]
        total = sum(sizes)
        if total % records.ALIGNMENT:
            raise ValueError(f"{total} bytes are not whole records")
        if total > MAX_RECORDS:
            for piece in list(_split(b"".join(buffers))):  # all of it, before anything is written
                self._append_one([piece], [len(piece)], len(piece))
        elif total:
            self._append_one(buffers, sizes, total)

    def finish(self, buffers: Sequence[Buffer] = (), at_ns: int = 0) -> PartSummary:
        """Write the last records and END, close the file and say what is in it. at_ns is END's."""
        self.append([*buffers, records.encode(records.END, at_ns, b"")])
        self._close()
        return self._summary(ended=True)

    def abandon(self) -> PartSummary:
        """Close the file without END, cut off what a failed write left (if it can be), say what is in it."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # a reader of a cut part looks at whole groups only
                os.ftruncate(self._fd, self.size)
            self._close()
        return self._summary(ended=False)

    def _append_one(self, buffers: Sequence[Buffer], sizes: Sequence[int], total: int) -> None:
        length = -(-(total + MIN_PADDING + floe.ONE_OVERHEAD) // BLOCK) * BLOCK
        padding = length - floe.ONE_OVERHEAD - total
        memory = self._memory
        plain = memory.plain
        records.HEADER.pack_into(plain, 0, 0, padding - records.HEADER_BYTES, 0, records.PADDING, 0)
        plain[records.HEADER_BYTES : padding] = _ZEROS[: padding - records.HEADER_BYTES]
        at = padding
        for buffer, size in zip(buffers, sizes, strict=True):
            plain[at : at + size] = buffer
            at += size
        aad = self._context + b"%d\n" % len(self.index)
        floe.seal_one(self._key, aad, memory.plain_view[:at], memory.sealed_view)
        sealed = memory.sealed_view[:length]
        self._write(sealed)
        self._hash.update(sealed)
        self._contents.add(contents_leaf(contents_salt(self._key), memory.plain_view[padding:at]))
        self.index.append((self.size, records.HEADER.unpack_from(plain, padding)[0]))
        self.size += length
        self._key = next_key(self._key)

    def _write(self, group: memoryview) -> None:
        written = 0
        while written < len(group):
            try:
                count = os.pwrite(self._fd, group[written:], self.size + written)
                if count == 0:
                    raise OSError(errno.ENOSPC, "nothing was written")
                written += count
            except OSError as error:
                if error.errno == errno.EINVAL and _leave_direct(self._fd):
                    continue
                self._is_failed = True
                raise explain(error, "write a sealed part", self.path) from error

    def _close(self) -> None:
        """Close the file; the key goes with it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._key = b""

    def _summary(self, ended: bool) -> PartSummary:
        return PartSummary(
            self.part_no,
            self.size,
            len(self.index),
            self._hash.hexdigest(),
            tuple(self.index),
            ended,
            self._contents.root().hex(),
        )


def _create(path: str, direct: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise explain(error, "make a sealed part", path) from error
    if direct:
        # Set on the open file: an open() that refuses O_DIRECT may have created the file all the same.
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                os.close(fd)
                raise explain(error, "make a sealed part", path) from error
    return fd


def _leave_direct(fd: int) -> bool:
    """Go on through the page cache; False when that is already so."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if not flags & os.O_DIRECT:
        return False
    fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    return True


def _split(plaintext: bytes) -> Iterator[memoryview]:
    """Yield plaintext in pieces of whole records that each fit into a group."""
    view = memoryview(plaintext)
    ends = [*records.record_offsets(plaintext)[1:].tolist(), len(plaintext)]
    start = 0
    while start < len(plaintext):
        last = bisect.bisect_right(ends, start + MAX_RECORDS) - 1
        if last < 0 or ends[last] <= start:
            raise ValueError(f"a record is over {MAX_RECORDS} bytes")
        yield view[start : ends[last]]
        start = ends[last]


class PartReader:
    """Reads one part, group by group, from its start or from any group. Damage is a PartDamaged."""

    def __init__(self, path: str | Path, recording_id: str, part_no: int, key: bytes, finished: bool = True) -> None:
        """finished: the part must end with END; False for one that is still written or was cut at a crash."""
        self.path = Path(path)
        self.finished = finished
        self._context = context(recording_id, part_no)
        self._first_key = key
        self._near = (0, key)  # a group and its key: where the ratchet stands
        self._fd = open_to_read(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def groups(self, first: int = 0, offset: int = 0) -> Iterator[bytes]:
        """Yield the records of each group, PADDING taken off; raise PartDamaged at the first bad group.

        first, offset: a group to begin with and where it lies, as an index says (see `group_at`).
        """
        size = os.fstat(self._fd).st_size
        group = first
        ended = False
        while offset < size:
            if ended:
                raise PartDamaged("more follows after END", self.path, group, offset)
            length = group_length(self._fd, self.path, group, offset, size)
            plain, ended = self._open(group, offset, length)
            yield plain
            group += 1
            offset += length
        if self.finished and not ended:
            raise PartDamaged("the part ends without END", self.path, group, offset)

    def plaintext(self) -> bytes:
        """Return all records, end to end."""
        return b"".join(self.groups())

    def index(self) -> list[int]:
        """Return where each group begins, by the groups' own headers: nothing is authenticated."""
        return scan(self._fd, self.path, os.fstat(self._fd).st_size)[0]

    def _open(self, group: int, offset: int, length: int) -> tuple[bytes, bool]:
        """Return (a group's records, whether the last of them is END)."""
        sealed = memoryview(read_at(self._fd, self.path, length, offset))
        aad = self._context + b"%d\n" % group
        try:
            plain = _without_padding(floe.open_one(self._key_of(group), aad, sealed))
            return plain, _is_ended(plain)
        except (floe.FloeError, records.RecordsDamaged) as error:
            raise PartDamaged(str(error), self.path, group, offset) from error

    def _key_of(self, group: int) -> bytes:
        at, key = self._near if self._near[0] <= group else (0, self._first_key)
        for _ in range(group - at):
            key = next_key(key)
        self._near = (group, key)
        return key


def _without_padding(plain: bytes) -> bytes:
    """Return a group's records; RecordsDamaged when it does not begin with its padding."""
    if len(plain) < MIN_PADDING:
        raise records.RecordsDamaged("a group has no padding", 0)
    _, length, _, type_, _ = records.HEADER.unpack_from(plain)
    start = records.HEADER_BYTES + length
    if type_ != records.PADDING or start > len(plain) or (len(plain) - start) % records.ALIGNMENT:
        raise records.RecordsDamaged("a group does not begin with padding that fits", 0)
    return plain[start:]


def _is_ended(plain: bytes) -> bool:
    """Return whether the last record is END; walked to, because the end of a body may look like one."""
    if len(plain) < records.HEADER_BYTES:
        return False
    _, length, _, type_, _ = records.HEADER.unpack_from(plain, len(plain) - records.HEADER_BYTES)
    if type_ != records.END or length:
        return False
    return int(records.record_offsets(plain)[-1]) == len(plain) - records.HEADER_BYTES
