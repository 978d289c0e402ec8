"""Routes about now: calls that are up, news as they come, how the recorder is doing, alarms.

News are server-sent events (WHATWG HTML 9.2): `event:` is call, pause, alarm, status or level, `data:` JSON. Levels are
told to who asks for them by kinds, the others to everybody. Each but status and level has an id; who comes back with
Last-Event-ID gets what came meanwhile, or the event `anew`: read everything again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.principal import Principal
from vittne.appliance.api.auth import GATE, principal_of, still, too_many
from vittne.appliance.api.bodies import ApiModel, answer, query_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.sending import send
from vittne.appliance.events.bus import KINDS, PASSING, Listener, News
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.levels import LevelsFor
from vittne.appliance.events.shown import (
    AlarmShown,
    LiveCallShown,
    StatusShown,
    alarm_for,
    calls_for,
    news_for,
    status_shown,
)
from vittne.appliance.events.state import RecorderState, StateReader
from vittne.appliance.live.desk import LiveDesk
from vittne.appliance.live.settings import LiveListenSettings

HUB: Final = web.AppKey("vittne.hub", Hub)
STATE: Final = web.AppKey("vittne.state", StateReader)
LISTENING: Final = web.AppKey("vittne.listening", Counter[str])
LIVE_DESK: Final = web.AppKey("vittne.live", LiveDesk)
_UNASKED: Final = frozenset(KINDS) - {"level"}
_MOST: Final = 64  # who listen at once: every connection is one of the server's
_MOST_EACH: Final = 8
_BEAT_S: Final = 15.0  # a word at least so often: proxies close what is silent
_ASKED_S: Final = 5.0
_STREAM: Final = "text/event-stream"


def add_now(app: web.Application, hub: Hub, state: StateReader, live: LiveDesk | None = None) -> None:
    """Put into an application what these routes need."""
    app[HUB], app[STATE], app[LISTENING] = hub, state, Counter()
    app[LIVE_DESK] = desk = live or LiveDesk(LiveListenSettings(enabled=False))

    async def end(_: web.Application) -> None:
        hub.bus.close()
        await desk.close()

    app.on_shutdown.append(end)


class LiveQuery(ApiModel):
    """How many calls at most."""

    limit: int = Field(default=500, ge=1, le=5000)


class LiveCallsShown(ApiModel):
    """Calls that are being recorded now. total: that exist for who asks; cursor: what to give /events as `after`."""

    calls: list[LiveCallShown]
    total: int
    status: StatusShown
    cursor: str


class EventsQuery(ApiModel):
    """kinds: of news, with commas; after: the id that was heard last, as Last-Event-ID says it."""

    kinds: str = Field(default="", max_length=64)
    after: str = Field(default="", max_length=40)


class AlarmsQuery(ApiModel):
    """standing: only those that are to be looked at."""

    standing: bool = False


class AlarmsShown(ApiModel):
    """Alarms since the start, the newest first."""

    alarms: list[AlarmShown]


async def live(request: web.Request) -> web.Response:
    """List the calls that are up."""
    hub, gate = request.app[HUB], request.app[GATE]
    limit = query_of(request, LiveQuery).limit
    found, total = calls_for(principal_of(request), hub, gate.now_us(), limit)
    told = {
        "calls": found,
        "total": total,
        "status": status_shown(hub, gate.now_us()).model_dump(),
        "cursor": hub.bus.newest,
    }
    return web.json_response(told)


async def events(request: web.Request) -> web.StreamResponse:
    """Tell news until who listens goes away, or may listen no longer."""
    hub, who = request.app[HUB], principal_of(request)
    query = query_of(request, EventsQuery)
    kinds = _kinds(query.kinds)
    listening = request.app[LISTENING]
    if listening.total() >= _MOST or listening[who.id] >= _MOST_EACH:
        raise too_many(30, "too many listen to news already")
    response = web.StreamResponse(headers={"Content-Type": _STREAM, "X-Accel-Buffering": "no"})
    listening[who.id] += 1
    try:
        last = request.headers.get("Last-Event-ID", "") or query.after
        levels = request.app[LIVE_DESK].wanting_levels() if "level" in kinds else nullcontext()
        with levels, hub.bus.listening(last[:64]) as (listener, is_whole):
            await response.prepare(request)
            await send(request, response, b"retry: 3000\n\n")
            if not is_whole:
                await send(request, response, b"event: anew\ndata: {}\n\n")
            await _tell(request, response, listener, kinds)
    except ConnectionError:  # who listened went away
        pass
    finally:
        listening[who.id] -= 1
        if not listening[who.id]:
            del listening[who.id]
    return response


def _kinds(text: str) -> frozenset[str]:
    kinds = frozenset(filter(None, text.split(",")))
    if not kinds <= set(KINDS):
        detail = f"kinds are {', '.join(KINDS)}"
        raise Problem(422, "/problems/no-such-kind", "There is no such kind of news", detail)
    return kinds or _UNASKED


async def _tell(request: web.Request, response: web.StreamResponse, listener: Listener, kinds: frozenset[str]) -> None:
    """Write news as they come. Whether the listener may still hear them is asked anew every few seconds."""
    hub, gate = request.app[HUB], request.app[GATE]
    asked_s, who = gate.mono_s(), principal_of(request)
    levels = LevelsFor(hub)
    while not hub.bus.is_closed and (transport := request.transport) is not None and not transport.is_closing():
        found = await listener.take(_BEAT_S)
        if gate.mono_s() - asked_s >= _ASKED_S:
            now = await request.app[READER].work(lambda: still(request, "read"))
            if now is None:
                await send(request, response, b"event: closed\ndata: {}\n\n")
                return
            asked_s, who = gate.mono_s(), now
        told = "".join(_written(who, hub, found, kinds, gate.now_us(), levels))
        if listener.lost:
            told = f'event: lost\ndata: {{"lost": {listener.lost}}}\n\n{told}'
            listener.lost = 0
        await send(request, response, told.encode() or b": nothing new\n\n")


def _written(
    who: Principal, hub: Hub, found: Iterable[News], kinds: frozenset[str], at_us: int, levels: LevelsFor
) -> Iterable[str]:
    for news in found:
        if news.kind not in kinds:
            continue
        told = levels.told(who, news, at_us) if news.kind == "level" else news_for(who, news, hub, at_us)
        if told is not None:
            yield _event(news, told, "" if news.kind in PASSING else hub.bus.id_of(news))


def _event(news: News, told: dict[str, Any], key: str) -> str:
    """Return news as they are sent: JSON has no line breaks of its own."""
    said = f"id: {key}\n" if key else ""
    return f"{said}event: {news.kind}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"


async def state(request: web.Request) -> web.Response:
    """Say how the recorder is doing."""
    return answer(await request.app[STATE].read())


async def alarms(request: web.Request) -> web.Response:
    """List alarms."""
    hub, at_us = request.app[HUB], request.app[GATE].now_us()
    found = hub.alarms.standing(at_us) if query_of(request, AlarmsQuery).standing else hub.alarms.all()
    return web.json_response({"alarms": [alarm_for(principal_of(request), one, at_us) for one in found]})


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/live",
        live,
        needs("read"),
        About("Calls that are being recorded now", "Now", {200: Answer("They", LiveCallsShown)}, query=LiveQuery),
    ),
    Route(
        "GET",
        f"{PREFIX}/events",
        events,
        needs("read"),
        About(
            "News as they come: calls, pauses, alarms, status, levels",
            "Now",
            {200: Answer("Server-sent events, until one side hangs up", media=(_STREAM,))},
            query=EventsQuery,
            problems=(429,),
            words="Last-Event-ID resumes; the event `anew` says that too much was missed: read GET /live again. Levels "
            "(dBov, -127 to 0, of G.711; null where nothing can be said) come about once a second to who names `level` "
            "in kinds.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/state",
        state,
        needs("read"),
        About("How the recorder is doing", "Recorder", {200: Answer("It", RecorderState)}, problems=(503,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/alarms",
        alarms,
        needs("read"),
        About("Alarms since the start", "Recorder", {200: Answer("They", AlarmsShown)}, query=AlarmsQuery),
    ),
)
