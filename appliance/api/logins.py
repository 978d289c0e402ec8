"""Logging in and out, and setting a password with a code.

A wrong password costs its name a wait at its source after a few times, its name everywhere else too, and its source
after many; a name that nobody has is answered in the same time and the same words as a wrong password. The last two
are for who never logged in from there: neither a stranger's nor a neighbour's tries keep somebody out of their place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiohttp import web
from pydantic import Field, SecretStr

from vittne.appliance.access.invitations import code_sha256
from vittne.appliance.access.operations import NOTE_LOGIN, SET_PASSWORD, CodeUsed, NoteLogin, SetPassword
from vittne.appliance.access.passwords import WeakPassword, hash_password, is_right
from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.secondfactor import Lacking
from vittne.appliance.access.users import LOCAL, User, folded, principal
from vittne.appliance.api.auth import GATE, SESSION, Gate, principal_of, too_many
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.limits import pair_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import ANYBODY, HALF, PREFIX, PUBLIC, About, Answer, Route
from vittne.appliance.api.sessions import Foreign, Session, carried, clear_cookie, csrf_of, secret_of, set_cookie
from vittne.appliance.control.caller import API, Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

log = structlog.get_logger()

OPERATOR: Final = web.AppKey("vittne.operator", Operator)
_LOOK_S: Final = 30.0
_PASSWORD: Final = Field(min_length=1, max_length=1024)


class LoginBody(ApiModel):
    """Name and password."""

    name: str = Field(min_length=1, max_length=200)
    password: SecretStr = _PASSWORD


class InvitationBody(ApiModel):
    """A code, and the password to set."""

    code: str = Field(min_length=1, max_length=100)
    password: SecretStr = _PASSWORD


class PasswordBody(ApiModel):
    """The password that holds, and the one that shall."""

    password: SecretStr = _PASSWORD
    new_password: SecretStr = _PASSWORD


class SessionShown(ApiModel):
    """Who is logged in. csrf: to be sent with every change, in the header X-CSRF-Token.

    lacks: "prove" where the second factor is yet to be shown, "enrol" where one must be set up before anything else.
    """

    user: str
    name: str
    full_name: str
    language: str
    scopes: list[str]
    factors: list[str]
    lacks: Lacking
    expires_at: str
    csrf: str


class LoginShown(ApiModel):
    """One of a user's sessions."""

    id: str
    created_at: str
    seen_at: str
    expires_at: str
    factors: list[str]
    source: str
    agent: str
    is_this: bool


class LoginsShown(ApiModel):
    """A user's sessions, the newest first."""

    sessions: list[LoginShown]


async def log_in(request: web.Request) -> web.Response:
    """Begin a session."""
    body = await body_of(request, LoginBody)
    gate = request.app[GATE]
    user = gate.users.named(body.name)
    usable = user if user is not None and user.disabled_us is None and user.origin == LOCAL else None
    kept = usable.password if usable is not None else ""
    right = await is_right_password(request, body.name, user, body.password, kept)
    if usable is None or not right:
        raise Problem(401, "/problems/not-right", "Name or password is not right")
    return await begin_session(request, usable, ("password",))


async def begin_session(request: web.Request, user: User, factors: tuple[str, ...]) -> web.Response:
    """Log a user in whom these factors showed to be who they say; return the answer with the cookie."""
    session, secret = await begun_session(request, user, factors)
    response = answer(shown_session(request.app[GATE], user, session, secret), 201)
    set_cookie(response, secret)
    return response


async def begun_session(
    request: web.Request, user: User, factors: tuple[str, ...], foreign: Foreign | None = None
) -> tuple[Session, str]:
    """Log a user in; return the session, and what the cookie holds. foreign: what the source said that knows them.

    Whom a source knows comes in through it and no other way: a factor of ours is a second one. Raises Problem.
    """
    gate = request.app[GATE]
    if user.origin != LOCAL and foreign is None:
        foreign, factors = _of_source(request, user, factors)
    if user.origin == LOCAL and not gate.sources.may_use_password(user):
        raise Problem(403, "/problems/not-here", "You may not log in like this", "log in where your house does")
    source, agent = request.remote or "", request.headers.get("User-Agent", "")
    order = NoteLogin(user=user.name, kind="in", source=source, factors=factors)
    await request.app[OPERATOR].perform(NOTE_LOGIN, order, Caller(user.name, API))
    at_us = gate.now_us()
    # not in the recorder's loop: it may wait for who else writes the catalogue
    session, secret = await request.app[READER].access(
        lambda: gate.sessions.begin(user.id, factors, source, agent, at_us, foreign)
    )
    if gate.lacking(user, session) != "prove":  # else a password alone would let its thief try codes from anywhere
        gate.known.note(user.id, source)
    return session, secret


def _of_source(request: web.Request, user: User, factors: tuple[str, ...]) -> tuple[Foreign, tuple[str, ...]]:
    """Return what the source said when this browser's session began, and all factors with these. Raises Problem."""
    gate = request.app[GATE]
    held = request.get(SESSION) or gate.sessions.find(secret_of(request), gate.now_us())
    foreign = carried(held, gate.now_us()) if held is not None and held.user == user.id else None
    if held is None or foreign is None or not gate.is_in(user, held):
        raise Problem(403, "/problems/not-here", "You may not log in like this", "log in where your house does")
    every = tuple(dict.fromkeys((*held.factors, *factors)))
    return foreign, every


async def is_right_password(request: web.Request, name: str, user: User | None, password: SecretStr, kept: str) -> bool:
    """Say whether a password is the one that is kept; a wrong one is counted and written down. Raises Problem.

    It counts before the next is looked at: who has to wait is told so without a look, however many came at once.
    """
    gate, source = request.app[GATE], request.remote or ""
    must_wait(gate, source, name, user)
    async with _turn(gate):
        must_wait(gate, source, name, user)
        right = await request.app[READER].hash(lambda: is_right(password.get_secret_value(), kept))
        if not right:
            count_wrong(gate, source, name)
    if not right:
        await _write_down(request, user)
    return right


@asynccontextmanager
async def _turn(gate: Gate) -> AsyncIterator[None]:
    async with gate.passwords.turn() as is_mine:
        if not is_mine:
            raise too_many(1.0, "many log in just now: try again")
        yield


def must_wait(gate: Gate, source: str, name: str, user: User | None = None) -> None:
    """Raise Problem while this source, or this name, has to wait.

    name: "" where none was given. user: whose name it is; where they logged in before, they wait for what was tried
    with their name there, and for nothing that others did: behind one address there are many.
    """
    now_s = gate.mono_s()
    wait = gate.pairs.wait_s(pair_of(source, folded(name)), now_s)
    if user is None or not gate.known.knows(user.id, source):
        wait = max(wait, gate.crowd.wait_s(source, now_s), gate.names.wait_s(folded(name), now_s) if name else 0.0)
    if wait:
        raise too_many(wait, "too many wrong passwords: wait, then try again")


async def refuse_login(request: web.Request, gate: Gate, name: str, user: User | None) -> None:
    """Count a wrong code or passkey like a wrong password, and write it down."""
    count_wrong(gate, request.remote or "", name)
    await _write_down(request, user)


def count_wrong(gate: Gate, source: str, name: str) -> None:
    """Count what was wrong against its source and its name, if there is one."""
    now_s = gate.mono_s()
    gate.crowd.failed(source, now_s)
    gate.pairs.failed(pair_of(source, folded(name)), now_s)
    if name.strip():
        gate.names.failed(folded(name), now_s)


async def _write_down(request: web.Request, user: User | None) -> None:
    """Have a refused login in the trail; of many in a row the first ones, then how many there were."""
    source, name = request.remote or "", user.name if user is not None else ""
    gate = request.app[GATE]
    log.warning("a login was refused", source=source, user=user.id if user is not None else "")
    if gate.refusals.is_first(name, source, gate.mono_s(), gate.now_us()):
        order = NoteLogin(user=name, kind="refused", source=source)
        await request.app[OPERATOR].perform(NOTE_LOGIN, order, Caller(name, API))
    await write_rests(request.app)


async def write_rests(app: web.Application, is_end: bool = False) -> None:
    """Write down those that were only counted, once their time is over. is_end: at once."""
    gate = app[GATE]
    for one in gate.refusals.due(gate.mono_s(), is_end):
        order = NoteLogin(
            user=one.user,
            kind="refused",
            source=one.source if len(one.sources) == 1 else "",
            count=one.count,
            sources=len(one.sources),
            since_us=one.since_us,
        )
        await app[OPERATOR].perform(NOTE_LOGIN, order, Caller(one.user, API))


async def keep_writing_rests(app: web.Application) -> AsyncIterator[None]:
    """While an application runs, write them down as their time ends, and the rest at its end."""

    async def run() -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await _written(app, False)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await _written(app, True)


async def _written(app: web.Application, is_end: bool) -> None:
    try:
        await write_rests(app, is_end)
    except StoreError as error:  # the log has each of them
        log.error("refused logins could not be entered", reason=str(error))


async def session(request: web.Request) -> web.Response:
    """Say who is logged in."""
    gate, secret = request.app[GATE], secret_of(request)
    user, held = of_session(request)
    return answer(shown_session(gate, user, held, secret))


def of_session(request: web.Request) -> tuple[User, Session]:
    """Return who is logged in, and with which session. Raises Problem."""
    held = request.get(SESSION)
    user = request.app[GATE].users.get(held.user) if held is not None else None
    if held is None or user is None:
        raise Problem(403, "/problems/no-session", "A token is no login", "this is for people who logged in")
    return user, held


def shown_session(gate: Gate, user: User, held: Session, secret: str) -> SessionShown:
    who = principal(user, gate.users.roles())
    return SessionShown(
        user=user.id,
        name=user.name,
        full_name=user.full_name,
        language=user.language,
        scopes=[scope for scope in SCOPES if who.may(scope)],
        factors=list(held.factors),
        lacks=gate.lacking(user, held),
        expires_at=rfc3339(held.expires_us),
        csrf=csrf_of(secret),
    )


async def log_out(request: web.Request) -> web.Response:
    """End this session."""
    user, held = of_session(request)
    order = NoteLogin(user=user.name, kind="out", source=request.remote or "")
    await request.app[OPERATOR].perform(NOTE_LOGIN, order, principal_of(request).caller)
    request.app[GATE].sessions.end(user.id, held.id)
    response = web.Response(status=204)
    clear_cookie(response)
    return response


async def sessions(request: web.Request) -> web.Response:
    """List the sessions of who asks."""
    gate = request.app[GATE]
    user, held = of_session(request)
    found = gate.sessions.of(user.id, gate.now_us())
    return answer(LoginsShown(sessions=[LoginShown(**one.as_json(), is_this=one.id == held.id) for one in found]))


async def end_session(request: web.Request) -> web.Response:
    """End one of the sessions of who asks."""
    user, _ = of_session(request)
    if not request.app[GATE].sessions.end(user.id, request.match_info["id"]):
        raise Problem(404, "/problems/no-such-session", "No such session", "none of yours has this id")
    return web.Response(status=204)


async def accept(request: web.Request) -> web.Response:
    """Set a password with a code, and log in."""
    body = await body_of(request, InvitationBody)
    gate, source = request.app[GATE], request.remote or ""
    must_wait(gate, source, "")
    user = gate.users.invited(code_sha256(body.code), gate.now_us())
    if user is None or user.disabled_us is not None:
        count_wrong(gate, source, "")
        raise _no_such_code()
    try:
        await _set(request, user, body.password.get_secret_value(), code_sha256(body.code))
    except CodeUsed:
        raise _no_such_code() from None
    return await begin_session(request, user, ("password",))


def _no_such_code() -> Problem:
    detail = "it was used, is too old, or was never given: ask for a new one"
    return Problem(401, "/problems/no-such-code", "The code is not good", detail)


async def change_password(request: web.Request) -> web.Response:
    """Set another password; every session ends, and a new one begins."""
    body = await body_of(request, PasswordBody)
    user, held = of_session(request)
    if not await is_right_password(request, user.name, user, body.password, user.password):
        raise Problem(403, "/problems/not-right", "The password is not right")
    await _set(request, user, body.new_password.get_secret_value())
    return await begin_session(request, user, held.factors)


async def _set(request: web.Request, user: User, password: str, code_sha256: str = "") -> None:
    """Keep a user's new password. Raises Problem, CodeUsed."""
    try:
        async with _turn(request.app[GATE]):
            kept = await request.app[READER].hash(lambda: hash_password(password, user.name))
    except WeakPassword as error:
        raise Problem(422, "/problems/weak-password", error.what, error.next_step) from None
    order = SetPassword(user=user.id, password=kept, code_sha256=code_sha256)
    await request.app[OPERATOR].perform(SET_PASSWORD, order, Caller(user.name, API))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


_SESSION: Final = Answer("Who is logged in; the cookie is set", SessionShown)
_GONE: Final = {204: Answer("It has ended")}
ROUTES: Final = (
    Route(
        "POST",
        f"{PREFIX}/session",
        log_in,
        PUBLIC,
        _about("Log in", {201: _SESSION}, body=LoginBody, problems=(401,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/session",
        session,
        HALF,
        _about("Who is logged in", {200: Answer("Who it is", SessionShown)}),
    ),
    Route("DELETE", f"{PREFIX}/session", log_out, HALF, _about("Log out", _GONE)),
    Route(
        "POST",
        f"{PREFIX}/session/password",
        change_password,
        ANYBODY,
        _about("Set another password", {201: _SESSION}, body=PasswordBody),
    ),
    Route(
        "GET",
        f"{PREFIX}/sessions",
        sessions,
        ANYBODY,
        _about("Where I am logged in", {200: Answer("The sessions", LoginsShown)}),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/sessions/{{id}}",
        end_session,
        ANYBODY,
        _about("Log out somewhere else", _GONE, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/invitation",
        accept,
        PUBLIC,
        _about("Set a password with a code, and log in", {201: _SESSION}, body=InvitationBody, problems=(401,)),
    ),
)
