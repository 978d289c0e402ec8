"""What recorder and sound process say to each other: two lengths, JSON, and bytes behind it."""

from __future__ import annotations

import json
import struct
from typing import Any, Final

HEAD: Final = struct.Struct(">II")  # bytes of JSON, bytes behind it
MOST: Final = 64 << 20


def pack(said: dict[str, Any], data: bytes = b"") -> bytes:
    """Return a message as it goes over the socket."""
    body = json.dumps(said).encode()
    return HEAD.pack(len(body), len(data)) + body + data


def lengths(head: bytes) -> tuple[int, int]:
    """Return how long the two parts of a message are. ValueError when nobody sends so much."""
    found = HEAD.unpack(head)
    if max(found) > MOST:
        raise ValueError("a message is too long")
    return found


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON of a message. ValueError."""
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("a message is an object")
    return found
