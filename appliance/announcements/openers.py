"""Which gates of [[record]] nothing can decide any more: without a word of the PBX their calls are never recorded.

A gate is decided by announcements that are listened for, by a key of the rule, or by a rule on the signalling. What the
PBX says over the API cannot be known beforehand: a rule that names announcements does not count on it, and where nobody
listens at all the gates of all others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.recordconfig import KeepingConfig, RecordConfig
from vittne.appliance.ruleconfig import RuleConfig

# What decides a gate: words of [[rules]].
_WORDS: Final = {
    "after-announcement": frozenset({"announced", "agree"}),
    "after-consent": frozenset({"agree"}),
    "discard-on-objection": frozenset({"refuse"}),
}


@dataclass(frozen=True, slots=True)
class Undecided:
    """A rule whose gate nothing decides. gate: its kind; why: in words."""

    rule: str
    gate: str
    why: str

    @property
    def is_open(self) -> bool:
        """Whether its calls are recorded, and nobody can object; else they are not."""
        return self.gate == "discard-on-objection"

    def words(self) -> str:
        """Return what it comes to, for people."""
        what = "nobody can object by key" if self.is_open else "nothing opens it, its calls are not recorded"
        return f"the gate {self.gate} of rule {self.rule}: {self.why}: {what}"


def undecided(
    keeping: KeepingConfig, rules: Sequence[RuleConfig], listens: bool, usable: Sequence[ReferenceHandle]
) -> list[Undecided]:
    """Return such rules. listens: whether anybody listens to calls; usable: announcements that count and are there."""
    found = []
    for one in keeping.record:
        if one.then not in ("record", "percent") or one.gate not in _WORDS:
            continue
        if one.gate == "discard-on-objection" and not one.announcements:
            continue  # an objection may come over the API; nothing says that a prompt is to ask
        if any(rule.then in _WORDS[one.gate] for rule in rules) or _has_key(one):
            continue
        if not listens and not one.announcements:
            continue
        if not listens or not any(_decides(handle, one, keeping.site.name) for handle in usable):
            found.append(Undecided(one.name, one.gate, _why(one, listens, usable)))
    return found


def _has_key(rule: RecordConfig) -> bool:
    return bool(rule.refuse_key if rule.gate == "discard-on-objection" else rule.consent_key)


def _decides(handle: ReferenceHandle, rule: RecordConfig, site: str) -> bool:
    """Whether hearing an announcement may decide a rule's gate, as capture/announcing.py has it."""
    if rule.announcements and handle.name not in rule.announcements:
        return False
    if handle.sites and (rule.site or site) not in handle.sites:
        return False
    if rule.gate == "discard-on-objection":
        return bool(handle.refuse)
    return bool(handle.agree) or (rule.gate == "after-announcement" and handle.purpose == "notice")


def _why(rule: RecordConfig, listens: bool, usable: Sequence[ReferenceHandle]) -> str:
    if not listens:
        return "nobody listens to calls (analysis.window_s, analysis.processes)"
    if rule.announcements:
        return f"none of {', '.join(rule.announcements)} is enrolled for it, counts now and has its sound"
    return "no announcement for it is enrolled, counts now and has its sound" if usable else "no announcement is usable"
