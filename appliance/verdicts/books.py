"""What the registrar writes of verdicts when calls end: judged here again, whatever a worker said of it.

heard ▸ checked ▸ names and languages of the prompts as they are enrolled here ▸ verdict by the rules in force
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from vittne.appliance.policy.announcements import DISCARD, QUARANTINE
from vittne.appliance.policy.decide import Policy, PolicyRules, decide
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.verdicts.heard import Heard, Reference, heard_or_nothing
from vittne.appliance.verdicts.judge import NOT_EXPECTED, verdict_in
from vittne.appliance.verdicts.stored import ENTERED, NOTHING, is_missing
from vittne.appliance.verdicts.table import Kept
from vittne.appliance.verdicts.talked import details_of

Known = TypeVar("Known", bound=Reference)
OURS: Final = frozenset({"heard", "announcement"})  # members that nobody else writes
RESTART: Final = "restart"  # why a voice was not listened to whole
NOT_ANNOUNCED: Final = "not-announced"  # why a call was discarded


@dataclass(frozen=True, slots=True)
class Prompt:
    """A reference as it is enrolled here. purpose: notice, consent or other; sites: empty: it counts everywhere."""

    name: str
    language: str
    purpose: str
    sites: tuple[str, ...] = ()


Prompts = Callable[[Sequence[str], int], Mapping[str, Prompt]]  # by hash, as they were at a time; of those known


def judged(
    report: Mapping[str, Any],
    rules: PolicyRules,
    prompts: Prompts,
    is_kept: bool,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a call's report with what the rules say of it, whatever it said; of what is not kept that is little.

    What was heard is a member of a report that a worker sends, and stands in its details once it was looked at.
    known: the verdict, where it was made before everything died.
    """
    said = report.get("details", {})
    heard = heard_or_nothing(report)
    if heard is None and report.get("heard") is None:
        heard = _cut_off(heard_or_nothing(said))
    details = {name: value for name, value in said.items() if name not in OURS}
    plain = {**{name: value for name, value in report.items() if name not in OURS}, "details": details}
    asked = plain if heard is None else {**plain, "heard": enrolled(heard, prompts, report).as_json()}
    policy = decide(asked, rules, None if known is None else verdict_in(known))
    told = policy.verdict.as_json() if policy.verdict is not None and policy.verdict.announced else {}
    told = told if known is None else dict(known)
    if not is_kept:
        return _not_kept(plain, told if heard is not None else {})
    if heard is not None:
        details["heard"] = details_of(heard, plain)  # as it is sealed in the recording
    if told:
        details["announcement"] = told if is_told(told) else dict(NOTHING)
    return {**plain, **policy.members()}


def _cut_off(heard: Heard | None) -> Heard | None:
    """Return what was heard of a call until everything died: what came after nobody listened to."""
    if heard is None:
        return None
    listened = [one.model_copy(update={"why": ", ".join(filter(None, (RESTART, one.why)))}) for one in heard.listened]
    return heard.model_copy(update={"listened": tuple(listened)})


def _not_kept(plain: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a call of which nothing is kept: whether it was announced is counted all the same."""
    if "then" in told:  # there is nothing left to be discarded, or to lie in quarantine
        told["then"] = [word for word in told["then"] if word not in (DISCARD, QUARANTINE)]
    known = {"announcement": told} if told else {}
    members = {**Policy().members(), "announced": told.get("announced", "")}
    return {**plain, **members, "details": {**plain["details"], **known}}


def enrolled(heard: Heard, prompts: Prompts, report: Mapping[str, Any]) -> Heard:
    """Return what was heard with each prompt's terms as they were enrolled under its hash when the call was.

    What is not enrolled here was not listened for: nobody could show years later what it was. Of what was missing the
    worker's words stay, so that a call is rather not known than not announced. report: whose times and site count.
    """
    if not heard.announcements and not heard.consent and not heard.missing:
        return heard
    hashes = [one.reference for one in (*heard.announcements, *heard.missing)]
    hashes += [one.reference for one in heard.consent]
    known, site = prompts(hashes, answered_us(report)), str(report.get("site", ""))
    asked = {
        reference
        for reference, prompt in known.items()
        if prompt.purpose == "consent" and (not prompt.sites or site in prompt.sites)
    }
    found = [_as_enrolled(one, known[one.reference], site) for one in heard.announcements if one.reference in known]
    missing = [
        _as_enrolled(one, known[one.reference], site) if one.reference in known else one for one in heard.missing
    ]
    # the last word counts: a no is never left out, whatever it was said to
    consent = tuple(one for one in heard.consent if one.reference in asked or one.decision == "refused")
    return heard.model_copy(update={"announcements": tuple(found), "missing": tuple(missing), "consent": consent})


def answered_us(report: Mapping[str, Any]) -> int:
    """Return when a call was answered, else when it began: what was enrolled then counts for it."""
    return from_rfc3339(report.get("answered_at") or report["started_at"])


def _as_enrolled(one: Known, prompt: Prompt, site: str) -> Known:
    elsewhere = bool(prompt.sites) and site not in prompt.sites
    terms = {"name": prompt.name, "language": prompt.language, "purpose": prompt.purpose, "elsewhere": elsewhere}
    return one.model_copy(update=terms)


def verdict_of(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the verdict in a report that was judged; empty where there is none."""
    told: Mapping[str, Any] = report.get("details", {}).get("announcement") or {}
    return told


def is_told(told: Mapping[str, Any]) -> bool:
    """Whether a verdict stands in manifest and ledger: of what nobody expected and nobody heard nothing does."""
    return bool(told) and (told["announced"] != NOT_EXPECTED or bool(told.get("expected")))


def is_unwanted(report: Mapping[str, Any]) -> bool:
    """Whether a rule says that a call which was not announced is not kept."""
    return DISCARD in verdict_of(report).get("then", ())


def kept_all_the_same(report: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Return the report of an unwanted call that must not be discarded: it lies in quarantine instead."""
    told = {**verdict_of(report), "then": [QUARANTINE], "kept_by": why}
    at = report["ended_at"] or report["started_at"]
    return {**report, "quarantined_at": at, "details": {**report["details"], "announcement": told}}


def discarded(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a call of which nothing is kept because it was not announced: no word of who spoke when."""
    details = {name: value for name, value in report["details"].items() if name != "heard"}
    return {
        **report,
        **{name: value for name, value in Policy().members().items() if name != "announced"},
        "outcome": "discarded-by-policy",
        "outcome_reasons": [NOT_ANNOUNCED],
        "details": details,
    }


def entry_of(one: Kept) -> dict[str, Json]:
    """Return the ledger's entry of a verdict."""
    told: dict[str, Json] = {name: one.told[name] for name in ENTERED if name in one.told}
    listened = {"listened": fingerprint(one.references)} if one.references else {}
    return {"t": events.VERDICT, "rec": one.recording, "n": one.n, "by": one.made_by, **told, **listened}


def fingerprint(references: Iterable[str]) -> str:
    """Return a hash of a set of references: SHA-256 over their hashes in order, a line each."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(set(references))).encode()).hexdigest()


def alarm_of(told: Mapping[str, Any]) -> bool:
    """Whether a verdict raises an alarm."""
    return is_missing(told) and "alarm" in told.get("then", ())
