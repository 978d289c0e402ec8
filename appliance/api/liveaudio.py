"""Hearing a call while it lasts: a WAV file that grows until the call ends, or whoever listens may no longer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web
from pydantic import Field

from vittne.appliance.access.scopes import LIVE
from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.api.auth import GATE, still
from vittne.appliance.api.bodies import ApiModel, query_of
from vittne.appliance.api.hearing import Asked, asked_for, unrefused
from vittne.appliance.api.live import HUB, LIVE_DESK
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.audio.ranges import MOST_IN_WAV, wav_header
from vittne.appliance.audio.spans import Spans
from vittne.appliance.audio.timeline import line_of
from vittne.appliance.live.desk import TooMany
from vittne.appliance.live.listening import Listening
from vittne.appliance.live.messages import AUDIBLE, CALLEE_PAUSED, CALLER_PAUSED, SoundBlock
from vittne.appliance.looks import HEARD, LOOK, Heard, Look
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

log = structlog.get_logger()

BEHIND: Final = "Vittne-Live-Behind-Ms"
_CHANNELS: Final = 2
_FIRST_S: Final = 15.0
_ASKED_S: Final = 5.0
_WAIT_S: Final = 1.0
_CAUGHT_UP_S: Final = 3.0
_FRESH_MS: Final = 300  # beyond what is held


class LiveAudioQuery(ApiModel):
    """reason: why, where the role asks for one; it is written into the trail."""

    reason: str = Field(default="", max_length=500)


@dataclass(slots=True)
class _Ear:
    """What somebody heard, to be entered. begins_ms: of the call's time line, UTC. offset_ns: UTC less monotonic."""

    look: str
    begins_ms: int
    offset_ns: int
    spans: Spans = field(default_factory=Spans)
    first_us: int = 0
    last_us: int = 0

    def hears(self, block: SoundBlock) -> None:
        """A block is about to be handed out."""
        paused = CALLER_PAUSED | CALLEE_PAUSED
        if not block.flags & AUDIBLE or block.flags & paused == paused:
            return
        at_us = (block.mono_ns + self.offset_ns) // 1000
        end_us = at_us + block.samples * 1_000_000 // RATE
        self.first_us, self.last_us = self.first_us or at_us, end_us
        self.spans.add(max(at_us // 1000 - self.begins_ms, 0), max(end_us // 1000 - self.begins_ms, 0))


async def live_audio(request: web.Request) -> web.StreamResponse:
    """Give a call's sound while it lasts."""
    query = query_of(request, LiveAudioQuery)
    asked = await asked_for(request)
    _refuse(request, asked)
    if asked.who.needs_reason(LIVE, asked.facts, asked.now_us) and not query.reason.strip():
        raise Problem(403, "/problems/ground-needed", "Say first why you hear it", "give reason", asks=["reason"])
    desk = request.app[LIVE_DESK]
    try:
        desk.refuse_too_many()
        ear = await _entered(request, asked, query.reason.strip())
        try:
            listening = await desk.listen(asked.call.id, asked.mute)
            try:
                return await _tell(request, asked, listening, ear)
            finally:
                await desk.end(listening)
        finally:
            # Whoever listened may be gone: what they heard is entered all the same.
            await asyncio.shield(_enter_heard(request, asked, ear))
    except TooMany:
        detail = f"{desk.settings.listeners} listen already; one of them has to stop first"
        raise Problem(429, "/problems/too-many-listeners", "Too many listen", detail, {"Retry-After": "30"}) from None
    except StoreError as error:
        detail = f"{error.what}; {error.next_step}"
        raise Problem(503, "/problems/not-heard", "It cannot be heard just now", detail) from None


def _refuse(request: web.Request, asked: Asked) -> None:
    """Raise Problem where nobody, or not this one, may hear the call."""
    if not asked.may(LIVE):
        detail = "your role shows you this call, and does not let you hear it while it lasts"
        raise Problem(403, "/problems/may-not-hear", "You may not hear this call", detail, scope=LIVE)
    if all(asked.mute):
        raise Problem(403, "/problems/party-hidden", "You may not hear who speaks", "your role hides both parties")
    if not request.app[LIVE_DESK].settings.enabled:
        detail = "the configuration lets nobody hear calls while they last ([live] enabled)"
        raise Problem(403, "/problems/not-live", "Nobody hears calls live here", detail)
    call = request.app[HUB].calls.get(asked.call.id)
    if call is None:
        raise Problem(409, "/problems/call-over", "The call is not up", "hear its recording")
    if call.withheld == "rule":
        detail = "the rule that it is recorded by lets nobody hear its calls while they last"
        raise Problem(403, "/problems/not-live", "Nobody hears this call live", detail)
    if call.withheld or asked.call.quarantined_us is not None or asked.call.restricted_us is not None:
        detail = "a notice that this call must have was not heard in it, or it is restricted"
        raise Problem(403, "/problems/withheld", "Nobody hears this call just now", detail)


async def _entered(request: web.Request, asked: Asked, reason: str) -> _Ear:
    """Have the look entered, before anything is heard."""
    order = Look(kind="live", recording=asked.call.id, format="wav", party=_party(asked), reason=reason)
    said = await unrefused(asked, lambda: request.app[OPERATOR].perform(LOOK, order, asked.who.caller))
    begins_ms = line_of(asked.call, None).begins_ns // 1_000_000
    return _Ear(said["audit"], begins_ms, time.time_ns() - time.monotonic_ns())


def _party(asked: Asked) -> str:
    caller, callee = asked.mute
    return "callee" if caller else "caller" if callee else "both"


async def _enter_heard(request: web.Request, asked: Asked, ear: _Ear) -> None:
    order = Heard(
        recording=asked.call.id,
        look=ear.look,
        party=_party(asked),
        seconds=ear.spans.seconds(),
        spans=tuple((begin, end) for begin, end in ear.spans.as_json()),
        from_at=rfc3339(ear.first_us) if ear.first_us else "",
        to_at=rfc3339(ear.last_us) if ear.last_us else "",
    )
    try:
        await request.app[OPERATOR].perform(HEARD, order, asked.who.caller)
    except StoreError as error:  # that they listened is in the trail already
        log.error("what was heard live could not be entered", recording=asked.call.id, reason=str(error))


async def _tell(request: web.Request, asked: Asked, listening: Listening, ear: _Ear) -> web.StreamResponse:
    """Write blocks as they come."""
    block = await _first(request, listening)
    if block is None:
        detail = f"it ended: {listening.ended or 'nothing came'}"
        raise Problem(409, "/problems/call-over", "The call cannot be heard", detail)
    response = web.StreamResponse(headers={"Content-Type": "audio/wav", "X-Accel-Buffering": "no"})
    response.headers[BEHIND] = str(_behind_ms(block))
    asked_s = request.app[GATE].mono_s()
    try:
        await response.prepare(request)
        await response.write(wav_header(MOST_IN_WAV // (2 * _CHANNELS), RATE, _CHANNELS))
        while not _has_gone(request):
            if block is not None:
                ear.hears(block)
                await response.write(block.pcm)
            if listening.is_over:
                break
            if request.app[GATE].mono_s() - asked_s >= _ASKED_S:
                asked_s = request.app[GATE].mono_s()
                if not await _still(request, asked):
                    break
            block = await listening.block(_WAIT_S)
        await response.write_eof()
    except ConnectionError:  # whoever listened went away
        pass
    return response


async def _first(request: web.Request, listening: Listening) -> SoundBlock | None:
    """Return what is heard first: without what piled up at the beginning, or a plain player stays that far behind."""
    block = await listening.block(_FIRST_S)
    until_s = time.monotonic() + _CAUGHT_UP_S
    fresh_ms = request.app[LIVE_DESK].settings.hold_ms + _FRESH_MS
    while block is not None and _behind_ms(block) > fresh_ms and time.monotonic() < until_s:
        block = await listening.block(_WAIT_S)
    return block


def _behind_ms(block: SoundBlock) -> int:
    return (time.monotonic_ns() - block.mono_ns) // 1_000_000


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _still(request: web.Request, asked: Asked) -> bool:
    """Whether they may still hear it: a role may be taken away, a session end, a call turn out to be another's."""
    who = await request.app[READER].work(lambda: still(request, LIVE))
    if who is None:
        return False
    call = request.app[HUB].calls.get(asked.call.id)
    facts, now_us = call.facts if call is not None else asked.facts, request.app[GATE].now_us()
    if not who.sees(facts, now_us) or not who.may_of(LIVE, facts, now_us) or (call is not None and call.withheld):
        return False
    levels = who.levels(facts, now_us)
    return (levels["audio-caller"] != "full", levels["audio-callee"] != "full") == asked.mute


_WORDS: Final = """A WAV file (16 bits, 8000 Hz, the caller left, the callee right) that goes on until the call ends, \
the login or the token does, or the role is taken away. What is paused, what lies around digits, and what a gate \
leaves out is silent. It is entered in the trail before the first sample, and with the seconds heard at the end. \
`Vittne-Live-Behind-Ms` says how old the first sample was when it was sent."""
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/live/{{id}}/audio",
        live_audio,
        needs(LIVE),
        About(
            "Hear a call while it lasts",
            "Hearing",
            {200: Answer("The sound, as it is spoken", media=("audio/wav",))},
            query=LiveAudioQuery,
            problems=(403, 404, 409, 429, 503),
            words=_WORDS,
        ),
    ),
)
