"""Which datagrams are RTP, RTCP or SIP, and RTP headers as columns.

Sources: RFC 3550 sections 5.1 and A.1, RFC 5761 section 4 (RTP and RTCP on one port),
RFC 7983 (first byte of STUN, DTLS, RTP).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64, U8, U16, U32, U64, Datagrams

RTP_HEADER_BYTES: Final = 12

OTHER: Final = 0
RTP: Final = 1
RTCP: Final = 2
SIP: Final = 3
DTLS: Final = 4
STUN: Final = 5

_WORD: Final = np.dtype("V16")
_SIP_STARTS: Final = np.sort(
    np.array(
        [
            int.from_bytes(word, "little")
            for word in (b"SIP/ INVI ACK  BYE  CANC OPTI REGI PRAC SUBS NOTI PUBL INFO REFE MESS UPDA".split(b" "))
            if len(word) == 4
        ]
        + [int.from_bytes(word, "little") for word in (b"ACK ", b"BYE ", b"sip/")],
        np.uint32,
    )
)
_CRLF: Final = int.from_bytes(b"\r\n", "little")


@dataclass(slots=True)
class RtpRows:
    """RTP packets as columns, n rows. address and length cover the RTP header and what follows."""

    at_ns: I64
    mono_ns: I64
    address: I64  # of the RTP header, in Buffers
    length: I64
    seq: U16
    timestamp: U32
    payload_type: U8

    def __len__(self) -> int:
        return len(self.address)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> RtpRows:
        return RtpRows(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(slots=True)
class FlowRows:
    """Whose packets those are, row by row: address keys, ports, SSRC, and the hash of it all."""

    src: U64
    dst: U64
    sport: U16
    dport: U16
    ssrc: U32
    key: U64

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> FlowRows:
        return FlowRows(*(getattr(self, f.name)[rows] for f in fields(self)))


Rows = TypeVar("Rows", RtpRows, FlowRows)


def join_rows(parts: list[Rows]) -> Rows:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(kind)))


def first_bytes(packets: Datagrams) -> U8:
    """Return (n, 16) uint8, the first bytes of each payload; bytes past a payload's end are somebody else's.

    Rows whose 16 bytes would run past the buffer are read from further left and shifted into place.
    """
    room = len(packets.data) - 16
    if room < 0:
        raise ValueError("a packet buffer holds at least 16 bytes")
    windows = np.ndarray((room + 1,), _WORD, packets.data, strides=(1,))
    beyond = packets.offset > room
    if not beyond.any():
        return windows[packets.offset].view(np.uint8).reshape(-1, 16)
    head = windows[np.minimum(packets.offset, room)].view(np.uint8).reshape(-1, 16)
    for row in np.flatnonzero(beyond).tolist():
        start = int(packets.offset[row])
        head[row] = 0
        head[row, : len(packets.data) - start] = packets.data[start:]
    return head


def classify(packets: Datagrams, head: U8) -> U8:
    """Return (n,) kind of each datagram: RTP, RTCP, SIP, DTLS, STUN or OTHER.

    By first bytes alone; which RTP is really somebody's voice is for the matching to say.
    """
    first = head[:, 0]
    second = head[:, 1]
    long_enough = packets.length >= RTP_HEADER_BYTES
    version_2 = (first & 0xC0) == 0x80
    rtcp = (second >= 192) & (second <= 223)
    kind = np.where(version_2 & long_enough & ~rtcp, np.uint8(RTP), np.uint8(OTHER))
    kind[version_2 & rtcp & (packets.length >= 8)] = RTCP
    rest = np.flatnonzero(kind == OTHER)
    if len(rest):
        word = np.ascontiguousarray(head[rest, :4]).view("<u4").ravel()
        place = np.minimum(np.searchsorted(_SIP_STARTS, word), len(_SIP_STARTS) - 1)
        sip = (_SIP_STARTS[place] == word) | ((word & 0xFFFF) == _CRLF)
        kind[rest[sip & (packets.length[rest] >= 16)]] = SIP
        lead = first[rest]
        kind[rest[(lead >= 20) & (lead <= 63) & ~sip & (packets.length[rest] >= 13)]] = DTLS
        kind[rest[(lead <= 3) & (packets.length[rest] >= 20)]] = STUN
    return kind


def rtp_columns(packets: Datagrams, head: U8, rows: npt.NDArray[np.intp], address: I64) -> tuple[RtpRows, U32]:
    """Return the columns of the rows that classify() called RTP, and their SSRCs.

    address: (n,) of every datagram's payload, in Buffers.
    """
    words = np.ascontiguousarray(head[rows, :12]).view(">u4")
    first = words[:, 0].astype(np.uint32)
    columns = RtpRows(
        packets.at_ns[rows],
        packets.mono_ns[rows],
        address[rows],
        packets.length[rows],
        (first & 0xFFFF).astype(np.uint16),
        words[:, 1].astype(np.uint32),
        ((first >> 16) & 0x7F).astype(np.uint8),
    )
    return columns, words[:, 2].astype(np.uint32)


def payload_lengths(rows: RtpRows, buffers: Buffers) -> I64:
    """Return (n,) bytes behind the header, CSRCs and extension, padding included; negative where they do not fit."""
    first = buffers.take(rows.address, 1)[:, 0].astype(np.int64)
    size = RTP_HEADER_BYTES + 4 * (first & 0x0F)
    extended = np.flatnonzero((first & 0x10) != 0)
    if len(extended):
        words = buffers.take(rows.address[extended] + size[extended] + 2, 2).view(">u2")[:, 0]
        size[extended] += 4 + 4 * words.astype(np.int64)
    return rows.length - size


def padding_lengths(rows: RtpRows, buffers: Buffers) -> I64:
    """Return (n,) bytes of padding as the packets say, 0 where they say nothing of it."""
    padded = (buffers.take(rows.address, 1)[:, 0] & 0x20) != 0
    last = buffers.take(rows.address + rows.length - 1, 1)[:, 0].astype(np.int64)
    return np.where(padded, last, 0)


def header_bytes(packet: bytes) -> int | None:
    """Return the length of an RTP packet's header with CSRCs and extension; None when it does not fit."""
    if len(packet) < RTP_HEADER_BYTES:
        return None
    size = RTP_HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < size + 4:
            return None
        size += 4 + 4 * int.from_bytes(packet[size + 2 : size + 4], "big")
    return size if size <= len(packet) else None
