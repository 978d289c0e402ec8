"""What a TCP connection carries, told from its first bytes, and the connections that carry nothing for us.

A mirror shows far more web traffic than signalling, so a connection is judged once, early, and what is not
ours is remembered in a table that a whole block of segments is held against at once. The table is
direct-mapped: a new entry may push out an old one, which only means that the old one is judged again.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import U16, U64
from vittne.capture.sip.startline import MAX_START_LINE, find_start, looks_like_sip
from vittne.capture.sip.websocket import find_frame, read_upgrade

MAX_DOUBT: Final = 64 << 10  # bytes after which a connection seen from its middle is not SIP
IGNORED_SLOTS: Final = 1 << 18

_HTTP: Final = re.compile(rb"(?:[A-Z]{3,10} [^ \r\n]{1,8192} HTTP/1\.[01]|HTTP/1\.[01] \d{3}[^\r\n]*)\r?\n")
_MAYBE_START: Final = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~/]{1,64}(?:[ \t][^\r\n]*)?\r?\Z")
_TLS: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]", re.DOTALL)
_FOREIGN: Final = {1720: "h323", 2000: "sccp", 2443: "sccp in tls", 2944: "megaco"}  # other signalling, by its port
_SIP_TLS: Final = frozenset({5061, 5063, 5081})
_ALPN_SIP: Final = b"\x05sip/2"  # as it stands in a hello (RFC 7301; IANA's names of protocols)
_MIX: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_WORD: Final = 2**64 - 1
_NEVER: Final = 2**63 - 1


class Verdict(Enum):
    """What the bytes are."""

    SIP = "sip"
    WEBSOCKET = "websocket"
    OTHER = "other"
    OPEN = "open"  # more bytes are needed


def judge(data: bytes, *, from_start: bool, new_from: int = 0) -> Verdict:
    """Say what a direction carries whose first bytes are `data`.

    from_start: data begins with the first byte of the connection; otherwise anywhere, perhaps within a
    message, and 64 KiB are given for a start line or a frame with SIP in it to come by.
    new_from: where the bytes begin that an earlier call, which said OPEN, had not seen.
    """
    text = data.lstrip(b"\r\n")
    if not text:
        return Verdict.OPEN if len(data) < MAX_DOUBT else Verdict.OTHER
    if looks_like_sip(text[: 2 * MAX_START_LINE]) and b"\n" in text[: 2 * MAX_START_LINE]:
        return Verdict.SIP
    if _HTTP.match(text):
        upgrade = read_upgrade(text)
        return Verdict.OPEN if upgrade is None else Verdict.WEBSOCKET if upgrade else Verdict.OTHER
    if from_start:
        may_become = len(text) <= MAX_START_LINE and _MAYBE_START.match(text)
        return Verdict.OPEN if may_become else Verdict.OTHER
    if _TLS.match(text):
        return Verdict.OTHER
    # Frames before start lines: an unmasked frame has a start line in it.
    if find_frame(data, max(0, new_from - 64)) >= 0:
        return Verdict.WEBSOCKET
    if find_start(data, 0, new_from) >= 0:
        return Verdict.SIP
    return Verdict.OPEN if len(data) < MAX_DOUBT else Verdict.OTHER


def named_by_port(sport: int, dport: int) -> str:
    """Return whose signalling a TCP connection is by its ports; "" when they say nothing.

    >>> named_by_port(2000, 50_123), named_by_port(443, 50_123)
    ('sccp', '')
    """
    return _FOREIGN.get(dport) or _FOREIGN.get(sport) or ""


def is_sip_in_tls(sport: int, dport: int, data: bytes) -> bool:
    """Say whether a TCP connection that is not SIP in clear is SIP in TLS. data: its first bytes.

    TLS to anybody else is no business of ours.

    >>> is_sip_in_tls(40_000, 5061, b"\\x16\\x03\\x01"), is_sip_in_tls(40_000, 443, b"\\x16\\x03\\x01")
    (True, False)
    """
    return bool(_TLS.match(data)) and (_ALPN_SIP in data[:4096] or bool({sport, dport} & _SIP_TLS))


class Ignored:
    """Connections judged not to be ours, both directions of each as one."""

    def __init__(self, slots: int = IGNORED_SLOTS) -> None:
        self._slots = slots
        self._table: npt.NDArray[np.uint64] = np.zeros(slots, np.uint64)
        self._since: npt.NDArray[np.int64] = np.zeros(slots, np.int64)
        self._oldest_ns = _NEVER

    def add(self, connection: int, mono_ns: int) -> None:
        """Ignore a connection, named by connection_hash, from now on."""
        slot = connection % self._slots
        self._table[slot], self._since[slot] = connection, mono_ns
        self._oldest_ns = min(self._oldest_ns, mono_ns)

    def remove(self, connection: int) -> None:
        """Ignore a connection no longer."""
        if connection in self:
            self._table[connection % self._slots] = 0

    def expire(self, before_ns: int) -> None:
        """Forget what was judged before a time: such connections get another chance."""
        if before_ns <= self._oldest_ns:
            return
        self._table[self._since < before_ns] = 0
        left = self._since[self._table != 0]
        self._oldest_ns = int(left.min()) if len(left) else _NEVER

    def __contains__(self, connection: int) -> bool:
        return int(self._table[connection % self._slots]) == connection

    def mask(self, connections: U64) -> npt.NDArray[np.bool_]:
        """Return (n,) whether each connection is ignored. connections: (n,) from connection_hashes."""
        found: U64 = self._table[connections % np.uint64(self._slots)]
        return np.equal(found, connections)


def connection_hash(src: int, sport: int, dst: int, dport: int) -> int:
    """Return a number that names a connection, the same for both directions, never 0."""
    return ((_mix(src, sport) + _mix(dst, dport)) & _WORD) | 1


def _mix(address: int, port: int) -> int:
    """Return a well spread 64-bit number (the finisher of splitmix64)."""
    value = ((address + _MIX[0]) * _MIX[1] + port * _MIX[0]) & _WORD
    value = ((value ^ value >> 30) * _MIX[1]) & _WORD
    value = ((value ^ value >> 27) * _MIX[2]) & _WORD
    return value ^ value >> 31


def connection_hashes(src: U64, sport: U16, dst: U64, dport: U16) -> U64:
    """Return (n,) connection_hash of columns."""
    return (_mixes(src, sport) + _mixes(dst, dport)) | np.uint64(1)


def _mixes(address: U64, port: U16) -> U64:
    first, second, third = (np.uint64(number) for number in _MIX)
    value = (address + first) * second + port.astype(np.uint64) * first
    value = (value ^ value >> np.uint64(30)) * second
    value = (value ^ value >> np.uint64(27)) * third
    mixed: U64 = value ^ value >> np.uint64(31)
    return mixed
