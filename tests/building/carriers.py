"""How SIP messages get onto the wire: UDP datagrams, TCP segments cut where we like, WebSocket frames."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from building.frames import tcp_frame, udp_frame

SYN: Final = 0x02
FIN_ACK: Final = 0x11
ACK: Final = 0x10
PUSH_ACK: Final = 0x18
STEP_NS: Final = 20_000  # between two segments
HANDSHAKE_NS: Final = 2_000_000  # how long before the first message a connection is opened
Address = tuple[str, int]  # IP address and port
Cut = Callable[[bytes], list[bytes]]


class Carrier(Protocol):
    """Sends one message; via names the transport in the Via header."""

    via: str

    def send(self, at_ns: int, src: Address, dst: Address, message: bytes) -> None: ...


class Wire(Protocol):
    """Where carriers put frames; a scenario."""

    def emit(self, at_ns: int, src: str, dst: str, frame: bytes) -> None: ...

    def before_reading(self, finish: Callable[[], None]) -> None:
        """Call finish before the frames are read."""


class UdpCarrier:
    via = "UDP"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ident = 0

    def send(self, at_ns: int, src: Address, dst: Address, message: bytes) -> None:
        self._ident += 1
        self._wire.emit(at_ns, src[0], dst[0], udp_frame(*src, *dst, message, ident=self._ident))


def whole(data: bytes) -> list[bytes]:
    return [data]


def every(size: int) -> Cut:
    """Cut into segments of size bytes."""
    return lambda data: [data[at : at + size] for at in range(0, len(data), size)]


def at_places(*places: int) -> Cut:
    """Cut each message at these byte positions (negative ones count from its end)."""

    def cut(data: bytes) -> list[bytes]:
        marks = sorted({place % len(data) for place in places if -len(data) < place < len(data)} - {0})
        return [data[begin:end] for begin, end in zip([0, *marks], [*marks, len(data)], strict=True)]

    return cut


@dataclass(slots=True)
class _Connection:
    client: Address
    server: Address
    seq: dict[Address, int]
    free_at_ns: int = 0  # when the last segment so far has gone


class TcpCarrier:
    """One TCP connection for each pair of hosts, opened by who speaks first.

    cut: where segments end. handshake: False shows a connection joined in the middle.
    mangle: what the mirror makes of the segments of one message (order, repeats, holes), as
    the numbers of those it shows. Messages wait until the scenario is read, and are then laid
    one after the other in order of time: dialogs that share a connection may be told one by one.
    """

    via = "TCP"

    def __init__(
        self,
        wire: Wire,
        cut: Cut = whole,
        *,
        handshake: bool = True,
        mangle: Callable[[list[bytes]], list[int]] | None = None,
        client_port: int = 0,
    ) -> None:
        self._wire, self._cut, self._handshake, self._mangle = wire, cut, handshake, mangle
        self._client_port = client_port
        self._connections: dict[frozenset[str], _Connection] = {}
        self._waiting: list[tuple[int, Address, Address, bytes]] = []
        self._closes_at: int | None = None
        wire.before_reading(self._finish)

    def send(self, at_ns: int, src: Address, dst: Address, message: bytes) -> None:
        self._waiting.append((at_ns, src, dst, message))

    def close(self, at_ns: int) -> None:
        """End every connection with FIN both ways, then."""
        self._closes_at = at_ns

    def _finish(self) -> None:
        for at_ns, src, dst, message in sorted(self._waiting, key=lambda entry: entry[0]):
            connection = self._connections.get(frozenset((src[0], dst[0]))) or self._open(at_ns, src, dst)
            self._segments(at_ns, connection, src[0] == connection.client[0], self.framed(message, connection, src))
        self._waiting.clear()
        if self._closes_at is not None:
            for connection in self._connections.values():
                for from_client in (True, False):
                    self._one(self._closes_at, connection, from_client, b"", FIN_ACK)
            self._connections.clear()

    def framed(self, message: bytes, connection: _Connection, src: Address) -> bytes:
        return message

    def _open(self, at_ns: int, src: Address, dst: Address) -> _Connection:
        number = len(self._connections)
        client = (src[0], self._client_port or 40_001 + 13 * number)
        # The client's numbers wrap in its first message.
        connection = _Connection(client, dst, {client: 2**32 - 200 + number, dst: 88_000 + number})
        self._connections[frozenset((src[0], dst[0]))] = connection
        if self._handshake:
            for from_client, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
                self._one(at_ns - HANDSHAKE_NS, connection, from_client, b"", flags)
        return connection

    def _segments(self, at_ns: int, connection: _Connection, from_client: bool, data: bytes) -> None:
        pieces = self._cut(data)
        end = connection.client if from_client else connection.server
        start = connection.seq[end]
        for i in self._mangle(pieces) if self._mangle else range(len(pieces)):
            connection.seq[end] = start + sum(map(len, pieces[:i]))
            self._one(at_ns, connection, from_client, pieces[i], PUSH_ACK)
        connection.seq[end] = start + len(data)
        self._one(at_ns, connection, not from_client, b"", ACK)

    def _one(self, at_ns: int, connection: _Connection, from_client: bool, data: bytes, flags: int) -> None:
        """One segment, when the one before has gone."""
        ends = (connection.client, connection.server)
        src, dst = ends if from_client else ends[::-1]
        seq, ack = connection.seq[src], 0 if flags == SYN else connection.seq[dst]
        frame = tcp_frame(*src, *dst, data, seq=seq, ack=ack, flags=flags, ident=seq & 0xFFFF)
        at_ns = max(at_ns, connection.free_at_ns + STEP_NS)
        self._wire.emit(at_ns, src[0], dst[0], frame)
        connection.seq[src] += len(data) + bool(flags & 0x03)
        connection.free_at_ns = at_ns


def websocket_frame(payload: bytes, *, mask: bytes = b"", opcode: int = 1, final: bool = True) -> bytes:
    """One WebSocket frame (RFC 6455 5.2); mask: four bytes in frames from the client."""
    size = len(payload)
    head = bytes([final << 7 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += struct.pack(">BH", bit | 126, size)
    else:
        head += struct.pack(">BQ", bit | 127, size)
    if mask:
        payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
    return head + mask + payload


class WebSocketCarrier(TcpCarrier):
    """SIP over WebSocket in clear (RFC 7118): the upgrade, then a text frame a message."""

    via = "WS"

    def _open(self, at_ns: int, src: Address, dst: Address) -> _Connection:
        connection = super()._open(at_ns - HANDSHAKE_NS, src, dst)
        key = base64.b64encode(hashlib.sha256(b"key").digest()[:16]).decode()
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        request = [
            "GET /ws HTTP/1.1",
            f"Host: {dst[0]}:{dst[1]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Protocol: sip",
            "Sec-WebSocket-Version: 13",
        ]
        answer = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
            "Sec-WebSocket-Protocol: sip",
        ]
        for number, lines in enumerate((request, answer)):
            text = ("\r\n".join(lines) + "\r\n\r\n").encode()
            self._segments(at_ns - HANDSHAKE_NS, connection, number == 0, text)
        return connection

    def framed(self, message: bytes, connection: _Connection, src: Address) -> bytes:
        return websocket_frame(message, mask=b"\x37\xfa\x21\x3d" if src[0] == connection.client[0] else b"")


def swapped(pieces: list[bytes]) -> list[int]:
    """Neighbouring segments change places."""
    order = list(range(len(pieces)))
    for i in range(0, len(order) - 1, 2):
        order[i : i + 2] = order[i + 1], order[i]
    return order


def sent_twice(pieces: list[bytes]) -> list[int]:
    """Every segment is sent again later, as after a lost acknowledgement."""
    return [i for i in range(len(pieces)) for _ in range(2)]


def without(number: int) -> Callable[[list[bytes]], list[int]]:
    """One segment of each message is missing on the mirror."""
    return lambda pieces: [i for i in range(len(pieces)) if i != number]
