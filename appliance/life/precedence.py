"""What may be done to a recording when the laws contradict each other. Pure: values in, a decision out.

The order is fixed, the first rule that says something decides:

    1 card data      cutting them out is always allowed; inside a lock two persons must want it
    2 legal hold     nothing is erased while one is on it
    3 lock           nor before the lock of its class ends; where the class says so, two persons may
    4 restriction    what a person wants kept and not used (GDPR Art. 18) is not erased under his hands
    5 erasure        then whoever may ask for it gets it (Art. 17)
    6 expiry         and what is over its greatest age goes by itself, if a class says so
    7 disk space     raises an alarm, and deletes nothing; where the configuration says so, what none of the rules
                     above keeps and a class is over its least age with
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from vittne.appliance.store.times import rfc3339

Act = Literal["cut", "erase", "expire", "space"]

CARD_DATA: Final = "card-data"
HOLD: Final = "legal-hold"
LOCK: Final = "lock"
RESTRICTION: Final = "restriction"
ERASURE: Final = "erasure"
EXPIRY: Final = "expiry"
SPACE: Final = "disk-space"
GONE: Final = "erased-before"
LIVE: Final = "goes-on"
NO_CLASS: Final = "no-class"
NO_END: Final = "no-end"
NOT_DUE: Final = "not-due"


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides about a recording. Times are microseconds UTC.

    holds: labels of those that are on it. early: its class lets two persons erase before the lock ends.
    """

    is_live: bool = False
    retention_class: str = ""
    locked_until_us: int | None = None
    expires_us: int | None = None
    restricted_us: int | None = None
    erased_us: int | None = None
    holds: tuple[str, ...] = ()
    early: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What came out. persons: so many must want it, at least; words: why not, for people."""

    act: Act
    allowed: bool
    rule: str
    persons: int = 1
    words: str = ""

    def as_json(self, facts: Facts) -> dict[str, Any]:
        """Return rule, inputs and outcome as the audit trail keeps them. Holds are counted, labels may name people."""
        return {
            "act": self.act,
            "rule": self.rule,
            "outcome": "allowed" if self.allowed else "refused",
            "persons": self.persons,
            "inputs": {
                "class": facts.retention_class,
                "locked_until": _shown(facts.locked_until_us),
                "expires_at": _shown(facts.expires_us),
                "restricted_at": _shown(facts.restricted_us),
                "holds": len(facts.holds),
            },
        }


def decide(act: Act, facts: Facts, at_us: int, may_make_room: bool = False) -> Decision:
    """Return what the first rule that says something says. may_make_room: a full disk may erase, by configuration."""
    if act == "space" and not may_make_room:
        return Decision(act, False, SPACE, words="a full disk deletes nothing: make room, or lengthen no more")
    if facts.erased_us is not None:
        return Decision(act, False, GONE, words=f"it was erased at {rfc3339(facts.erased_us)}")
    if facts.is_live:
        return Decision(act, False, LIVE, words="the call goes on")
    is_locked = facts.locked_until_us is not None and at_us < facts.locked_until_us
    if act == "cut":
        return Decision(act, True, CARD_DATA, persons=2 if is_locked else 1)
    if facts.holds:
        named = ", ".join(repr(label) for label in facts.holds[:3])
        return Decision(act, False, HOLD, words=f"under legal hold: {named}")
    if is_locked and not (act == "erase" and facts.early):
        until = rfc3339(facts.locked_until_us or 0)
        return Decision(act, False, LOCK, words=f"locked by class {facts.retention_class!r} until {until}")
    if facts.restricted_us is not None:
        words = f"restricted since {rfc3339(facts.restricted_us)}: somebody wants it kept; lift that first"
        return Decision(act, False, RESTRICTION, words=words)
    if act == "erase":
        return Decision(act, True, LOCK if is_locked else ERASURE, persons=2 if is_locked else 1)
    if act == "space":
        if not facts.retention_class:
            return Decision(act, False, NO_CLASS, words="it has no retention class: nothing says that it may go")
        return Decision(act, True, SPACE)
    return _expired(facts, at_us)


def _expired(facts: Facts, at_us: int) -> Decision:
    if not facts.retention_class:
        return Decision("expire", False, NO_CLASS, words="it has no retention class: nothing says that it may go")
    if facts.expires_us is None:
        return Decision("expire", False, NO_END, words=f"class {facts.retention_class!r} has no end")
    if at_us < facts.expires_us:
        return Decision("expire", False, NOT_DUE, words=f"not before {rfc3339(facts.expires_us)}")
    return Decision("expire", True, EXPIRY)


def _shown(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
