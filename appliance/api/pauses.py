"""Routes to pause and resume: what a call centre's software, a dialplan or a telephone's key asks for.

An answer of 200 or 201 means that the gate is shut, and says from which packet on; 202, that it will be when the
call appears. Nothing matched, several matched or the recorder did not confirm: an error, and nothing is paused.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.scopes import PAUSE, PAUSE_ANY, READ
from vittne.appliance.access.showing import Of
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import JSON, ApiModel, Moment, body_of, query_of
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.livecalls import no_call, no_pause, refuse_hidden, refuse_others, refuse_others_pause, seen
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.pausedesk import HoldsTooMany, NotYours, PauseDesk, Unconfirmed
from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.model import spoken
from vittne.capture import pausing
from vittne.capture.columns import SECOND
from vittne.capture.pause import BOTH, Pause
from vittne.capture.pausing import PauseOrder
from vittne.capture.sip.session import SIDE_NAMES
from vittne.capture.times import rfc3339

DESK: Final = web.AppKey("vittne.desk", PauseDesk)
_SHORT: Final = 256
_FUTURE_NS: Final = 2 * SECOND  # clocks differ


class Select(ApiModel):
    """Which calls: every given selector must match."""

    recording: str | None = Field(default=None, min_length=8, max_length=_SHORT)
    sip_call_id: str | None = Field(default=None, min_length=1, max_length=_SHORT)
    extension: str | None = Field(default=None, min_length=1, max_length=_SHORT)
    number: str | None = Field(default=None, min_length=1, max_length=_SHORT)
    agent: str | None = Field(default=None, min_length=1, max_length=_SHORT)
    peer_ip: str | None = Field(default=None, min_length=2, max_length=64)
    channel: str | None = Field(default=None, min_length=1, max_length=_SHORT)

    def given(self) -> dict[str, str]:
        """Return what is given; Problem when nothing is."""
        found: dict[str, str] = self.model_dump(exclude_none=True)
        if not found:
            detail = "give at least one of " + ", ".join(Select.model_fields)
            raise Problem(422, "/problems/nothing-selected", "No call is selected", detail)
        return found


class PauseBody(ApiModel):
    """A request to pause."""

    select: Select
    scope: Literal["call", "party", "agent"] = "call"
    party: Literal["caller", "callee"] | None = None
    effective_at: Moment | None = None
    lookback_s: float = Field(default=0, ge=0, le=3600)
    lease_s: float | None = Field(default=None, gt=0, le=86_400)
    wait_s: float = Field(default=0, ge=0, le=600)
    reason: str = Field(default="", max_length=_SHORT)
    external_id: str = Field(default="", max_length=_SHORT)


class ResumeBody(ApiModel):
    """A request to resume every pause on the calls that are selected."""

    select: Select


class ExtendBody(ApiModel):
    """A request for a lease that ends so many seconds from now."""

    lease_s: float = Field(gt=0, le=86_400)


class ListQuery(ApiModel):
    """Which pauses to list."""

    live: bool = True
    limit: int = Field(default=100, ge=1, le=1000)


class FirstDropped(ApiModel):
    """The first packet that is not stored. sample: on the recording's time line, that begins at the answer."""

    at: str
    sequence: int
    sample: int
    sample_rate: int


class StreamShown(ApiModel):
    """A stream that a pause is on."""

    party: str
    ssrc: str
    first_dropped: FirstDropped | None


class CallShown(ApiModel):
    """A call."""

    recording: str
    sip_call_ids: Annotated[list[str], Of("signalling")]
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]
    agent: Annotated[str, Of("agent")]
    started_at: str | None
    answered_at: str | None
    streams: tuple[StreamShown, ...] = Field(default=(), strict=False)


class PauseShown(ApiModel):
    """A pause as it stands. incomplete_since: what was before it is written, though the pause was to begin earlier."""

    id: str
    state: Literal["paused", "armed", "unconfirmed", "ended"]
    trigger: str
    by: str
    reason: str
    external_id: str
    scope: str
    asked_at: str | None
    effective_from: str | None
    effective_to: str | None
    lease_until: str | None
    overdue: bool
    armed_until: str | None
    incomplete: bool
    incomplete_since: str | None
    ambiguous: bool
    ended_by: str
    recordings: list[str]
    calls: tuple[CallShown, ...] = ()
    more_calls: int = 0


class PausesShown(ApiModel):
    """Several pauses."""

    pauses: list[PauseShown]


class CallsShown(ApiModel):
    """Calls that are up."""

    calls: list[CallShown]


async def pause(request: web.Request) -> web.Response:
    """Stop storing calls."""
    body = await body_of(request, PauseBody)
    asked = time.time_ns(), time.monotonic_ns()

    async def work() -> web.Response:
        return await _pause(request, body, asked)

    return await once(request, work, repeatable=True)


async def trigger_pause(request: web.Request) -> web.Response:
    """Stop storing calls, for what can only GET an address."""
    asked = time.time_ns(), time.monotonic_ns()
    return await _pause(request, PauseBody(select=query_of(request, Select)), asked)


async def _pause(request: web.Request, body: PauseBody, asked: tuple[int, int]) -> web.Response:
    desk = request.app[DESK]
    order = _order(desk, body, principal_of(request).id, asked)
    await refuse_others(request, desk, PAUSE, order.select, bool(body.wait_s) or body.scope == "agent")
    try:
        done = await desk.pause(order)
    except HoldsTooMany:
        detail = f"this token holds {desk.config.most_live_per_actor} pauses that live; nothing is paused: resume some"
        raise Problem(429, "/problems/holds-too-many", "Too many pauses of one token", detail) from None
    except Unconfirmed as error:
        raise _unconfirmed(error.pause_id) from None
    except StoreError as error:
        raise _not_kept(error) from None
    _refuse(request, done)
    assert done.pause is not None
    status = {pausing.PAUSED: 201, pausing.ARMED: 202}.get(done.state, 200)
    return _answer(_shown(request, done.pause, done.calls, done.more_calls), status)


def _answer(found: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(found).encode(), status=status, content_type=JSON)


def _order(desk: PauseDesk, body: PauseBody, by: str, asked: tuple[int, int]) -> PauseOrder:
    config = desk.config
    asked_at, asked_mono = asked
    effective = asked_at - int(body.lookback_s * SECOND) if body.lookback_s else 0
    if body.effective_at is not None:
        if body.lookback_s:
            detail = "give effective_at or lookback_s, one of the two"
            raise Problem(422, "/problems/two-beginnings", "Two beginnings", detail)
        effective = _ns(body.effective_at)
    if effective > asked_at + _FUTURE_NS:
        raise Problem(422, "/problems/in-the-future", "A pause cannot begin later", "leave effective_at out for now")
    lease_s = config.lease_s if body.lease_s is None else body.lease_s
    if lease_s > config.longest_lease_s:
        detail = f"at most {config.longest_lease_s:g} s; extend it while it is needed"
        raise Problem(422, "/problems/lease-too-long", "The lease is too long", detail)
    if body.wait_s > config.longest_wait_s:
        detail = f"at most {config.longest_wait_s:g} s"
        raise Problem(422, "/problems/wait-too-long", "A call is waited for too long", detail)
    return PauseOrder(
        pausing.new_id(),
        pausing.API,
        by,
        body.select.given(),
        asked_at,
        asked_mono,
        int(lease_s * SECOND),
        min(effective, asked_at),
        body.scope,
        body.party or "",
        int(body.wait_s * SECOND),
        at_lease_end=config.lease_end,
        reason=spoken(body.reason),
        external_id=spoken(body.external_id),
    )


def _ns(moment: datetime) -> int:
    whole = int(moment.astimezone(UTC).replace(microsecond=0).timestamp())
    return whole * SECOND + moment.microsecond * 1000


def _refuse(request: web.Request, done: pausing.Answer) -> None:
    """Raise the Problem of an answer that paused nothing."""
    if done.state == pausing.NO_CALL:
        raise no_call()
    if done.state == pausing.SEVERAL:
        detail = 'nothing is paused; select one of them, or give scope "agent" to pause whatever matches'
        raise Problem(
            409,
            "/problems/several-calls",
            "Several calls match",
            detail,
            calls=seen(request, CallShown, done.calls),
            more_calls=done.more_calls,
        )
    if done.state == pausing.NO_PARTY:
        detail = 'say which one: party "caller" or "callee"; nothing is paused'
        raise Problem(409, "/problems/no-such-party", "The party cannot be told", detail)
    if done.state == pausing.REFUSED:
        raise Problem(503, "/problems/too-many-pauses", "Too many pauses live", "nothing is paused")
    if done.state == pausing.ENDED:
        raise Problem(410, "/problems/pause-ended", "The pause has ended", "ask for a new one")


async def resume(request: web.Request) -> web.Response:
    """End a pause."""
    by, may_any = _who(request)
    await refuse_others_pause(request, request.app[DESK], request.match_info["id"])
    done = await _changed(request.app[DESK].resume(by, request.match_info["id"], may_any=may_any))
    return _answer(_shown(request, *done))


def _who(request: web.Request) -> tuple[str, bool]:
    """Return who asks, and whether they may end what others asked for."""
    who = principal_of(request)
    return who.id, who.may(PAUSE_ANY)


async def extend(request: web.Request) -> web.Response:
    """Give a pause a longer lease."""
    body = await body_of(request, ExtendBody)
    desk = request.app[DESK]
    if body.lease_s > desk.config.longest_lease_s:
        detail = f"at most {desk.config.longest_lease_s:g} s at a time"
        raise Problem(422, "/problems/lease-too-long", "The lease is too long", detail)
    await refuse_others_pause(request, desk, request.match_info["id"])
    done = await _changed(desk.extend(request.match_info["id"], int(body.lease_s * SECOND)))
    if not done[0].is_live:
        raise Problem(410, "/problems/pause-ended", "The pause has ended", "ask for a new one")
    return _answer(_shown(request, *done))


async def _changed(asked: Any) -> tuple[Pause, list[dict[str, Any]]]:
    """Return the pause that was changed, and its calls. Raises Problem."""
    try:
        (done,) = await asked
    except NotYours:
        detail = (
            f"it was asked for by somebody else, and this token has not the scope {PAUSE_ANY}; or it ends by itself"
        )
        raise Problem(403, "/problems/not-yours", "The pause is another's", detail) from None
    except Unconfirmed:
        raise _unconfirmed() from None
    except StoreError as error:
        raise _not_kept(error) from None
    if done.pause is None:
        raise no_pause()
    return done.pause, done.calls


async def resume_selected(request: web.Request) -> web.Response:
    """End every pause on the calls that are selected."""
    body = await body_of(request, ResumeBody)
    return await _resume_selected(request, body.select)


async def trigger_resume(request: web.Request) -> web.Response:
    """The same, for what can only GET an address."""
    return await _resume_selected(request, query_of(request, Select))


async def _resume_selected(request: web.Request, select: Select) -> web.Response:
    by, may_any = _who(request)
    await refuse_others(request, request.app[DESK], PAUSE, select.given())
    try:
        done = await request.app[DESK].resume(by, select=select.given(), may_any=may_any)
    except Unconfirmed:
        raise _unconfirmed() from None
    except StoreError as error:
        raise _not_kept(error) from None
    if not done:
        raise Problem(404, "/problems/no-such-pause", "Nothing is paused", "no pause that you may end lives on a call")
    shown = [_shown(request, one.pause, one.calls, one.more_calls) for one in done if one.pause is not None]
    return _answer({"pauses": shown})


async def status(request: web.Request) -> web.Response:
    """Say how a pause stands."""
    await refuse_others_pause(request, request.app[DESK], request.match_info["id"])
    try:
        done = await request.app[DESK].status(request.match_info["id"])
    except Unconfirmed:
        raise _unconfirmed() from None
    if done.pause is None:
        raise no_pause()
    return _answer(_shown(request, done.pause, done.calls, done.more_calls))


async def listed(request: web.Request) -> web.Response:
    """List pauses, oldest first."""
    query = query_of(request, ListQuery)
    who = principal_of(request)
    found = request.app[DESK].listed(query.live, query.limit)
    mine = [one for one in found if who.may_all(READ) or one.actor == who.id]
    return _answer({"pauses": [_shown(request, one) for one in mine]})


async def calls(request: web.Request) -> web.Response:
    """List the calls that are up and match."""
    select = query_of(request, Select).given()
    refuse_hidden(request, select)
    try:
        found = await request.app[DESK].find(select)
    except Unconfirmed:
        raise _unconfirmed() from None
    return _answer({"calls": seen(request, CallShown, found)})


def _unconfirmed(pause_id: str = "") -> Problem:
    detail = "the recorder did not confirm in time: take the call for NOT paused, and ask again"
    if pause_id:
        detail = "the recorder did not confirm in time, and is made to: ask how the pause stands before you go on"
    return Problem(
        503, "/problems/unconfirmed", "Not confirmed", detail, None, **({"pause": pause_id} if pause_id else {})
    )


def _not_kept(error: StoreError) -> Problem:
    detail = "the recorder did it, but could not write it down: a restart would not know, and the disk needs a look"
    return Problem(503, "/problems/not-kept", f"Not kept: {error.what}", detail)


def _state(one: Pause) -> Literal["paused", "armed", "unconfirmed", "ended"]:
    if not one.is_live:
        return "ended"
    return "unconfirmed" if one.unconfirmed else "armed" if one.is_armed else "paused"


def _shown(
    request: web.Request, one: Pause, calls: list[dict[str, Any]] | None = None, more_calls: int = 0
) -> dict[str, Any]:
    """Return a pause as an answer shows it, its calls as far as who asks may see them."""
    pause = PauseShown(
        id=one.id,
        state=_state(one),
        trigger=one.trigger,
        by=one.actor,
        reason=one.reason,
        external_id=one.external_id,
        scope=one.scope if one.seat == BOTH else SIDE_NAMES[one.seat & 1],
        asked_at=rfc3339(one.asked_at),
        effective_from=rfc3339(one.from_at),
        effective_to=rfc3339(one.to_at),
        lease_until=rfc3339(one.lease_at),
        overdue=one.overdue,
        armed_until=rfc3339(one.armed_until_at),
        incomplete=bool(one.incomplete_at),
        incomplete_since=rfc3339(one.incomplete_at),
        ambiguous=one.ambiguous,
        ended_by=one.ended_by,
        recordings=list(one.calls),
        more_calls=more_calls,
    )
    return {**pause.model_dump(mode="json"), "calls": seen(request, CallShown, calls or [])}


_ONE: Final = Answer("The pause as it stands", PauseShown)
_ENDED: Final = Answer("The pauses that ended", PausesShown)
_TRIGGERED: Final = {201: Answer("The gate is shut", PauseShown), 200: Answer("As it stands", PauseShown)}
_PAUSED: Final = {**_TRIGGERED, 202: Answer("It will be when the call appears", PauseShown)}
_FAILS: Final = (404, 409, 410, 503)


def _pauses(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Pauses", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/calls",
        calls,
        needs("read"),
        About("Calls that are up and match", "Calls", {200: Answer("The calls", CallsShown)}, query=Select),
    ),
    Route(
        "GET",
        f"{PREFIX}/pauses",
        listed,
        needs("read"),
        _pauses("Pauses, oldest first", {200: Answer("The pauses", PausesShown)}, query=ListQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/pauses",
        pause,
        needs("pause"),
        _pauses("Stop storing calls", _PAUSED, body=PauseBody, problems=_FAILS, is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/pauses/resume",
        resume_selected,
        needs("pause"),
        _pauses("End every pause on some calls", {200: _ENDED}, body=ResumeBody, problems=_FAILS),
    ),
    Route(
        "GET",
        f"{PREFIX}/pauses/{{id}}",
        status,
        needs("pause"),
        _pauses("How a pause stands", {200: _ONE}, problems=(404,)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/pauses/{{id}}",
        resume,
        needs("pause"),
        _pauses("End a pause", {200: _ONE}, problems=_FAILS),
    ),
    Route(
        "POST",
        f"{PREFIX}/pauses/{{id}}/resume",
        resume,
        needs("pause"),
        _pauses("End a pause", {200: _ONE}, problems=_FAILS),
    ),
    Route(
        "POST",
        f"{PREFIX}/pauses/{{id}}/extend",
        extend,
        needs("pause"),
        _pauses("Give a pause a longer lease", {200: _ONE}, body=ExtendBody, problems=_FAILS),
    ),
    Route(
        "GET",
        f"{PREFIX}/trigger/pause",
        trigger_pause,
        needs("pause", in_url=True),
        _pauses("Stop storing calls, for what can only GET", _PAUSED, query=Select, problems=_FAILS),
    ),
    Route(
        "GET",
        f"{PREFIX}/trigger/resume",
        trigger_resume,
        needs("pause", in_url=True),
        _pauses("End pauses, for what can only GET", {200: _ENDED}, query=Select, problems=_FAILS),
    ),
)
