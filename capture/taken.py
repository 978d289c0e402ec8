"""What the readers of pcap and pcapng have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from vittne.capture.columns import Block, Bytes

MOST_CAPTURED: Final = 262_144  # bytes of a packet; libpcap's own limit. More is damage.


class CaptureFileError(Exception):
    """A file that cannot be read as a capture; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader made of the bytes it was given.

    block: the frames of whole records, None when there are none. Its mono_ns is not set yet.
    after: index where reading goes on; behind the given bytes when a record that is not a
    packet is skipped.
    problem: why nothing behind `after` can be read, in words; None while all is well.
    """

    block: Block | None
    after: int
    problem: str | None = None


class Reader(Protocol):
    """Reads the records of one file, a piece at a time."""

    def take(self, data: Bytes, start: int, stop: int) -> Taken:
        """Return what whole records data[start:stop] begins with."""
        ...
