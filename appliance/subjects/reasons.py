"""Why something is not done, in words that may stand in the answer to the person. Pure."""

from __future__ import annotations

from vittne.appliance.life.precedence import GONE, HOLD, LIVE, LOCK, RESTRICTION, Decision, Facts
from vittne.appliance.store.times import rfc3339


def for_the_letter(decision: Decision, facts: Facts) -> str:
    """Return why a recording is not erased; "" when nothing is against it. A hold's label stays here."""
    if decision.allowed:
        return ""
    until = rfc3339(facts.locked_until_us or 0)[:10]
    return {
        HOLD: "It is needed to establish, exercise or defend legal claims (Art. 17(3)(e) GDPR).",
        LOCK: f"A legal obligation requires that it is kept until {until} (Art. 17(3)(b) GDPR).",
        RESTRICTION: "Its use is restricted, because somebody wants it kept (Art. 18 GDPR): it is stored and not used.",
        GONE: "It was erased before.",
        LIVE: "The call goes on.",
    }.get(decision.rule, decision.words)
