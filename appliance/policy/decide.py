"""What a recording's report comes to under the rules in force when it is sealed. Pure: values in, values out.

Asked twice with the same report and rules the answer is the same: by the worker, which seals it into the recording,
and by the registrar, which believes nothing that a worker says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vittne.appliance.policy.announcements import NO_ANNOUNCEMENTS, AnnouncementRules, announcement_rules
from vittne.appliance.policy.classes import RetentionClass, read_age
from vittne.appliance.policy.config import BasisConfig, classes
from vittne.appliance.recordconfig import KeepingConfig, version
from vittne.appliance.store.times import from_rfc3339, rfc3339
from vittne.appliance.verdicts.heard import heard_or_nothing
from vittne.appliance.verdicts.judge import Verdict, judge, quarantined
from vittne.capture.conditions import Condition, Facts


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Calls that meet when get a class."""

    name: str
    when: Condition
    class_: RetentionClass


@dataclass(frozen=True, slots=True)
class BasisRule:
    """Calls that meet when were recorded on a ground."""

    when: Condition
    says: BasisConfig


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """All rules that are asked at sealing, in their order; the first that fits decides."""

    retention: tuple[RetentionRule, ...] = ()
    basis: tuple[BasisRule, ...] = ()
    version: str = ""
    announcement: AnnouncementRules = NO_ANNOUNCEMENTS


NO_RULES: Final = PolicyRules()


@dataclass(frozen=True, slots=True)
class Policy:
    """What was decided. Times are microseconds UTC. class_ "" and no times: no rule fits.

    verdict: on the announcement; None of what is not kept. quarantined: since when nobody may hear it.
    """

    class_: str = ""
    lock_until: int | None = None
    delete_after: int | None = None
    basis: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = ""
    rule: str = ""  # of [[retention]]
    version: str = ""
    verdict: Verdict | None = None
    quarantined: int | None = None

    def members(self) -> dict[str, Any]:
        """Return the members of a call's report that it sets."""
        return {
            "retention_class": self.class_,
            "locked_until": None if self.lock_until is None else rfc3339(self.lock_until),
            "expires_at": None if self.delete_after is None else rfc3339(self.delete_after),
            "basis": dict(self.basis),
            "announced": "" if self.verdict is None else self.verdict.announced,
            "quarantined_at": None if self.quarantined is None else rfc3339(self.quarantined),
        }


def policy_rules(config: KeepingConfig) -> PolicyRules:
    """Return a configuration's rules."""
    zone, known = config.site.timezone, classes(config.classes)
    return PolicyRules(
        tuple(RetentionRule(one.name, one.condition(zone), known[one.class_]) for one in config.retention),
        tuple(BasisRule(one.condition(zone), one) for one in config.basis),
        version(config, (*config.retention, *config.basis)) if config.retention or config.basis else "",
        announcement_rules(
            config.announcement, zone, version(config, config.announcement) if config.announcement else ""
        ),
    )


def decide(report: Mapping[str, Any], rules: PolicyRules, known: Verdict | None = None) -> Policy:
    """Return what a report comes to. Ages count from the call's end. known: the verdict, where it was made before."""
    facts = facts_of_report(report)
    verdict = judge(report, facts, rules.announcement) if known is None else known
    facts = replace(facts, announced=_is_announced(report, verdict))
    made_us = from_rfc3339(report["ended_at"] or report["started_at"])
    kept = next((rule for rule in rules.retention if rule.when.meets(facts)), None)
    basis = next((rule for rule in rules.basis if rule.when.meets(facts)), None)
    quarantine = made_us if quarantined(verdict) else None
    if kept is None and basis is None:
        return Policy(version=rules.version, verdict=verdict, quarantined=quarantine)
    least, greatest = (None, None) if kept is None else (kept.class_.least, kept.class_.greatest)
    return Policy(
        class_="" if kept is None else kept.class_.name,
        lock_until=None if least is None else least.after(made_us),
        delete_after=None if greatest is None else greatest.after(made_us),
        basis={} if basis is None else _basis(basis.says, report, made_us, rules.version, verdict),
        purpose="" if basis is None else basis.says.purpose,
        rule="" if kept is None else kept.name,
        version=rules.version,
        verdict=verdict,
        quarantined=quarantine,
    )


def facts_of_report(report: Mapping[str, Any]) -> Facts:
    """Return the facts of a call that ended. One that was recorded before facts were kept shows few."""
    told = report.get("details", {}).get("facts", {})
    names = ("callers", "callees", "agents", "addresses", "headers", "domains")
    return Facts(
        **{name: tuple(map(str, told.get(name, ()))) for name in names},
        codecs=tuple(dict.fromkeys(str(stream["codec"]) for stream in report["streams"])),
        direction=str(told.get("direction", "")),
        site=str(report.get("site", "")),
        at_ns=from_rfc3339(report["started_at"]) * 1000,
        tags=tuple(map(str, report.get("tags", ()))),
        announced=_was_announced(report),
    )


def _was_announced(report: Mapping[str, Any]) -> bool:
    """Return what a report of a call that was judged says, or what was decided on its gate."""
    known = report.get("details", {}).get("announcement")
    if isinstance(known, Mapping) and (known.get("expected") or known.get("proven")):
        return bool(known.get("proven"))
    return _decision(report, "announced") is not None


def _is_announced(report: Mapping[str, Any], verdict: Verdict) -> bool:
    """Whether a notice was given. What was heard where a rule wanted it outranks what somebody told."""
    if verdict.proven or (verdict.expected and verdict.is_listened):
        return verdict.proven
    return _decision(report, "announced") is not None


def _basis(
    says: BasisConfig, report: Mapping[str, Any], made_us: int, version: str, verdict: Verdict
) -> dict[str, Any]:
    wanted = {"consent": "agreed", "announcement": "announced"}.get(says.proof, "")
    decision = _decision(report, wanted) if wanted else None
    if says.proof == "consent" and decision is None:
        decision = _keyed(report)
    if says.proof == "announcement" and (verdict.proven or not _is_announced(report, verdict)):
        decision = _heard(verdict)
    return {
        "lawful_basis": says.lawful_basis,
        "purpose": says.purpose,
        "proof": says.proof,
        "reference": says.reference,
        "proven": decision is not None if wanted else says.proof != "none",
        "proven_at": None if decision is None else decision["at"],
        "proven_by": "" if decision is None else f"{decision['trigger']} {decision['by']}",
        "expires_at": None if says.expires is None else rfc3339(read_age(says.expires).after(made_us)),
        "rule": says.name,
        "version": version,
    }


def _heard(verdict: Verdict) -> Mapping[str, Any] | None:
    """Return a verdict in the form of a decision; None where it proves nothing."""
    if not verdict.proven or verdict.match is None:
        return None
    match = verdict.match
    by = f"{match.name} {match.reference[:16]}".strip()
    return {"trigger": "heard", "by": by, "at": rfc3339(from_rfc3339(match.end))}


def _keyed(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return who agreed by a key after a consent prompt, where no gate waited for it; the last word counts."""
    heard = heard_or_nothing(report)
    last = max(heard.consent, key=lambda one: from_rfc3339(one.at), default=None) if heard is not None else None
    if last is None or last.decision != "agreed" or not last.reference:
        return None
    return {"trigger": "consent", "by": last.reference[:16], "at": rfc3339(from_rfc3339(last.at))}


def _decision(report: Mapping[str, Any], word: str) -> Mapping[str, Any] | None:
    """Return the first decision of a kind on a call's gate."""
    ruled = report.get("details", {}).get("recording_rule") or {}
    found: list[Mapping[str, Any]] = [one for one in ruled.get("decisions", ()) if one["decision"] == word]
    return found[0] if found else None
