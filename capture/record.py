"""Records: what a recording is made of, 16 bytes of header in front of each. Layout: appliance/seal/FORMAT.md."""

from __future__ import annotations

import json
import struct
from typing import Any, Final

import numpy as np

Buffer = bytes | bytearray | memoryview

RECORD: Final = np.dtype(
    [
        ("at_ns", "<i8"),  # UTC, ns since 1970: arrival of a packet, time of an event
        ("length", "<u4"),  # bytes of body; the zeros after it are not counted
        ("stream", "<u2"),  # which stream, as its STREAM record numbers it; 0 when none
        ("type", "u1"),
        ("flags", "u1"),
    ]
)
HEADER: Final = struct.Struct("<qIHBB")
HEADER_BYTES: Final = 16
ALIGNMENT: Final = 16

RTP: Final = 1  # an RTP packet as captured, header and extensions included
RTCP: Final = 2  # a line of JSON, then the compound packet as captured
SIP: Final = 3  # a line of JSON, then the message with marks of equal length
EVENT: Final = 4  # JSON
STREAM: Final = 5  # JSON: what stream number N is
GAP: Final = 6  # JSON
PADDING: Final = 7  # zeros, first in a group
META: Final = 8  # JSON: all that a list shows about the call
END: Final = 9  # nothing follows in this part


def encode(type: int, at_ns: int, body: Buffer, stream: int = 0, flags: int = 0) -> bytes:
    """Return one record: header, body, zeros to a multiple of 16. Not for PADDING.

    >>> encode(END, 7, b"").hex()
    '07000000000000000000000000000900'
    """
    length = len(body)
    return b"".join((HEADER.pack(at_ns, length, stream, type, flags), body, bytes(-length & 15)))


def encode_json(type: int, at_ns: int, value: dict[str, Any], stream: int = 0) -> bytes:
    """Return a record whose body is a JSON object."""
    return encode(type, at_ns, json.dumps(value, separators=(",", ":"), sort_keys=True).encode(), stream)
