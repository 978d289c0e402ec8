"""The verdict on a call: was it announced as the rule that fits wants it. Pure: values in, values out.

Asked twice with the same report and rules the answer is the same: by the worker, by the registrar, and years later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.policy.announcements import (
    NO_ANNOUNCEMENTS,
    QUARANTINE,
    AnnouncementConfig,
    AnnouncementRules,
)
from vittne.appliance.store.times import from_rfc3339, rfc3339
from vittne.appliance.verdicts.heard import (
    PARTIES,
    Announcement,
    Heard,
    Listened,
    Party,
    Reference,
    heard_or_nothing,
    nobodys,
)
from vittne.capture.conditions import Facts, like
from vittne.capture.heard import NOT_ALL as NOT_ALL_LISTENED_FOR

FULL: Final = "full"
PARTIAL: Final = "partial"
NONE: Final = "none"
NOT_LISTENED: Final = "not-listened"
NOT_EXPECTED: Final = "not-expected"
VERDICTS: Final = (FULL, PARTIAL, NONE, NOT_LISTENED, NOT_EXPECTED)
# why a call is not announced as it should be, the nearest miss last
NOT_HEARD: Final = "not-heard"
OTHER_PROMPT: Final = "other-prompt"
OTHER_LANGUAGE: Final = "other-language"
WRONG_SIDE: Final = "wrong-side"
TOO_LATE: Final = "too-late"
CUT_SHORT: Final = "cut-short"
NOT_ALL: Final = "not-all"
PARTY_NOT_SEEN: Final = "party-not-seen"  # in whose voice it could have been: the mirror shows the other one only
WINDOW_OVER: Final = "window-over"  # listening ended while it was played
_NEAR_S: Final = 1
_MOST_MISSING: Final = 16  # references that a verdict names
_MISSES: Final = (NOT_HEARD, OTHER_PROMPT, OTHER_LANGUAGE, WRONG_SIDE, TOO_LATE, CUT_SHORT)
_SECOND_US: Final = 1_000_000
# why a voice was not listened to whole, where we are to blame: of machines that died, load, and what was altered
NOT_STORED: Final = "not stored"  # it was paused, cut out, or came before a gate was open
_OURS: Final = frozenset({"restart", "restarted", "too late", "announcements changed", "too many voices", NOT_STORED})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out. then: what follows, () when nothing does; reason: a word; due_us: where it should have been."""

    announced: str
    expected: bool = False
    proven: bool = False  # a notice was given, as the rule wants it; without a rule: one was heard whole
    rule: str = ""
    rules: str = ""  # version of all of them
    reason: str = ""
    then: tuple[str, ...] = ()
    match: Announcement | None = None
    detector: str = ""
    due_us: int | None = None
    missing: tuple[Reference, ...] = ()  # that could have been it, and were not listened for

    @property
    def is_met(self) -> bool:
        """Whether nothing is missing."""
        return not self.expected or self.proven

    @property
    def is_listened(self) -> bool:
        """Whether it rests on what was heard."""
        return self.announced in (FULL, PARTIAL, NONE)

    def as_json(self) -> dict[str, Any]:
        """Return it as manifest, ledger and catalogue have it: no float, nobody's name, shares in thousandths."""
        told: dict[str, Any] = {"announced": self.announced, "expected": self.expected, "proven": self.proven}
        told |= {name: value for name in ("rule", "rules", "reason", "detector") if (value := getattr(self, name))}
        if self.then:
            told["then"] = list(self.then)
        if self.due_us is not None:
            told["due"] = rfc3339(self.due_us)
        if self.missing:
            told["missing"] = [
                {"reference": one.reference, "name": nobodys(one.name)} for one in self.missing[:_MOST_MISSING]
            ]
        return told | (_matched(self.match) if self.match is not None else {})


def verdict_in(told: Mapping[str, Any]) -> Verdict:
    """Return a verdict as manifest, ledger or catalogue have it, as far as rules ask: without what matched."""
    rule, rules, reason = (str(told.get(name, "")) for name in ("rule", "rules", "reason"))
    is_expected, is_proven = bool(told.get("expected")), bool(told.get("proven"))
    then = tuple(str(one) for one in told.get("then", ()))
    return Verdict(str(told["announced"]), is_expected, is_proven, rule, rules, reason, then)


NO_VERDICT: Final = Verdict("")  # nobody listened, and no rule asks


def _matched(one: Announcement) -> dict[str, Any]:
    told = {"reference": one.reference, "name": nobodys(one.name), "language": one.language, "party": one.party}
    return {
        **{name: value for name, value in told.items() if value},
        "stream": one.stream,
        "begin": rfc3339(from_rfc3339(one.begin)),
        "end": rfc3339(from_rfc3339(one.end)),
        "offset_ms": round(one.offset_s * 1000),
        "share_permille": _permille(one.share),
        "required_permille": _permille(one.required_share),
        "score_permille": _permille(one.score),
        "overlap_permille": _permille(one.overlap),
    }


def _permille(share: float) -> int:
    return min(1000, max(0, round(share * 1000)))


def judge(report: Mapping[str, Any], facts: Facts, rules: AnnouncementRules = NO_ANNOUNCEMENTS) -> Verdict:
    """Return the verdict on a call's report. facts: of the call; the first rule that fits says what was wanted."""
    heard = heard_or_nothing(report)
    if heard is None and not rules.rules:
        return NO_VERDICT
    fits = next((one.says for one in rules.rules if one.when.meets(facts)), None)
    detector = "" if heard is None else heard.detector
    begin_us = from_rfc3339(report.get("answered_at") or report["started_at"])
    if fits is None or not fits.needed or not report.get("answered_at"):
        return _unasked(heard, fits, rules.version, detector)
    best, reason, match = _best(heard, fits, begin_us)
    proven = best == FULL or (best == PARTIAL and fits.partial_suffices and reason in ("", CUT_SHORT, NOT_ALL))
    missing: tuple[Reference, ...] = ()
    if not proven:
        is_unheard = best == NONE or reason == NOT_ALL
        why = _unheard(heard, fits) if is_unheard else _broken(heard, fits, match)
        best, reason, missing = (NOT_LISTENED, why, _missing(heard, fits)) if why else (best, reason, ())
    then = () if proven else fits.not_listened if best == NOT_LISTENED else fits.otherwise
    due = None if proven else _due(match, begin_us)
    return Verdict(best, True, proven, fits.name, rules.version, reason, then, match, detector, due, missing)


def _unasked(heard: Heard | None, fits: AnnouncementConfig | None, version: str, detector: str) -> Verdict:
    """Return the verdict on a call that need not be announced: what was heard is told all the same."""
    found = sorted(_notices(heard), key=lambda one: (one.state != FULL, one.begin))
    rule = "" if fits is None else fits.name
    if not found:
        return Verdict(NOT_EXPECTED, rule=rule, rules=version, detector=detector)
    return Verdict(found[0].state, False, found[0].state == FULL, rule, version, "", (), found[0], detector)


def _best(heard: Heard | None, rule: AnnouncementConfig, begin_us: int) -> tuple[str, str, Announcement | None]:
    """Return the state, why it is no better, and what it rests on."""
    notices = _notices(heard)
    if rule.combine == "any" and rule.side != "both":
        return _nearest(notices, rule, rule.prompts, _sides(rule), begin_us)
    prompts: Sequence[tuple[str, ...]] = [(one,) for one in rule.prompts] if rule.combine == "all" else [rule.prompts]
    sides: Sequence[tuple[Party, ...]] = [(side,) for side in PARTIES] if rule.side == "both" else [_sides(rule)]
    each = [_nearest(notices, rule, prompt, side, begin_us) for prompt in prompts for side in sides]
    heard_of = [one for one in each if one[0] != NONE]
    if not heard_of:
        return max(each, key=lambda one: _MISSES.index(one[1]))
    if all(state == FULL for state, _, _ in each):
        return max(each, key=lambda one: one[2].begin if one[2] is not None else "")
    missing = next(one for one in each if one[0] != FULL)
    return PARTIAL, NOT_ALL if missing[0] == NONE else missing[1], missing[2] or heard_of[0][2]


def _nearest(
    notices: Sequence[Announcement],
    rule: AnnouncementConfig,
    prompts: tuple[str, ...],
    sides: tuple[Party, ...],
    begin_us: int,
) -> tuple[str, str, Announcement | None]:
    """Return the announcement that comes nearest to what is wanted."""
    missed: tuple[str, Announcement | None] = NOT_HEARD, None
    partial: Announcement | None = None
    for one in sorted(notices, key=lambda one: (from_rfc3339(one.begin), -one.share)):
        miss = _miss(one, rule, prompts, sides, begin_us)
        if not miss and one.state == FULL:
            return FULL, "", one
        if not miss and (partial is None or one.share > partial.share):
            partial = one
        if miss and _MISSES.index(miss) > _MISSES.index(missed[0]):
            missed = miss, one
    if partial is not None:
        return PARTIAL, CUT_SHORT, partial
    return NONE, *missed


def _miss(
    one: Announcement, rule: AnnouncementConfig, prompts: tuple[str, ...], sides: tuple[Party, ...], begin_us: int
) -> str:
    if other := _other(one, rule, prompts):
        return other
    if one.party not in sides:
        return WRONG_SIDE
    if rule.within_s is not None and from_rfc3339(one.begin) - begin_us > rule.within_s * _SECOND_US:
        return TOO_LATE
    return ""


def _other(one: Reference, rule: AnnouncementConfig, prompts: tuple[str, ...]) -> str:
    """Return in what a reference is not the one that is wanted; "" when it is."""
    if prompts and not any(like(one.name, prompt) for prompt in prompts):
        return OTHER_PROMPT
    if rule.languages and not any(like(one.language, wanted) for wanted in rule.languages):
        return OTHER_LANGUAGE
    return ""


def _notices(heard: Heard | None) -> list[Announcement]:
    """Return what tells a party something."""
    return [] if heard is None else [one for one in heard.announcements if one.tells]


def _sides(rule: AnnouncementConfig) -> tuple[Party, ...]:
    return (rule.side,) if rule.side in PARTIES else PARTIES


def _unheard(heard: Heard | None, rule: AnnouncementConfig) -> str:
    """Return why a call was not listened to where the announcement should be; "" when it was.

    A voice that was listened to for a while and then no more (its codec changed) was not listened to whole. What we
    ourselves lost of one voice may have been in that one, however whole another voice of the party is. Where it may be
    on either side, both must have been listened to.
    """
    if heard is None:
        return "not-told"
    if lacks := _lacking(heard, rule):
        return lacks
    sides = [listened for listened in heard.listened if listened.party in _sides(rule)]
    if lost := next((why for one in sides if (why := _ours(one))), ""):
        return lost
    whole = {one.party for one in sides if not one.why and one.seconds > 0}
    if whole >= set(_sides(rule)):
        return ""
    if why := next((one.why.split(", ")[0] for one in sides if one.why), ""):
        return why
    return PARTY_NOT_SEEN if whole else "no-voice"


def _lacking(heard: Heard, rule: AnnouncementConfig) -> str:
    """Return why what the rule wants was not listened for; "" when all of it was."""
    if heard.lacks == NOT_ALL_LISTENED_FOR and heard.missing and not _missing(heard, rule):
        return ""
    return heard.lacks


def _missing(heard: Heard | None, rule: AnnouncementConfig) -> tuple[Reference, ...]:
    """Return the references that would have been what the rule wants, and were not listened for."""
    some = () if heard is None else heard.missing
    return tuple(one for one in some if one.tells and not _other(one, rule, rule.prompts))


def _broken(heard: Heard | None, rule: AnnouncementConfig, match: Announcement | None) -> str:
    """Return why a part that was heard says little: the voice was not listened to whole, or not long enough, or what
    was not listened for may have been it. "" when it is what was played.
    """
    if heard is None or match is None:
        return ""
    if lacks := _lacking(heard, rule):
        return lacks
    voices = [one for one in heard.listened if (one.stream, one.party) == (match.stream, match.party)]
    if why := next((_ours(one) or one.why.split(", ")[0] for one in voices if one.why), ""):
        return why
    return WINDOW_OVER if any(_is_window_over(one, heard, match) for one in voices) else ""


def _is_window_over(one: Listened, heard: Heard, match: Announcement) -> bool:
    """Whether a voice was listened to until the end of its window, and no longer, while the announcement was played."""
    if one.to is None or not heard.window_s or one.seconds < heard.window_s - _NEAR_S:
        return False
    return from_rfc3339(match.end) >= from_rfc3339(one.to) - _NEAR_S * _SECOND_US


def _ours(one: Listened) -> str:
    return next((why for why in one.why.split(", ") if why in _OURS), "")


def _due(match: Announcement | None, begin_us: int) -> int:
    """Return where a player should start: where it was heard, though not as it should, else at the answer."""
    return begin_us if match is None else from_rfc3339(match.begin)


def quarantined(verdict: Verdict) -> bool:
    """Whether nobody may hear the recording until it was looked at."""
    return QUARANTINE in verdict.then
