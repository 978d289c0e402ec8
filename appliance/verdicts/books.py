"""What the registrar writes of verdicts when calls end: judged here again, whatever a worker said of it.

heard ▸ checked ▸ names and languages of the prompts as they are enrolled here ▸ verdict by the rules in force
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.policy.announcements import DISCARD, QUARANTINE
from vittne.appliance.policy.decide import Policy, PolicyRules, decide
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.verdicts.heard import Heard, heard_or_nothing
from vittne.appliance.verdicts.judge import NOT_EXPECTED
from vittne.appliance.verdicts.stored import ENTERED, NOTHING, is_missing
from vittne.appliance.verdicts.table import Kept
from vittne.appliance.verdicts.talked import details_of

NOT_ANNOUNCED: Final = "not-announced"  # why a call was discarded


@dataclass(frozen=True, slots=True)
class Prompt:
    """A reference as it is enrolled here. purpose: notice, consent or other."""

    name: str
    language: str
    purpose: str


Prompts = Callable[[Sequence[str]], Mapping[str, Prompt]]  # by hash; of those that are known


def judged(report: Mapping[str, Any], rules: PolicyRules, prompts: Prompts, is_kept: bool) -> dict[str, Any]:
    """Return a call's report with what the rules say of it, whatever it said; of what is not kept that is little."""
    details = dict(report.get("details", {}))
    details.pop("announcement", None)
    heard = heard_or_nothing({"heard": report.get("heard") or details.pop("heard", None)})
    details.pop("heard", None)
    plain = {**report, "details": details}
    plain.pop("heard", None)
    if heard is not None:
        plain["heard"] = enrolled(heard, prompts).as_json()
    policy = decide(plain, rules)
    told = policy.verdict.as_json() if policy.verdict is not None and policy.verdict.announced else {}
    plain.pop("heard", None)
    if not is_kept:
        if "then" in told:  # there is nothing left to be discarded, or to lie in quarantine
            told["then"] = [word for word in told["then"] if word not in (DISCARD, QUARANTINE)]
        known = {"announcement": told} if heard is not None and told else {}
        return {**plain, **Policy().members(), "announced": told["announced"] if known else "", **_with(details, known)}
    if heard is not None:
        details["heard"] = details_of(heard, plain)  # as it is sealed in the recording
    known = {"announcement": told if is_told(told) else dict(NOTHING)} if told else {}
    return {**plain, **policy.members(), **_with(details, known)}


def _with(details: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {"details": {**details, **more}}


def enrolled(heard: Heard, prompts: Prompts) -> Heard:
    """Return what was heard with each prompt's name, language and purpose as they are enrolled under its hash.

    What is not enrolled here was not listened for: nobody could show years later what it was.
    """
    if not heard.announcements:
        return heard
    known = prompts([one.reference for one in heard.announcements])
    found = [
        one.model_copy(update={"name": prompt.name, "language": prompt.language, "purpose": prompt.purpose})
        for one in heard.announcements
        if (prompt := known.get(one.reference)) is not None
    ]
    return heard.model_copy(update={"announcements": tuple(found)})


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
