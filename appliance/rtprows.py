"""RTP records of an opened group as columns, and payloads that are decrypted again when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import overload

import numpy as np
import numpy.typing as npt

from vittne.appliance.seal.records import Columns
from vittne.codecs.tracks import PackedPayloads, first_bytes

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]

_HEADER_BYTES = 12


@dataclass(slots=True)
class RtpRows:
    """Packets of one stream. Columns have n rows."""

    at_ns: I64
    seq: U16
    timestamp: U32
    payload_type: U8
    group: I32  # number of the group it is in
    packet: I32  # where the packet begins, in the group's plaintext
    packet_length: I32
    offset: I32  # where the payload begins
    length: I32  # bytes of payload, padding left out

    def __len__(self) -> int:
        return len(self.at_ns)

    def take(self, rows: I64 | npt.NDArray[np.bool_]) -> RtpRows:
        """Return the rows named, in that order."""
        return RtpRows(*(getattr(self, column.name)[rows] for column in fields(self)))

    def by_time(self) -> RtpRows:
        """Return the rows in order of arrival."""
        return self.take(np.argsort(self.at_ns, kind="stable"))

    @staticmethod
    def joined(parts: Sequence[RtpRows]) -> RtpRows:
        """Return the rows of all parts, one after the other; there must be one."""
        return RtpRows(*(np.concatenate([getattr(part, c.name) for part in parts]) for c in fields(RtpRows)))


def read_rtp(group: int, plain: bytes, rows: Columns) -> Iterator[tuple[int, RtpRows, int]]:
    """Yield (stream, its packets, how many headers could not be read) of one group.

    rows: RTP records. A header that reaches past its packet is counted and left out (RFC 3550 5.1, 5.3.1).
    """
    if not len(rows):
        return
    data = np.frombuffer(plain, np.uint8)
    whole = rows.length >= _HEADER_BYTES
    packets = rows.where(whole)
    start = packets.offset
    header = _headers(data, packets)
    padding = np.where(data[start] & 0x20, data[start + packets.length - 1], 0).astype(np.int64)
    # SRTP encrypts the padding's length too: what cannot be one is none.
    room = packets.length - header
    payload = np.where(padding <= room, room - padding, room)
    good = header >= _HEADER_BYTES
    word = data[start[:, None] + np.arange(_HEADER_BYTES)]
    found = RtpRows(
        packets.at_ns,
        word[:, 2:4].copy().view(">u2").ravel().astype(np.uint16),
        word[:, 4:8].copy().view(">u4").ravel().astype(np.uint32),
        word[:, 1] & np.uint8(0x7F),
        np.full(len(packets), group, np.int32),
        start.astype(np.int32),
        packets.length.astype(np.int32),
        (start + header).astype(np.int32),
        payload.astype(np.int32),
    )
    for stream in np.unique(rows.stream).tolist():
        mine = packets.stream == stream
        broken = int(np.count_nonzero(mine & ~good)) + int(np.count_nonzero((rows.stream == stream) & ~whole))
        if (mine & good).any() or broken:
            yield stream, found.take(mine & good), broken


def _headers(data: U8, packets: Columns) -> I64:
    """Return (n,) int64, bytes of header with CSRCs and extension; 0 where it does not fit."""
    start = packets.offset
    first = data[start]
    size = _HEADER_BYTES + 4 * (first & 0x0F).astype(np.int64)
    for row in np.flatnonzero(first & 0x10).tolist():
        at = int(start[row] + size[row])
        if size[row] + 4 <= packets.length[row]:
            size[row] += 4 + 4 * (int(data[at + 2]) << 8 | int(data[at + 3]))
        else:
            size[row] = 1 << 30
    size[size > packets.length] = 0
    return size


class SealedPayloads(PackedPayloads):
    """Payloads in sealed groups: each is decrypted when it is asked for."""

    def __init__(
        self,
        plaintext: Callable[[int], bytes],
        group: I32,
        offset: I32,
        length: I32,
    ) -> None:
        """plaintext: gives a group's records by its number. The columns, (n,), say where each payload is."""
        super().__init__(b"", offset.astype(np.int64), length.astype(np.int64))
        self._plaintext = plaintext
        self._group = group

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> SealedPayloads: ...
    def __getitem__(self, row: int | slice) -> bytes | SealedPayloads:
        if isinstance(row, slice):
            group, offset = self._group[row], self._offset[row].astype(np.int32)
            return SealedPayloads(self._plaintext, group, offset, self._length[row].astype(np.int32))
        start = int(self._offset[row])
        return self._plaintext(int(self._group[row]))[start : start + int(self._length[row])]

    def heads(self, rows: I64, count: int) -> U8:
        """Return (len(rows), count) uint8, the first bytes of the rows' payloads; 0 where one is shorter."""
        head = np.zeros((len(rows), count), np.uint8)
        group = self._group[rows]
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        for begin, end in zip(starts.tolist(), [*starts.tolist(), len(order)][1:], strict=True):
            some = order[begin:end]
            data = np.frombuffer(self._plaintext(int(group[some[0]])), np.uint8)
            mine = rows[some]
            head[some] = first_bytes(data, self._offset[mine], self._length[mine].astype(np.int64), count)
        return head
