"""RTP and RTCP for a support bundle: headers as they were, what was said as zeros (RFC 3550 sections 5.1, 5.3.1, 6).

Lengths, sequence numbers, timestamps, markers and payload types stay, so that loss, jitter and codec changes can be
seen. SSRCs are replaced, the same everywhere. Of RTCP sender and receiver reports stay; CNAMEs and the rest go.
"""

from __future__ import annotations

import struct
from typing import Final

from vittne.appliance.support.names import Names

_SENDER: Final = 200
_RECEIVER: Final = 201
_BLOCK: Final = 24
_MOST_CSRC: Final = 15


def scrub_rtp(packet: bytes, names: Names) -> bytes | None:
    """Return a packet of the same length without voice; None for what is none."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return None
    first, kind, seq, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
    csrc = first & 0x0F
    head = 12 + 4 * csrc
    if len(packet) < head:
        return None
    sources = struct.unpack_from(f">{csrc}I", packet, 12)
    plain = struct.pack(">BBHII", first & ~0x20, kind, seq, timestamp, _ssrc(ssrc, names))
    plain += b"".join(struct.pack(">I", _ssrc(one, names)) for one in sources)
    if first & 0x10:  # an extension: its profile and length stay, so that what follows is where it was
        if len(packet) < head + 4:
            return None
        words = struct.unpack_from(">H", packet, head + 2)[0]
        if len(packet) < head + 4 + 4 * words:
            return None
        plain += packet[head : head + 4] + bytes(4 * words)
    return plain + bytes(len(packet) - len(plain))


def scrub_rtcp(packet: bytes, names: Names) -> bytes | None:
    """Return the reports of a compound packet; None when there is none in it, or it is encrypted."""
    found, at = [], 0
    while at + 8 <= len(packet) and packet[at] >> 6 == 2:
        count, kind, words = packet[at] & 0x1F, packet[at + 1], struct.unpack_from(">H", packet, at + 2)[0]
        end = at + 4 * (words + 1)
        if end > len(packet):
            break
        if kind in (_SENDER, _RECEIVER):
            found.append(_report(packet[at:end], count, kind, names))
        at = end
    return b"".join(one for one in found if one) or None


def _report(packet: bytes, count: int, kind: int, names: Names) -> bytes:
    head = 28 if kind == _SENDER else 8
    if len(packet) < head + count * _BLOCK:
        return b""
    size = head + count * _BLOCK
    plain = bytearray(packet[:size])
    plain[0] = 0x80 | count  # no padding
    plain[2:4] = struct.pack(">H", size // 4 - 1)
    plain[4:8] = struct.pack(">I", _ssrc(int.from_bytes(packet[4:8], "big"), names))
    for block in range(head, size, _BLOCK):
        plain[block : block + 4] = struct.pack(">I", _ssrc(int.from_bytes(packet[block : block + 4], "big"), names))
    return bytes(plain)


def _ssrc(value: int, names: Names) -> int:
    return names.number32("ssrc", value)
