"""The packets of a recording as frames of a capture file: signalling, RTP and RTCP at their own times.

A recording keeps what was in the datagrams, not what was around them: Ethernet, IP and UDP or TCP headers are
made up here, from the addresses and ports that were recorded. So are

- TCP sequence numbers: one segment a message, end to end, without a handshake;
- UDP under messages that came in WebSocket frames: a WebSocket without its handshake is read by nobody.

SRTP stays encrypted, and digits and credentials in SIP are the marks that were stored.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.seal import records

Place = tuple[bytes, int]  # packed IP address, port

_UDP: Final = 17
_TCP: Final = 6
_MACS: Final = bytes.fromhex("020000000002020000000001")  # locally administered: nobody's
_NOWHERE: Final[Place] = (bytes(4), 0)
_MOST: Final = 65_000  # bytes of payload: what an IP packet can hold


def place(text: object) -> Place:
    """Return address and port of address:port or [address]:port; 0.0.0.0:0 for anything else.

    >>> place("10.0.0.1:5060"), place("[::1]:7")[1], place("nonsense")[1]
    ((b'\\n\\x00\\x00\\x01', 5060), 7, 0)
    """
    address, _, port = str(text).rpartition(":")
    try:
        number = int(port)
        packed = ipaddress.ip_address(address.removeprefix("[").removesuffix("]")).packed
    except ValueError:
        return _NOWHERE
    return (packed, number) if 0 <= number <= 0xFFFF else _NOWHERE


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071): the sum modulo 65 535, as one big number has it."""
    number = int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big")
    # A sum of ones' complement numbers is 0 only when all of them are; else it ends at 65 535.
    return 0 if number and number % 0xFFFF == 0 else 0xFFFF - number % 0xFFFF


def udp_frame(source: Place, destination: Place, payload: bytes) -> bytes:
    """Return an Ethernet frame with one UDP datagram."""
    payload = payload[:_MOST]
    length = 8 + len(payload)
    head = struct.pack(">HHH", source[1], destination[1], length)
    value = checksum(_pseudo(source, destination, _UDP, length) + head + payload) or 0xFFFF
    return _around(source, destination, _UDP, head + struct.pack(">H", value) + payload)


def tcp_frame(source: Place, destination: Place, payload: bytes, seq: int, ack: int) -> bytes:
    """Return an Ethernet frame with one TCP segment (PSH and ACK)."""
    payload = payload[:_MOST]
    head = struct.pack(">HHIIBBH", source[1], destination[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, 0x18, 0xFFFF)
    value = checksum(_pseudo(source, destination, _TCP, 20 + len(payload)) + head + b"\0\0\0\0" + payload)
    return _around(source, destination, _TCP, head + struct.pack(">HH", value, 0) + payload)


def _pseudo(source: Place, destination: Place, protocol: int, length: int) -> bytes:
    return source[0] + destination[0] + struct.pack(">IHBB", length, 0, 0, protocol)


def _around(source: Place, destination: Place, protocol: int, segment: bytes) -> bytes:
    if len(source[0]) == 16:
        head = struct.pack(">IHBB", 6 << 28, len(segment), protocol, 64) + source[0] + destination[0]
        return _MACS + b"\x86\xdd" + head + segment
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, protocol)
    ends = source[0] + destination[0]
    return _MACS + b"\x08\x00" + head + struct.pack(">H", checksum(head + ends)) + ends + segment


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the packets of a stream go from and to."""

    source: Place
    destination: Place

    @classmethod
    def of(cls, source: object, destination: object) -> Ends:
        """Read two places; both are nowhere when one cannot be read, or they are of two families."""
        ends = cls(place(source), place(destination))
        return ends if len(ends.source[0]) == len(ends.destination[0]) else cls(_NOWHERE, _NOWHERE)


class Framer:
    """Makes frames of records; keeps the TCP connections' numbers."""

    def __init__(self, streams: dict[int, Ends]) -> None:
        """streams: by their number in the records."""
        self._streams = streams
        self._sent: dict[tuple[Place, Place], int] = {}

    def frame(self, kind: int, stream: int, body: bytes) -> bytes | None:
        """Return the frame of a record's packet; None for records that are none."""
        if kind == records.SIP:
            return self._signal(body)
        if kind == records.RTCP:
            said, packet = split_signal(body)
            ends = Ends.of(said.get("source"), said.get("destination"))
            return udp_frame(ends.source, ends.destination, packet)
        if kind != records.RTP:
            return None
        ends = self._streams.get(stream, Ends(_NOWHERE, _NOWHERE))
        return udp_frame(ends.source, ends.destination, body)

    def _signal(self, body: bytes) -> bytes:
        said, message = split_signal(body)
        ends = Ends.of(said.get("source"), said.get("destination"))
        if said.get("transport") != "tcp":
            return udp_frame(ends.source, ends.destination, message)
        there, back = (ends.source, ends.destination), (ends.destination, ends.source)
        seq, ack = self._sent.get(there, 1), self._sent.get(back, 1)
        self._sent[there] = seq + len(message[:_MOST])
        return tcp_frame(ends.source, ends.destination, message, seq, ack)


def split_signal(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return (source, destination and, of SIP, transport; the message) of a SIP or RTCP record."""
    line, _, message = body.partition(b"\n")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = {}
    return (said if isinstance(said, dict) else {}), message
