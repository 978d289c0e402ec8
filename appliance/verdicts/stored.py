"""Verdicts as they are stored: the JSON of judge.Verdict, read back from manifest, ledger or catalogue.

Whoever reads one believes nothing of its form: a manifest may come from another version of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vittne.appliance.policy.announcements import QUARANTINE
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.verdicts.judge import FULL, NONE, NOT_EXPECTED, PARTIAL

NOTHING: Final[Mapping[str, Any]] = {"announced": NOT_EXPECTED, "expected": False, "proven": False}
_SAME_MS: Final = 300
LISTENED: Final = frozenset({FULL, PARTIAL, NONE})
# What an entry of the ledger has of a verdict: everything but what a rule's words could tell of people.
ENTERED: Final = (
    *("announced", "expected", "proven", "rule", "rules", "reason", "then", "due", "kept_by", "missing"),
    *("reference", "name", "language", "party", "stream", "begin", "end", "offset_ms"),
    *("share_permille", "required_permille", "score_permille", "overlap_permille", "detector"),
)


def columns_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verdict's columns in the table announcement_verdict. KeyError, ValueError when it is none."""
    texts = ("rule", "reason", "reference", "name", "language", "party", "detector")
    return {
        "announced": str(told["announced"]),
        "expected": bool(told["expected"]),
        "proven": bool(told["proven"]),
        **{name: str(told.get(name, "")) for name in texts},
        "stream": told.get("stream"),
        "begin_us": _at(told, "begin"),
        "end_us": _at(told, "end"),
        "offset_ms": told.get("offset_ms"),
        "share": told.get("share_permille"),
        "required_share": told.get("required_permille"),
        "score": told.get("score_permille"),
        "overlap": told.get("overlap_permille"),
    }


def due_us(told: Mapping[str, Any]) -> int | None:
    """Return where the announcement should have been; None where nothing is missing."""
    return _at(told, "due")


def is_missing(told: Mapping[str, Any]) -> bool:
    """Whether an announcement was wanted and is not proven."""
    return bool(told.get("expected")) and not told.get("proven")


def wants_quarantine(told: Mapping[str, Any]) -> bool:
    """Whether nobody may hear the recording until it was looked at."""
    return QUARANTINE in told.get("then", ())


def proven_by(basis: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lawful basis whose proof is an announcement, as a verdict proves it or not; any other as it is.

    A verdict that rests on nothing heard leaves what was told: a PBX may have said that it played one.
    """
    says = bool(told.get("proven")) or (bool(told.get("expected")) and told.get("announced") in LISTENED)
    if basis.get("proof") != "announcement" or not says:
        return dict(basis)
    if not told.get("proven"):
        return {**basis, "proven": False, "proven_at": None, "proven_by": ""}
    by = f"heard {told.get('name', '')} {str(told.get('reference', ''))[:16]}"
    return {**basis, "proven": True, "proven_at": told.get("end"), "proven_by": " ".join(by.split())}


def same_finding(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two verdicts say that the same was heard: the same prompt, as completely, at the same place.

    While a call lasts a voice is heard as its packets come, later as it is played: a place may differ by what lies
    between the two.
    """
    if any(one.get(name) != other.get(name) for name in ("announced", "reference", "party")):
        return False
    return "offset_ms" not in one or abs(int(one["offset_ms"]) - int(other["offset_ms"])) <= _SAME_MS


def _at(told: Mapping[str, Any], name: str) -> int | None:
    text = told.get(name)
    return None if text is None else from_rfc3339(str(text))
