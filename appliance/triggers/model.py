"""What leaves an adapter: a trigger to pause or resume, and how a connection to a PBX is doing.

Who takes the triggers must know three things:

- One identity is (source, external_id) where external_id is not empty, else (source, select). A pause that
  is said again changes nothing, or names more of the same call's SIP Call-IDs (a leg that came later, a
  Call-ID that was not known yet): it is an update.
- An adapter says resume only when the last cause of its pause on that channel is gone. A pause that never
  ends is the recorder's to end (COMPLIANCE 6.3).
- What a PBX says while the connection is down is lost. ConnectionState tells that it is down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["pause", "resume"]
Scope = Literal["call", "party"]
SELECTORS: Final = frozenset({"sip_call_id", "channel", "extension", "number", "agent"})

CLOCK_TRUST_NS: Final = 10_000_000_000
_TEXT_LIMIT: Final = 256
# Twelve digits and more may be a card's number: somebody pastes one where a reason is asked for.
_CARD_LIKE: Final = re.compile(r"\d(?:[ -]?\d){11,}")


@dataclass(frozen=True, slots=True)
class TriggerEvent:
    """A wish of the PBX about one call.

    select: one key of SELECTORS and whom it means. also: further SIP Call-IDs known of the same call.
    source: "ami:NAME" or "esl:NAME". at_ns: UTC. external_id: the PBX's own name of the channel; "" when
    the PBX named an extension, an agent or a number only.
    """

    action: Action
    select: dict[str, str]
    also: tuple[str, ...]
    source: str
    reason: str
    at_ns: int
    external_id: str
    scope: Scope = "call"

    def __post_init__(self) -> None:
        assert len(self.select) == 1, "a trigger selects by one thing"
        assert self.select.keys() <= SELECTORS, "a trigger selects by what the recorder knows"

    @property
    def call_ids(self) -> tuple[str, ...]:
        """All SIP Call-IDs it names, the selected one first."""
        own = self.select.get("sip_call_id")
        return self.also if own is None else (own, *self.also)


@dataclass(slots=True)
class ConnectionState:
    """How a connection to a PBX is doing, for status pages. Times in ns since 1970 UTC, 0 for never."""

    name: str
    connected: bool = False  # logged in and following, not merely open
    since_ns: int = 0  # when `connected` last changed
    last_event_ns: int = 0
    last_error: str = ""
    events: int = 0
    triggers: int = 0


def event_time(said_ns: int | None, arrived_ns: int) -> int:
    """Return when something happened: by the PBX's clock, or by ours where the two are far apart.

    A PBX whose clock is wrong would end pauses before the digits were spoken.

    >>> event_time(5_000_000_000, 6_000_000_000), event_time(5_000_000_000, 90_000_000_000)
    (5000000000, 90000000000)
    """
    if said_ns is None or abs(said_ns - arrived_ns) > CLOCK_TRUST_NS:
        return arrived_ns
    return said_ns


def clean(text: str) -> str:
    """Return a name that a PBX sent, or "" where it is none: too long, or with control characters in it.

    >>> clean(" 1700000000.42 "), clean("a\\r\\nAction: Originate")
    ('1700000000.42', '')
    """
    text = text.strip()
    return text if len(text) <= _TEXT_LIMIT and text.isprintable() else ""


def spoken(text: str) -> str:
    """Return a text for people: printable, short, without what may be a card's number.

    >>> spoken("card 4111 1111 1111 1111")
    'card #'
    """
    shown = "".join(letter for letter in text[: 4 * _TEXT_LIMIT] if letter.isprintable())
    return _CARD_LIKE.sub("#", shown).strip()[:_TEXT_LIMIT]
