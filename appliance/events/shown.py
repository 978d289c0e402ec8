"""News and calls as somebody may see them: which are there for them, and how much of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import Only
from vittne.appliance.access.showing import Of, shown
from vittne.appliance.events.alarms import Alarm
from vittne.appliance.events.bus import News
from vittne.appliance.events.capture import lost
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.livecalls import LiveCall
from vittne.appliance.protocol import Status
from vittne.appliance.store.times import rfc3339
from vittne.capture.pause import Pause


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class SideShown(_Shown):
    """A party's voice. mos: estimated, 1 (bad) to 4.5; loss_percent: of its packets that never came."""

    party: str
    codec: str
    mos: float | None
    loss_percent: float
    jitter_ms: float


class LivePause(_Shown):
    """A pause that is on a call now. party: whose voice, or both."""

    id: str
    trigger: str
    by: str
    since: str
    lease_until: str | None
    overdue: bool


class LiveCallShown(_Shown):
    """A call that is being recorded. announcement: full, partial, none so far, or not-listened."""

    recording: str
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]
    agent: Annotated[str, Of("agent")]
    sip_call_ids: Annotated[tuple[str, ...], Of("signalling")]
    site: str
    tags: Annotated[tuple[str, ...], Of("business")]
    state: Literal["ringing", "talking", "ended"]
    started_at: str
    answered_at: str | None
    ended_at: str | None
    outcome: str
    sides: tuple[SideShown, ...]
    paused: bool
    pauses: tuple[LivePause, ...]
    announcement: str
    announcement_name: str
    told_at: str


class PauseNews(_Shown):
    """A pause that began, changed or ended, with those of its recordings that the one who listens may see."""

    id: str
    state: Literal["paused", "armed", "unconfirmed", "ended"]
    trigger: str
    by: str
    since: str
    lease_until: str | None
    overdue: bool
    incomplete: bool
    ended_by: str
    recordings: tuple[str, ...]


class AlarmShown(_Shown):
    """An alarm. weight: bad or warn; about: what the line in the log said beside its words."""

    id: str
    name: str
    weight: str
    words: str
    about: dict[str, str]
    agent: Annotated[str, Of("agent")]
    first_at: str
    last_at: str
    times: int
    stands: bool
    cleared_at: str | None


class StatusShown(_Shown):
    """How capturing goes, in short."""

    packets: int
    packets_per_s: float
    missed: int
    ring_occupancy: float
    calls_up: int
    calls_recording: int
    alarms_standing: int


def call_shown(call: LiveCall, hub: Hub) -> LiveCallShown:
    """Return a call with the pauses that are on it."""
    pauses = tuple(_live_pause(pause) for pause in hub.pauses_of(call.recording)) if call.ended_us is None else ()
    return LiveCallShown(
        recording=call.recording,
        caller=call.caller,
        callee=call.callee,
        agent=call.agent,
        sip_call_ids=call.sip_call_ids,
        site=call.site,
        tags=call.tags,
        state="ended" if call.ended_us is not None else "talking" if call.answered_us is not None else "ringing",
        started_at=rfc3339(call.started_us),
        answered_at=None if call.answered_us is None else rfc3339(call.answered_us),
        ended_at=None if call.ended_us is None else rfc3339(call.ended_us),
        outcome=call.outcome,
        sides=tuple(
            SideShown(
                party=side.party,
                codec=side.codec,
                mos=side.mos,
                loss_percent=side.loss_percent,
                jitter_ms=side.jitter_ms,
            )
            for side in call.sides
        ),
        paused=bool(pauses),
        pauses=pauses,
        announcement=call.announcement,
        announcement_name=call.announcement_name,
        told_at=rfc3339(call.told_us),
    )


def _live_pause(pause: Pause) -> LivePause:
    return LivePause(
        id=pause.id,
        trigger=pause.trigger,
        by=pause.actor,
        since=rfc3339(pause.from_at // 1000),
        lease_until=rfc3339(pause.lease_at // 1000) if pause.lease_at else None,
        overdue=pause.overdue,
    )


def calls_for(who: Principal, hub: Hub, at_us: int, limit: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """Return the calls that are up and exist for somebody, as they may see them, the newest first, and how many.

    limit: so many are told of; the others are counted.
    """
    seen = [call for call in hub.calls.all() if who.sees(call.facts, at_us)]
    told = (call_for(who, call, hub, at_us) for call in seen[:limit])
    return [one for one in told if one is not None], len(seen)


def call_for(who: Principal, call: LiveCall, hub: Hub, at_us: int) -> dict[str, Any] | None:
    """Return a call as somebody may see it; None when it is not there for them."""
    facts = call.facts
    if not who.sees(facts, at_us):
        return None
    return shown(call_shown(call, hub), who.levels(facts, at_us))


def sees_everything(who: Principal, scope: str = "read") -> bool:
    """Say whether all recordings are somebody's to see: then what is of no recording is theirs to see too.

    scope: or to do with what it allows.
    """
    return not who.sites and any(one.only == Only() for one in who.profiles if scope in one.scopes)


def alarm_for(who: Principal, alarm: Alarm, at_us: int) -> dict[str, Any]:
    """Return an alarm as somebody may see it. To who sees some recordings only it says what it is, and no more."""
    whole = sees_everything(who)
    told = AlarmShown(
        id=alarm.id if whole else alarm.kind.name,
        name=alarm.kind.name,
        weight=alarm.kind.weight,
        words=alarm.words,
        about=dict(alarm.about) if whole else {},
        agent=alarm.agent if whole else "",
        first_at=rfc3339(alarm.first_us),
        last_at=rfc3339(alarm.last_us),
        times=alarm.times,
        stands=alarm.stands(at_us),
        cleared_at=None if alarm.cleared_us is None else rfc3339(alarm.cleared_us),
    )
    levels = [one.level("agent") for one in who.profiles if "read" in one.scopes]
    found = told.model_dump()
    if "full" not in levels:
        del found["agent"]
        if alarm.kind.by == "agent":
            found["id"] = alarm.kind.name
    return found


def pause_for(who: Principal, pause: Pause, hub: Hub, at_us: int) -> dict[str, Any] | None:
    """Return a pause as somebody may hear of it: one of their own, or of a call that is there for them."""
    calls = [hub.calls.get(recording) for recording in pause.calls]
    seen = tuple(call.recording for call in calls if call is not None and who.sees(call.facts, at_us))
    if not seen and pause.actor != who.id and not sees_everything(who):
        return None
    told = PauseNews(
        id=pause.id,
        state="ended" if not pause.is_live else _live_state(pause),
        trigger=pause.trigger,
        by=pause.actor,
        since=rfc3339(pause.from_at // 1000),
        lease_until=rfc3339(pause.lease_at // 1000) if pause.lease_at else None,
        overdue=pause.overdue,
        incomplete=bool(pause.incomplete_at),
        ended_by=pause.ended_by,
        recordings=pause.calls if sees_everything(who) else seen,
    )
    return told.model_dump()


def _live_state(pause: Pause) -> Literal["paused", "armed", "unconfirmed"]:
    return "unconfirmed" if pause.unconfirmed else "armed" if pause.is_armed else "paused"


def news_for(who: Principal, news: News, hub: Hub, at_us: int) -> dict[str, Any] | None:
    """Return news as somebody may hear them; None when they are not for them."""
    match news.told:
        case LiveCall():
            told = call_for(who, news.told, hub, at_us)
        case Pause():
            told = pause_for(who, news.told, hub, at_us)
        case Alarm():
            told = alarm_for(who, news.told, at_us)
        case Status():
            told = status_shown(hub, at_us).model_dump()
        case _:
            return None
    return None if told is None else {"what": news.what, "at": rfc3339(news.at_us), news.kind: told}


def status_shown(hub: Hub, at_us: int) -> StatusShown:
    """Return how capturing goes."""
    status = hub.capture.status
    return StatusShown(
        packets=status.frames if status else 0,
        packets_per_s=round(hub.capture.packets_per_s, 1),
        missed=lost(status.drops) if status else 0,
        ring_occupancy=round(status.occupancy, 4) if status else 0.0,
        calls_up=status.live_calls if status else 0,
        calls_recording=len(hub.calls),
        alarms_standing=len(hub.alarms.standing(at_us)),
    )
