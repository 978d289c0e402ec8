"""What pauses say of who asked for them: how many, how long, what share of the talk, and what went wrong with them.

Pauses can be abused (talk that nobody should hear) and forgotten (PCI: "pause and resume is a weak control"), so
somebody has to look. Pure: pauses and calls in, groups out; command line, alarms and API show the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vittne.capture.pause import Pause
from vittne.capture.pausing import CHANNEL_DOWN
from vittne.capture.times import rfc3339

NS: Final = 1_000_000_000
_DAY_NS: Final = 24 * 3600 * NS
_NOBODY: Final = ("call ended", "lease ran out", "lease ran out, no call left")
_NEVER_ON: Final = ("no call appeared", "too many pauses")
_NO_PAYMENT_MEANT: Final = frozenset({"digits", CHANNEL_DOWN})

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Talk:
    """A call's talk, from its answer to its end. Times are ns UTC; agent: "" when no header named one."""

    id: str
    agent: str
    from_at: int
    to_at: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is too long, and too many for one agent on one day (UTC)."""

    longest_s: float
    most_per_day: int


@dataclass(slots=True)
class Group:
    """Pauses that have something in common. by: agent, actor or trigger; over: which bounds they broke."""

    by: str
    name: str
    pauses: int = 0
    total_s: float = 0.0  # of talk that is missing; pauses that overlap count once
    longest_s: float = 0.0
    talk_s: float = 0.0  # of the agent's calls; of an actor or a trigger: of the calls that were paused
    lease: int = 0  # outlived their lease, or ended with it
    incomplete: int = 0  # came too late
    ambiguous: int = 0
    no_resume: int = 0  # nobody ended them
    no_payment: int = 0  # nothing says what for: external_id is empty
    digits: int = 0  # a number was keyed and nobody had paused
    unconfirmed: int = 0
    on_no_call: int = 0
    most_per_day: int = 0
    over: list[str] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """The part of the talk that is missing, 0 to 1; None without talk."""
        return min(1.0, self.total_s / self.talk_s) if self.talk_s else None

    def as_json(self) -> dict[str, Any]:
        """Return it as the report shows it."""
        shown = {name: getattr(self, name) for name in Group.__slots__}
        rounded = {name: round(value, 3) for name, value in shown.items() if isinstance(value, float)}
        share = self.share
        return {**shown, **rounded, "share": None if share is None else round(share, 4)}


def agent_of(pause: Pause, talks: Mapping[str, Talk]) -> str:
    """Return whose pause it is: the agent of its calls, else who was selected; "" when nobody knows."""
    named = (talks[call].agent for call in pause.calls if call in talks and talks[call].agent)
    return next(named, "") or pause.select.get("agent", "") or pause.select.get("extension", "")


def groups_of(pauses: Sequence[Pause], talks: Mapping[str, Talk], bounds: Bounds, now_at: int) -> list[Group]:
    """Return pauses by agent, by actor and by trigger; in each the longest first.

    talks: by the call's id: those that were paused, and all of the agents' for their share.
    """
    ways: tuple[tuple[str, Callable[[Pause], str]], ...] = (
        ("agent", lambda pause: agent_of(pause, talks)),
        ("actor", lambda pause: pause.actor),
        ("trigger", lambda pause: pause.trigger),
    )
    found = []
    for by, name_of in ways:
        members: defaultdict[str, list[Pause]] = defaultdict(list)
        for pause in pauses:
            members[name_of(pause)].append(pause)
        groups = [_group(by, name, some, talks, bounds, now_at) for name, some in members.items()]
        found += sorted(groups, key=lambda group: (-group.total_s, group.name))
    return found


def _group(
    by: str, name: str, pauses: Sequence[Pause], talks: Mapping[str, Talk], bounds: Bounds, now_at: int
) -> Group:
    spans = [missing(pause, talks, now_at) for pause in pauses]
    by_call: defaultdict[str, list[Span]] = defaultdict(list)
    for some in spans:
        for call, span in some.items():
            by_call[call].append(span)
    if by == "agent" and name:
        talked = {call for call, talk in talks.items() if talk.agent == name} | by_call.keys()
    else:
        talked = {call for pause in pauses for call in pause.calls if call in talks}
    group = Group(
        by,
        name,
        pauses=len(pauses),
        total_s=sum(_length_ns(some) for some in by_call.values()) / NS,
        longest_s=max((end - begin for some in spans for begin, end in some.values()), default=0) / NS,
        talk_s=sum(talks[call].to_at - talks[call].from_at for call in talked) / NS,
        lease=sum(p.overdue or p.ended_by.startswith("lease ran out") for p in pauses),
        incomplete=sum(bool(p.incomplete_at) for p in pauses),
        ambiguous=sum(p.ambiguous for p in pauses),
        no_resume=sum(p.ended_by in _NOBODY for p in pauses),
        no_payment=sum(not p.external_id and p.trigger not in _NO_PAYMENT_MEANT for p in pauses),
        digits=sum(p.trigger == "digits" for p in pauses),
        unconfirmed=sum(p.unconfirmed for p in pauses),
        on_no_call=sum(p.ended_by in _NEVER_ON for p in pauses),
        most_per_day=max(Counter(p.asked_at // _DAY_NS for p in pauses).values(), default=0),
    )
    if group.longest_s > bounds.longest_s:
        group.over.append("too long")
    if by == "agent" and name and group.most_per_day > bounds.most_per_day:
        group.over.append("too many")
    return group


def missing(pause: Pause, talks: Mapping[str, Talk], now_at: int) -> dict[str, Span]:
    """Return from when to when a pause left out talk, by call."""
    begin, end = max(pause.from_at, pause.incomplete_at), pause.to_at if pause.ended_by else now_at
    found = {}
    for call in pause.calls:
        if (talk := talks.get(call)) is not None:
            span = max(begin, talk.from_at), min(end, talk.to_at)
            if span[0] < span[1]:
                found[call] = span
    return found


def _length_ns(spans: Iterable[Span]) -> int:
    """Return how much several spans cover together."""
    total, reached = 0, 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def as_json(pause: Pause, talks: Mapping[str, Talk], now_at: int) -> dict[str, Any]:
    """Return a pause as `vittne pauses --json` lists it."""
    return {
        "id": pause.id,
        "state": "unconfirmed" if pause.unconfirmed else "live" if pause.is_live else "ended",
        "agent": agent_of(pause, talks),
        "trigger": pause.trigger,
        "by": pause.actor,
        "reason": pause.reason,
        "external_id": pause.external_id,
        "scope": pause.scope,
        "asked_at": rfc3339(pause.asked_at),
        "effective_from": rfc3339(pause.from_at),
        "effective_to": rfc3339(pause.to_at),
        "ended_by": pause.ended_by,
        "seconds": round(_length_ns(missing(pause, talks, now_at).values()) / NS, 3),
        "overdue": pause.overdue,
        "incomplete": bool(pause.incomplete_at),
        "ambiguous": pause.ambiguous,
        "recordings": list(pause.calls),
    }
