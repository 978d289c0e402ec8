"""SIP in WebSocket frames, in clear (RFC 7118 over RFC 6455): the upgrade, the frames, the messages.

One WebSocket message is one SIP message. Compression (RFC 7692) is undone, with a bound, when the upgrade
agreed on it or was not seen. Frames of a connection seen from its middle are found by a frame header
whose payload begins like SIP.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Final

from vittne.capture.errors import Malformed
from vittne.capture.sip.framing import MAX_MESSAGE, Framed
from vittne.capture.sip.headers import find_blank_line, read_header, read_lines, read_text
from vittne.capture.sip.startline import begins_like_sip

MAX_HTTP_HEAD: Final = 16 << 10
CONTINUATION, TEXT, BINARY, CLOSE = 0, 1, 2, 8
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40
_KEPT_WHILE_LOST: Final = 64
_WINDOW: Final = 1 << zlib.MAX_WBITS  # bytes, RFC 7692 7.1.2

_REQUEST: Final = re.compile(rb"GET [^ \r\n]+ HTTP/1\.1\r?\n")
_RESPONSE: Final = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r?\n")
_FRAME_HERE: Final = re.compile(rb"[\x01\x02\x81\x82](?=[\x14-\x7f\x94-\xff])")
_MAX_TRIES: Final = 128  # places looked at in one search: bytes that are all frame headers must not cost more


@dataclass(slots=True)
class Agreement:
    """What the upgrade agreed on, shared by both directions. None: not known, the upgrade was not seen."""

    deflate: bool | None = None
    is_refused: bool = False  # the answer was not 101


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """RFC 6455 section 5.2."""

    is_final: bool
    reserved: int  # RSV bits, in place
    opcode: int
    mask: bytes  # b"" when not masked
    size: int  # bytes of this header
    length: int  # bytes of payload


def read_frame_header(data: bytes | bytearray, at: int = 0) -> FrameHeader | None:
    """Return the frame header at a place; None when it is not all there."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    length = second & 0x7F
    wide = {126: 2, 127: 8}.get(length, 0)
    masked = 4 if second & 0x80 else 0
    size = 2 + wide + masked
    if len(data) < at + size:
        return None
    if wide:
        length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
    mask = bytes(data[at + 2 + wide : at + size])
    return FrameHeader(bool(first & 0x80), first & _RESERVED, first & 0x0F, mask, size, length)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Undo the mask of a client's frame (RFC 6455 5.3)."""
    if not mask or not payload:
        return payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def find_frame(data: bytes | bytearray, begin: int = 0) -> int:
    """Return where a frame begins whose payload begins like SIP, or -1. Compressed frames are not found."""
    for found in islice(_FRAME_HERE.finditer(data, begin), _MAX_TRIES):
        header = read_frame_header(data, found.start())
        if header is None or not 20 <= header.length <= MAX_MESSAGE:
            continue
        payload = found.start() + header.size
        if begins_like_sip(unmask(bytes(data[payload : payload + 32]), header.mask)):
            return found.start()
    return -1


def read_upgrade(data: bytes | bytearray) -> bool | None:
    """Say whether an HTTP head is one side of an upgrade to SIP over WebSocket; None: it has no end yet.

    Servers answer with the sub-protocol they chose (RFC 7118 4.1); any answer but 101 is a no.
    """
    request, response = _REQUEST.match(data), _RESPONSE.match(data)
    if not request and not response:
        return False
    blank = find_blank_line(data)
    if blank is None or blank[0] > MAX_HTTP_HEAD:
        return None if len(data) <= MAX_HTTP_HEAD else False
    headers = _read_http_headers(bytes(data[: blank[0]]))
    protocols = {name.strip().lower() for name in headers.get("sec-websocket-protocol", "").split(",")}
    if response and response[1] != b"101":
        return False
    return "websocket" in headers.get("upgrade", "").lower() and "sip" in protocols


def _read_http_headers(head: bytes) -> dict[str, str]:
    """Return headers by lower-case name, repeated ones joined by commas."""
    headers: dict[str, str] = {}
    for line in read_lines(read_text(head))[1:200]:
        header = read_header(line)
        if header:
            name, value = header
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class WebSocketReader:
    """Cuts one direction of a WebSocket connection into SIP messages.

    in_step: the first byte is that of the HTTP head; otherwise the first frame is looked for.
    """

    __slots__ = (
        "_after_hole", "_agreement", "_buffer", "_compressed", "_counters", "_fragments", "_in_head",
        "_in_step", "_is_open", "_window", "skipped",
    )  # fmt: skip

    def __init__(self, counters: Counter[str], agreement: Agreement, in_step: bool) -> None:
        self.skipped = 0  # bytes passed over since the last message
        self._counters = counters
        self._agreement = agreement
        self._buffer = bytearray()
        self._fragments = bytearray()  # of the message that is not finished yet
        self._is_open = False  # such a message has begun
        self._compressed = False
        self._in_step = in_step
        self._in_head = in_step
        self._after_hole = False
        self._window = b""  # the end of what was inflated, to which the next message may point back

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self._buffer) + len(self._fragments)

    def feed(self, data: bytes, after_hole: bool = False) -> list[Framed]:
        """Take the next bytes; return the messages that are complete now."""
        if after_hole:
            self._lose_step()
        self._buffer += data
        framed: list[Framed] = []
        while self._step(framed):
            pass
        return framed

    def finish(self) -> list[Framed]:
        """Forget what is not complete: half a frame cannot be read as a message."""
        self._buffer.clear()
        self._fragments.clear()
        return []

    def _lose_step(self) -> None:
        self._buffer.clear()
        self._fragments.clear()
        self._is_open = self._in_step = self._in_head = False
        self._after_hole = True

    def _step(self, framed: list[Framed]) -> bool:
        """Do one thing with the buffer; return whether there may be more to do."""
        if self._in_head:
            return self._read_head()
        if not self._in_step:
            return self._find_step()
        header = read_frame_header(self._buffer)
        if header is None:
            return False
        wrong = self._fault(header)
        if wrong:
            framed.append(Framed(Malformed(wrong), self._after_hole))
            self._lose_byte()
            return True
        end = header.size + header.length
        if len(self._buffer) < end:
            return False
        payload = unmask(bytes(self._buffer[header.size : end]), header.mask)
        del self._buffer[:end]
        if header.opcode < CLOSE:
            self._take_fragment(header, payload, framed)
        else:
            self._counters["websocket: control frames"] += 1
        return True

    def _read_head(self) -> bool:
        """Pass the HTTP head; return whether frames may follow."""
        blank = find_blank_line(self._buffer)
        if blank is None:
            if len(self._buffer) > MAX_HTTP_HEAD:
                self._in_head = self._in_step = False
            return len(self._buffer) > MAX_HTTP_HEAD
        response = _RESPONSE.match(self._buffer)
        if response:
            extensions = _read_http_headers(bytes(self._buffer[: blank[0]])).get("sec-websocket-extensions", "")
            self._agreement.deflate = "permessage-deflate" in extensions.lower()
            self._agreement.is_refused = response[1] != b"101"
        del self._buffer[: blank[1]]
        self._in_head = False
        return True

    def _find_step(self) -> bool:
        """Pass over bytes up to the next frame that begins like SIP."""
        start = find_frame(self._buffer)
        passed = start if start >= 0 else max(0, len(self._buffer) - _KEPT_WHILE_LOST)
        self.skipped += passed
        self._counters["websocket: bytes passed over"] += passed
        del self._buffer[:passed]
        self._in_step = start >= 0
        return self._in_step

    def _lose_byte(self) -> None:
        """Look for the next frame from one byte on."""
        del self._buffer[:1]
        self._fragments.clear()
        self._is_open = self._in_step = False

    def _fault(self, header: FrameHeader) -> str:
        """Return what is wrong with a frame's header; "" when nothing is."""
        if header.opcode & 7 > BINARY:
            return "websocket: opcode"
        is_control = header.opcode >= CLOSE
        if header.reserved & ~_COMPRESSED or (header.reserved and (is_control or self._agreement.deflate is False)):
            return "websocket: reserved bits"
        if is_control and (header.length > 125 or not header.is_final):
            return "websocket: control frame"
        if header.length + len(self._fragments) > MAX_MESSAGE:
            return "websocket: message too long"
        return ""

    def _take_fragment(self, header: FrameHeader, payload: bytes, framed: list[Framed]) -> None:
        """Add a data frame to its message, and report the message when it is whole (RFC 6455 5.4)."""
        is_first = header.opcode != CONTINUATION
        if is_first == self._is_open:
            framed.append(Framed(Malformed("websocket: fragments"), self._after_hole))
            self._fragments.clear()
            self._is_open = False
        if is_first:
            self._compressed = bool(header.reserved & _COMPRESSED)
            self._is_open = True
        elif not self._is_open:
            return
        self._fragments += payload
        if not header.is_final:
            return
        whole = bytes(self._fragments)
        self._fragments.clear()
        self._is_open = False
        message = self._inflate(whole) if self._compressed else whole
        if isinstance(message, bytes) and not message.strip(b"\r\n"):
            self._counters["websocket: keep-alives"] += 1
            return
        framed.append(Framed(message, self._after_hole))
        self._after_hole = False
        self.skipped = 0

    def _inflate(self, data: bytes) -> bytes | Malformed:
        """Undo permessage-deflate (RFC 7692 7.2.2); the window goes on from message to message.

        A message ends at a byte and with its block, so the window is all that the next one needs. An inflater that
        lived on could not be in a snapshot.
        """
        inflater = zlib.decompressobj(-zlib.MAX_WBITS, zdict=self._window)
        window, self._window = self._window, b""
        try:
            message = inflater.decompress(data + b"\x00\x00\xff\xff", MAX_MESSAGE + 1)
        except zlib.error:
            return Malformed("websocket: inflate")
        if len(message) > MAX_MESSAGE:
            return Malformed("websocket: message too long")
        if not inflater.eof:  # a sender may end its stream with a message (RFC 7692 7.2.3.5)
            self._window = (window + message)[-_WINDOW:]
        return message
