"""Opening and closing a player, its time line and its waveform."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
from aiohttp import web
from pydantic import Field

from vittne.appliance.access.scopes import EXPORT, LISTEN, READ
from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.hearing import (
    Asked,
    asked_for,
    listening_of,
    refuse_deaf,
    refuse_too_many,
    refuse_without,
    sound_of,
    unrefused,
)
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.audio.desk import AUDIO
from vittne.appliance.audio.listening import Why
from vittne.appliance.audio.peaks import PEAK_MS
from vittne.appliance.audio.sounds import OpenSound
from vittne.appliance.audio.timeline import Kind, line_of
from vittne.appliance.looks import PURPOSES, Purpose
from vittne.appliance.store.times import rfc3339

MOST_POINTS: Final = 8000
_AT_ONCE_MS: Final = 20_000  # of peaks: whoever hears meanwhile waits for no more
_FULL: Final = 32768
_THOUSANDTHS: Final = 1000


class ListeningBody(ApiModel):
    """Why somebody wants to hear a recording: what their role, a restriction or a quarantine asks for."""

    reason: str = Field(default="", max_length=500)
    purpose: Purpose = ""
    review: str = Field(default="", max_length=500)


class ListeningShown(ApiModel):
    """A player that is open. parties: who is heard; is_live: the call goes on; notes: what is not heard, and why."""

    id: str
    begins_at: str
    length_ms: int
    sample_rate: int
    is_live: bool
    parties: list[str]
    notes: list[str]


class TimelineQuery(ApiModel):
    """listening: an open player; with it times are exact."""

    listening: str = Field(default="", max_length=64)


class MarkShown(ApiModel):
    """Something on the time line. Moments have to_ms as from_ms."""

    kind: Kind
    from_ms: int
    to_ms: int
    party: str
    name: str
    permille: int | None
    language: str


class TimelineShown(ApiModel):
    """A call's time line; ms from where its sound begins. asks: what has to be given before it is heard."""

    recording: str
    state: Literal["ready", "recording", "erased", "nothing"]
    asks: list[str]
    purposes: list[str]
    may_hear: bool
    may_export: bool
    parties: list[str]
    begins_at: str
    length_ms: int
    is_exact: bool
    marks: list[MarkShown]
    digits: int
    caller_speech: Annotated[list[list[int]], Of("audio-caller")]
    callee_speech: Annotated[list[list[int]], Of("audio-callee")]
    lost_packets: int


class PeaksQuery(ApiModel):
    """Which stretch, in how many points at most."""

    listening: str = Field(default="", max_length=64)
    from_ms: int = Field(default=0, ge=0)
    to_ms: int | None = Field(default=None, ge=1)
    points: int = Field(default=1000, ge=1, le=MOST_POINTS)


class PeaksShown(ApiModel):
    """Lowest and highest sample of each point, one after the other, in thousandths of the loudest possible."""

    from_ms: int
    to_ms: int
    points: int
    caller: Annotated[list[int], Of("audio-caller")]
    callee: Annotated[list[int], Of("audio-callee")]


async def begin(request: web.Request) -> web.Response:
    """Open a player: the look is entered, and the recording opened."""
    asked = await asked_for(request)
    body = await body_of(request, ListeningBody, or_empty=True)
    refuse_deaf(asked)
    why = Why(body.reason.strip(), body.purpose, body.review.strip())
    refuse_without(asked, why)
    refuse_too_many(request, asked)
    desk, who = request.app[AUDIO], asked.who
    one = desk.listenings.begin((who.kind, who.id), who.caller, asked.call.id, why)
    try:
        await unrefused(asked, lambda: desk.listenings.see(one))
        sound = await sound_of(request, asked)
    except BaseException:
        await desk.listenings.end(one)
        raise
    return answer(_listening(asked, one.id, sound), 201)


def _listening(asked: Asked, listening: str, sound: OpenSound) -> ListeningShown:
    about = sound.about
    notes = [f"{reason} ({packets})" if packets else reason for _, reason, packets in about.notes]
    return ListeningShown(
        id=listening,
        begins_at=rfc3339(about.from_ns // 1000),
        length_ms=about.length_ms,
        sample_rate=about.rate,
        is_live=about.is_live,
        parties=_parties(asked),
        notes=list(dict.fromkeys([*about.problems, *notes])),
    )


def _parties(asked: Asked) -> list[str]:
    return [party for party, mute in zip(("caller", "callee"), asked.mute, strict=True) if not mute]


async def end(request: web.Request) -> web.Response:
    """Close a player: what was heard is entered now."""
    desk, who = request.app[AUDIO], principal_of(request)
    one = desk.listenings.find(request.match_info["listening"], (who.kind, who.id), request.match_info["id"])
    if one is None:
        raise Problem(404, "/problems/no-such-listening", "No such player", "it was closed already")
    await desk.listenings.end(one)
    return web.Response(status=204)


async def timeline(request: web.Request) -> web.Response:
    """Say what is on a call's time line."""
    query = query_of(request, TimelineQuery)
    asked = await asked_for(request)
    about = None
    if query.listening:
        refuse_deaf(asked)
        listening_of(request, asked, query.listening)
        about = (await sound_of(request, asked, 0)).about
    call, line = asked.call, line_of(asked.call, about)
    state: Any = "recording" if call.folder.rpartition("/")[2].startswith(".") or call.ended_us is None else "ready"
    found = TimelineShown(
        recording=call.id,
        state="erased" if call.erased_us is not None else state if call.folder else "nothing",
        asks=asked.needs(),
        purposes=list(PURPOSES),
        may_hear=asked.may(LISTEN) and not all(asked.mute),
        may_export=asked.may(EXPORT) and not all(asked.mute),
        parties=_parties(asked),
        begins_at=rfc3339(line.begins_ns // 1000),
        length_ms=line.length_ms,
        is_exact=line.is_exact,
        marks=[
            MarkShown(
                kind=mark.kind,
                from_ms=mark.from_ms,
                to_ms=mark.to_ms,
                party=mark.party,
                name=mark.name,
                permille=mark.permille,
                language=mark.language,
            )
            for mark in line.marks
        ],
        digits=line.digits,
        caller_speech=[list(one) for one in line.speech["caller"]],
        callee_speech=[list(one) for one in line.speech["callee"]],
        lost_packets=sum(stream.lost for stream in call.streams),
    )
    return web.json_response(shown(found, asked.levels))


async def peaks(request: web.Request) -> web.Response:
    """Give the waveform of a stretch."""
    query = query_of(request, PeaksQuery)
    asked = await asked_for(request)
    refuse_deaf(asked)
    one = listening_of(request, asked, query.listening)
    sound = await sound_of(request, asked, query.to_ms)
    await unrefused(asked, lambda: request.app[AUDIO].listenings.see(one))
    to_ms = sound.about.length_ms if query.to_ms is None else min(query.to_ms, sound.about.length_ms)
    from_ms = min(query.from_ms, to_ms)
    points = min(query.points, max((to_ms - from_ms) // PEAK_MS, 1))
    step = max(points * _AT_ONCE_MS // max(to_ms - from_ms, 1), 1)
    pieces = []
    for at in range(0, points, step):
        span = [from_ms + (to_ms - from_ms) * place // points for place in (at, min(at + step, points))]
        ask = span[0], max(span[1], span[0] + 1), min(step, points - at)
        pieces.append(await unrefused(asked, lambda ask=ask: sound.process.peaks(*ask)))  # type: ignore[misc]
    found = np.frombuffer(b"".join(pieces), "<i2").reshape(-1, 4).astype(np.int64) * _THOUSANDTHS // _FULL
    body = PeaksShown(
        from_ms=from_ms,
        to_ms=to_ms,
        points=len(found),
        caller=found[:, :2].ravel().tolist(),
        callee=found[:, 2:].ravel().tolist(),
    )
    return web.json_response(shown(body, asked.levels))


_GROUP: Final = "Hearing"
_WORDS: Final = """Who opens it is entered in the trail, with reason and purpose. It closes after three minutes in \
which nothing was asked of it; then the seconds that were fetched are entered."""
_HEARD: Final = (403, 404, 409, 410, 423, 429, 503)
ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/listening",
        begin,
        needs(LISTEN),
        About(
            "Open a player",
            _GROUP,
            {201: Answer("The player", ListeningShown)},
            body=ListeningBody,
            is_body_needed=False,
            problems=_HEARD,
            words=_WORDS,
        ),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/recordings/{{id}}/listening/{{listening}}",
        end,
        needs(LISTEN),
        About("Close a player", _GROUP, {204: Answer("It is closed")}, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/timeline",
        timeline,
        needs(READ),
        About(
            "What is on a call's time line",
            _GROUP,
            {200: Answer("Pauses, gaps, holds, announcements, and who spoke when", TimelineShown)},
            query=TimelineQuery,
            problems=(404, 410, 423),
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/peaks",
        peaks,
        needs(LISTEN),
        About(
            "A recording's waveform",
            _GROUP,
            {200: Answer("Lows and highs", PeaksShown)},
            query=PeaksQuery,
            problems=_HEARD,
        ),
    ),
)
