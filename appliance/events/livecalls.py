"""Calls that are up and being recorded, as the worker last told of them.

The worker tells of a call when its recording begins, when it is answered, and once a minute. So a call appears a few
seconds after it began: storage waits for the hold-back, in which a pause still reaches back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.access.profile import RecordingFacts
from vittne.appliance.policy.decide import PolicyRules, facts_of_report
from vittne.appliance.store.parties import number_of
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.verdicts.heard import heard_or_nothing
from vittne.appliance.verdicts.judge import judge

STALE_US: Final = 200 * 1_000_000  # told of once a minute: silent three times, and nobody has it any more
GOOD_MOS: Final = 4.0
FAIR_MOS: Final = 3.5
_CALL_IDS: Final = 8
_TEXT: Final = 256
_MOST: Final = 20_000
_UNHEARD: Final = frozenset({"quarantine", "discard"})  # what follows of a missing notice


@dataclass(frozen=True, slots=True)
class Side:
    """A party's voice as it arrives. mos: 1 to 4.5; None while nothing can be said. loss_percent: that never came."""

    party: str
    codec: str
    mos: float | None
    loss_percent: float
    jitter_ms: float


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call. Times are us UTC. announcement: full, partial, none, not-listened.

    withheld: why nobody may hear it while it lasts: "rule", "announcement" that is not there yet; "": somebody may.
    """

    recording: str
    sip_call_ids: tuple[str, ...]
    caller: str
    callee: str
    agent: str
    site: str
    tags: tuple[str, ...]
    numbers: tuple[str, ...]
    started_us: int
    answered_us: int | None
    sides: tuple[Side, ...]
    announcement: str
    announcement_name: str
    told_us: int
    outcome: str = ""  # of one that ended
    ended_us: int | None = None
    withheld: str = ""

    @property
    def facts(self) -> RecordingFacts:
        """What decides who may know of it."""
        return RecordingFacts(self.site, self.numbers, (self.agent,) if self.agent else (), self.tags, self.started_us)


def live_call(report: Mapping[str, Any], told_us: int, rules: PolicyRules | None = None) -> LiveCall:
    """Return a worker's report as what is shown of it. Raises KeyError, ValueError, TypeError when it is none.

    rules: on announcements.
    """
    parties = [str(party.get("uri", "")) for party in report["parties"]]
    numbers = tuple(dict.fromkeys(map(number_of, [str(report["caller"]), str(report["callee"]), *parties])))
    announcement, name = _announcement(report)
    return LiveCall(
        recording=str(report["id"]),
        sip_call_ids=tuple(map(_short, report["call_ids"][:_CALL_IDS])),
        caller=_short(report["caller"]),
        callee=_short(report["callee"]),
        agent=_short(report["details"].get("agent", "")),
        site=str(report.get("site", "")),
        tags=tuple(report.get("tags", ())),
        numbers=numbers,
        started_us=from_rfc3339(report["started_at"]),
        answered_us=_time(report.get("answered_at")),
        sides=tuple(_sides(report)),
        announcement=announcement,
        announcement_name=name,
        told_us=told_us,
        outcome=str(report.get("outcome", "")),
        ended_us=_time(report.get("ended_at")),
        withheld=withheld(report, rules),
    )


def withheld(report: Mapping[str, Any], rules: PolicyRules | None) -> str:
    """Say why nobody may hear a call while it lasts, as far as its rules do; the worker sees to gates and pauses."""
    ruled = report["details"].get("recording_rule")
    if isinstance(ruled, Mapping) and not ruled.get("live", True):
        return "rule"
    if rules is None or not rules.announcement.rules:
        return ""
    verdict = judge(report, facts_of_report(report), rules.announcement)
    return "announcement" if not verdict.is_met and _UNHEARD & set(verdict.then) else ""


def _short(text: Any) -> str:
    return str(text)[:_TEXT]


def _time(text: str | None) -> int | None:
    return from_rfc3339(text) if text else None


def _sides(report: Mapping[str, Any]) -> Iterable[Side]:
    """The voice of each party that most packets came of; copies of it and strangers' are left out."""
    voices = {one["number"]: one for one in report["details"].get("voices", ())}
    own = [s for s in report["streams"] if not voices.get(s["number"], {}).get("copy") and s["party"]]
    for party in ("caller", "callee"):
        theirs = [stream for stream in own if stream["party"] == party]
        if theirs:
            most = max(theirs, key=lambda stream: int(stream["packets"]))
            seen = int(most["packets"]) + int(most["lost"])
            loss = 100 * int(most["lost"]) / seen if seen else 0.0
            mos = None if most["mos"] is None else float(most["mos"])
            yield Side(party, _short(most["codec"]), mos, round(loss, 2), float(most["jitter_ms"]))


def _announcement(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return how much of an announcement was heard so far, and which."""
    heard = heard_or_nothing(report)
    if heard is None or not heard.listened:
        return "not-listened", ""
    said = [one for one in heard.announcements if one.purpose == "notice" and not one.elsewhere]
    best = max(said, key=lambda one: (one.state == "full", one.share), default=None)
    return ("none", "") if best is None else (best.state, best.name)


class LiveCalls:
    """All of them, by recording. changed: called with begun, changed or ended, and the call."""

    def __init__(self, changed: Callable[[str, LiveCall], None] = lambda what, call: None) -> None:
        self._changed = changed
        self._calls: dict[str, LiveCall] = {}
        self.rules: PolicyRules | None = None
        self.is_hidden: Callable[[Mapping[str, Any]], bool] = lambda _: False  # reports of calls that nobody is told of
        self.not_understood = 0  # reports of a worker that are not what they should be

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, reports: Sequence[Mapping[str, Any]], at_us: int) -> None:
        """Take what the worker tells of calls that go on."""
        for call in self._understood(reports, at_us):
            is_known = call.recording in self._calls
            if is_known or len(self._calls) < _MOST:
                self._calls[call.recording] = call
                self._changed("changed" if is_known else "begun", call)

    def end(self, reports: Sequence[Mapping[str, Any]], at_us: int) -> None:
        """Take what the worker tells of calls that ended."""
        for call in self._understood(reports, at_us):
            self._calls.pop(call.recording, None)
            self._changed("ended", call)

    def forget_stale(self, at_us: int) -> None:
        """Leave out calls that no worker tells of any more: they were lost with one that died."""
        for call in [one for one in self._calls.values() if at_us - one.told_us > STALE_US]:
            del self._calls[call.recording]
            self._changed("lost", call)

    def get(self, recording: str) -> LiveCall | None:
        """Return a call that is up."""
        return self._calls.get(recording)

    def all(self) -> list[LiveCall]:
        """Return those that are up, the newest first."""
        return sorted(self._calls.values(), key=lambda call: call.started_us, reverse=True)

    def _understood(self, reports: Sequence[Mapping[str, Any]], at_us: int) -> Iterable[LiveCall]:
        for report in reports:
            try:
                if self.is_hidden(report):
                    continue
                yield live_call(report, at_us, self.rules)
            except (KeyError, ValueError, TypeError, AttributeError):  # of a worker, which reads packets from anybody
                self.not_understood += 1
