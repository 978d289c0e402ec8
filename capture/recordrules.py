"""Which calls are recorded, and from when: rules, first match wins, and what they come to for a call.

A ruling holds from a time on. It is taken as soon as the call is there, and again with every message, since numbers,
agents, legs and codecs become known one by one; until two seconds after the answer a new one takes the place of the
first. After that (a transfer) it holds from its message on: what was said before was ruled on before.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Literal

from vittne.capture.columns import SECOND
from vittne.capture.conditions import Condition, Facts, HeaderIs

Then = Literal["record", "exclude", "on-demand", "percent"]
Mode = Literal["from-start", "after-announcement", "after-consent", "discard-on-objection"]
AtLimit = Literal["discard", "keep"]
PlayedBy = Literal["ours", "caller", "callee", "either"]

SETTLED_NS: Final = 2 * SECOND  # after the answer: legs of one call are answered one after the other
ALL: Final = "(all calls)"  # the rule of calls that no rule is about


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that decide a gate. consent, refuse: one symbol each, or "". by: who may press. Ns after the answer."""

    consent: str = ""
    refuse: str = ""
    by: Literal["caller", "callee", "either"] = "caller"
    within_ns: int = 30 * SECOND


@dataclass(frozen=True, slots=True)
class RecordRule:
    """One rule. percent: of calls that are recorded. keep_before: what was said before the gate opened is kept too.

    announcements: names of those whose being heard decides its gate; empty: of any. side: in whose voice; ours: the
    caller's on a call that goes out, the callee's on every other. live: whether its calls may be heard while they last.
    """

    name: str
    when: Condition = field(default_factory=Condition)
    then: Then = "record"
    percent: float = 100.0
    gate: Mode = "from-start"
    at_limit: AtLimit = "discard"
    keep_before: bool = True
    keys: Keys = field(default_factory=Keys)
    site: str = ""
    tags: tuple[str, ...] = ()
    announcements: tuple[str, ...] = ()
    side: PlayedBy = "ours"
    live: bool = True

    def is_opened_by(self, announcement: str) -> bool:
        """Whether an announcement, by its name, counts for the rule's gate."""
        return not self.announcements or announcement in self.announcements


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Bytes that may wait in memory before gates: of one call, and of all."""

    call_bytes: int = 16 << 20
    total_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class RecordRules:
    """All rules in their order. own: our numbers, for the direction. key: of the hash that percent asks."""

    rules: tuple[RecordRule, ...] = ()
    own: tuple[str, ...] = ()
    site: str = ""
    key: bytes = b""
    version: str = ""
    limits: GateLimits = field(default_factory=GateLimits)
    headers: tuple[HeaderIs, ...] = ()  # that any rule asks for

    def find(self, facts: Facts) -> RecordRule:
        """Return the first rule that a call meets."""
        return next((rule for rule in self.rules if rule.when.meets(facts)), _ALL_CALLS)

    def is_chosen(self, rule: RecordRule, call_id: str) -> bool:
        """Whether a call is among the percent that a rule records.

        By a hash of its first Call-ID under a key of ours: the same on every leg and after a restart, and nobody who
        makes up Call-IDs can choose.
        """
        digest = hmac.digest(self.key, call_id.encode("utf-8", "replace"), "sha256")
        return int.from_bytes(digest[:8], "big") * 100 < rule.percent * (1 << 64)


_ALL_CALLS: Final = RecordRule(ALL)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule means for a call from a time on (monotonic ns; 0: from its beginning)."""

    from_mono: int
    from_at: int
    rule: RecordRule
    excluded: bool = False
    is_outbound: bool = False

    def counts_of(self, side: str) -> bool:
        """Whether its gate counts what is played in the voice of the "caller" or the "callee"."""
        wanted = self.rule.side
        if wanted == "ours":
            wanted = "caller" if self.is_outbound else "callee"
        return wanted in ("either", side)


def version_of(text: str) -> str:
    """Return what names one state of the rules: a hash of how they are written."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
