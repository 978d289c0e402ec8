"""Messages out of a byte stream: SIP over TCP (RFC 3261 section 18.3).

A message ends where its Content-Length says. Without one the blank line ends it (gateways leave it out of
messages that have no body); only when an SDP follows at once ("v=0") does that belong to it, up to the next
message or to the end of what has come. When bytes were lost or make no sense, everything up to the next
start line is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from vittne.capture.errors import Malformed
from vittne.capture.sip.headers import find_blank_line
from vittne.capture.sip.startline import MAX_START_LINE, find_start, looks_like_sip

MAX_HEAD: Final = 64 << 10
MAX_MESSAGE: Final = 256 << 10
KEPT_WHILE_LOST: Final = 2 * MAX_START_LINE  # a start line may be cut in two anywhere

_LENGTH: Final = re.compile(rb"\n(?:content-length|l)[ \t]{0,9}:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Framed:
    """The bytes of one message, or why there is none. after_hole: bytes in or before it are missing."""

    message: bytes | Malformed
    after_hole: bool = False


class SipFramer:
    """Cuts one direction of a connection into messages. in_step: the first byte is that of a message."""

    __slots__ = ("_after_hole", "_buffer", "_counters", "_in_step", "_searched", "_wanted", "skipped")

    def __init__(self, counters: Counter[str], in_step: bool) -> None:
        self.skipped = 0  # bytes passed over since the last message
        self._counters = counters
        self._buffer = bytearray()
        self._in_step = in_step
        self._after_hole = False
        self._wanted = 0  # bytes of the message at hand when known: no need to look before they are here
        self._searched = 0  # no blank line (out of step: no start line) was found before this byte

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, data: bytes, after_hole: bool = False) -> list[Framed]:
        """Take the next bytes; return the messages that are complete now."""
        framed = self._lose_step() if after_hole else []
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return framed
        while self._step(framed):
            pass
        return framed

    def finish(self) -> list[Framed]:
        """Return what is left when no more bytes come: a message whose body is not all there."""
        framed: list[Framed] = []
        if self._in_step and find_blank_line(self._buffer) and looks_like_sip(self._buffer):
            framed.append(Framed(bytes(self._buffer), self._after_hole))
        self._drop(len(self._buffer))
        return framed

    def _lose_step(self) -> list[Framed]:
        """Bytes are missing here. A message whose head is whole still counts, cut short."""
        framed = [Framed(one.message, after_hole=True) for one in self.finish()]
        self._in_step = False
        self._after_hole = True
        return framed

    def _step(self, framed: list[Framed]) -> bool:
        """Do one thing with the buffer; return whether there may be more to do."""
        if not self._in_step:
            return self._find_step()
        if bytes(self._buffer[:1]) in {b"\r", b"\n"}:
            keep_alive = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
            self._counters["sip tcp: keep-alive bytes"] += keep_alive
            self._drop(keep_alive)
        if not self._buffer:
            return False
        blank = find_blank_line(self._buffer, self._searched)
        if blank is None:
            self._searched = max(0, len(self._buffer) - 3)
            return self._give_up(framed, self._doubt())
        if blank[0] > MAX_HEAD or not looks_like_sip(self._buffer):
            return self._give_up(framed, "sip: head too long" if blank[0] > MAX_HEAD else "sip: start line")
        length = self._body_length(blank)
        if length is None:
            return self._give_up(framed, "sip: content-length")
        self._wanted = blank[1] + length
        if self._wanted > MAX_MESSAGE:
            return self._give_up(framed, "sip: message too long")
        if len(self._buffer) < self._wanted:
            return False
        framed.append(Framed(bytes(self._buffer[: self._wanted]), self._after_hole))
        self._drop(self._wanted)
        self._after_hole = False
        self.skipped = 0
        return True

    def _find_step(self) -> bool:
        """Pass over bytes up to the next start line; return whether there is one."""
        start = find_start(self._buffer, 0, self._searched)
        passed = start if start >= 0 else max(0, len(self._buffer) - KEPT_WHILE_LOST)
        self.skipped += passed
        self._counters["sip tcp: bytes passed over"] += passed
        self._drop(passed)
        self._in_step = start >= 0
        self._searched = 0 if self._in_step else len(self._buffer)
        return self._in_step

    def _doubt(self) -> str:
        """Return what is wrong with a head that has no end yet; "" when it may still become one."""
        if len(self._buffer) > MAX_HEAD:
            return "sip: head too long"
        line_end = self._buffer.find(b"\n", 0, MAX_START_LINE)
        if line_end < 0:
            return "sip: start line" if len(self._buffer) > MAX_START_LINE else ""
        return "" if looks_like_sip(self._buffer[: line_end + 1]) else "sip: start line"

    def _give_up(self, framed: list[Framed], reason: str) -> bool:
        """Report what cannot be framed and look for the next message; without a reason wait for more."""
        if not reason:
            return False
        framed.append(Framed(Malformed(reason), self._after_hole))
        # Its first line goes, so that the search does not find the same start line again.
        self._drop(max(1, self._buffer.find(b"\n", 0, MAX_START_LINE) + 1))
        self._in_step = False
        return True

    def _body_length(self, blank: tuple[int, int]) -> int | None:
        """Return the length of the body after the blank line; None when Content-Length makes no sense."""
        found = _LENGTH.search(self._buffer, 0, blank[0])
        text = found[1].strip() if found else b""
        if text:
            return int(text) if text.isdigit() and len(text) <= 10 else None
        if not self._buffer.startswith(b"v=0", blank[1]):
            return 0
        following = find_start(self._buffer, blank[1])
        return (following if following >= 0 else len(self._buffer)) - blank[1]

    def _drop(self, size: int) -> None:
        """Take bytes off the front."""
        del self._buffer[:size]
        self._wanted = 0
        self._searched = 0
