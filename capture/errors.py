"""What is wrong with what came off the wire, as a value: counted by reason, never raised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes from the wire that could not be read.

    reason: a short stable word or two, lower case, used as a counter's name ("sip: no call-id").
    It never holds bytes from the wire. detail may, and is for a person: at most 200 characters, printable.
    """

    reason: str
    detail: str = ""
