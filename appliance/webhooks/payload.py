"""What a webhook is told: news as ids when they happen, and what its owner may see of them when they are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FIELD_CLASSES, Profile, RecordingFacts
from vittne.appliance.access.showing import Of, shown
from vittne.appliance.access.users import UserTable, principal
from vittne.appliance.events.alarms import Alarm
from vittne.appliance.events.bus import News
from vittne.appliance.events.livecalls import LiveCall
from vittne.appliance.events.shown import alarm_for, sees_everything
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.parties import number_of
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.webhooks.table import Webhook
from vittne.capture.pause import Pause

_READ = frozenset({"read"})
TokenOf = Callable[[str], Principal | None]  # a token that is still good, by its id


class CallTold(BaseModel):
    """A call as a webhook is told of it."""

    recording: str
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]
    agent: Annotated[str, Of("agent")]
    tags: Annotated[tuple[str, ...], Of("business")]
    site: str
    started_at: str
    answered_at: str | None
    ended_at: str | None
    outcome: str
    outcome_reasons: tuple[str, ...]
    state: Literal["recording", "finished"]


def event_of(news: News) -> tuple[str, dict[str, Any]] | None:
    """Return an event's name and what is kept of it: nothing of a person. None for what webhooks are not told."""
    if news.kind == "call" and news.what in ("begun", "ended"):
        assert isinstance(news.told, LiveCall)
        return f"call.{news.what}", {"recording": news.told.recording}
    if news.kind == "pause" and news.what in ("begun", "ended"):
        assert isinstance(news.told, Pause)
        return f"pause.{news.what}", _pause(news.told)
    if news.kind == "alarm":
        assert isinstance(news.told, Alarm)
        return f"alarm.{news.what}", _alarm(news.told, news.at_us)
    return None


def _pause(pause: Pause) -> dict[str, Any]:
    return {
        "pause": pause.id,
        "trigger": pause.trigger,
        "by": pause.actor,
        "recordings": list(pause.calls[:200]),
        "from": rfc3339(pause.from_at // 1000),
        "ended_by": pause.ended_by,
        "incomplete": bool(pause.incomplete_at),
    }


_EVERYTHING = Principal(
    "user", "", "", (Profile(name="all", may=_READ, fields={f: "full" for f in FIELD_CLASSES if f != "agent"}),)
)


def _alarm(alarm: Alarm, at_us: int) -> dict[str, Any]:
    """What is kept of an alarm: what everybody may know who sees all recordings, and no agent's name."""
    told = alarm_for(_EVERYTHING, alarm, at_us)
    return {**told, "about": {n: v for n, v in told["about"].items() if n not in ("reason", "source")}}


def owner_of(webhook: Webhook, users: UserTable, token_of: TokenOf) -> Principal | None:
    """Return whose rights decide, as they are now; None when they are gone."""
    if webhook.owner_kind == "user":
        user = users.get(webhook.owner)
        found = principal(user, users.roles()) if user is not None and user.disabled_us is None else None
        return found if found is not None and found.may("read") else None
    if webhook.owner_kind == "token":
        return token_of(webhook.owner)
    level: Literal["full", "none"] = "full" if webhook.owner_kind == "terminal-full" else "none"
    profile = Profile(name="terminal", may=_READ, fields=dict.fromkeys(FIELD_CLASSES, level))
    return Principal("user", "", "terminal", (profile,))


def told_to(
    owner: Principal, event: str, body: Mapping[str, Any], catalogue: Catalogue, at_us: int
) -> dict[str, Any] | None:
    """Return the data of an event as an owner may see it; None when it is not there for them."""
    if event.startswith("call."):
        found = catalogue.get_all([str(body["recording"])])
        if not found or not owner.sees(facts_of(found[0]), at_us):
            return None
        return shown(_call(found[0]), owner.levels(facts_of(found[0]), at_us))
    if event.startswith("pause."):
        rows = catalogue.get_all(list(body["recordings"]))
        seen = [row.id for row in rows if owner.sees(facts_of(row), at_us)]
        return {**body, "recordings": seen} if seen or sees_everything(owner) else None
    if event.startswith("alarm."):
        return dict(body) if sees_everything(owner) else {"name": body["name"], "words": body["words"]}
    return {}


def facts_of(row: CallRow) -> RecordingFacts:
    """Return what decides whether a recording exists for somebody."""
    uris = [row.caller, row.callee, *(str(party.get("uri") or "") for party in row.parties)]
    agent = str(row.details.get("agent") or "")
    numbers = tuple(dict.fromkeys(map(number_of, uris)))
    return RecordingFacts(row.site, numbers, (agent,) if agent else (), tuple(row.tags), row.started_us)


def _call(row: CallRow) -> CallTold:
    return CallTold(
        recording=row.id,
        caller=row.caller,
        callee=row.callee,
        agent=str(row.details.get("agent") or ""),
        tags=tuple(row.tags),
        site=row.site,
        started_at=rfc3339(row.started_us),
        answered_at=None if row.answered_us is None else rfc3339(row.answered_us),
        ended_at=None if row.ended_us is None else rfc3339(row.ended_us),
        outcome=row.outcome,
        outcome_reasons=tuple(row.outcome_reasons),
        state="finished" if row.state == "finished" else "recording",
    )
