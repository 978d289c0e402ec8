"""Signing in with what a house has already: directories over the API; providers come back to a page (console).

A wrong password counts like one of ours, by address and by name. Who has no role is told so; nothing is kept of them.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from aiohttp import web
from pydantic import Field, SecretStr

from vittne.appliance.access.secondfactor import SOURCE
from vittne.appliance.access.users import LOCAL, User
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE, too_many
from vittne.appliance.api.bodies import ApiModel, answer, body_of, read_body
from vittne.appliance.api.logins import (
    SessionShown,
    begun_session,
    count_wrong,
    log_in,
    must_wait,
    refuse_login,
    shown_session,
)
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, PUBLIC, About, Answer, Route
from vittne.appliance.api.sessions import Foreign, set_cookie
from vittne.appliance.control.caller import API, Caller
from vittne.appliance.signon.directory import Directory
from vittne.appliance.signon.identity import Away, Identity, NotLetIn, NotRight, check_let_in, name_of
from vittne.appliance.signon.operations import LET_IN, LetIn
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

_FORM: Final = "application/x-www-form-urlencoded"
OIDC: Final = "oidc"
LDAP: Final = "ldap"


class ElsewhereBody(ApiModel):
    """Name and password, as the directory knows them."""

    name: str = Field(min_length=1, max_length=200)
    password: SecretStr = Field(min_length=1, max_length=1024)


class SourceOffered(ApiModel):
    """Where one may sign in. kind: oidc, by opening `address`; ldap, by name and password."""

    name: str
    title: str
    kind: str
    address: str | None


class SourcesOffered(ApiModel):
    """Where one may sign in, besides with a user of the recorder's own."""

    sources: list[SourceOffered]


def offered(request: web.Request) -> list[SourceOffered]:
    """Return where one may sign in."""
    sources = request.app[GATE].sources
    return [
        SourceOffered(
            name=one.name,
            title=one.words,
            kind=OIDC if one.name in sources.providers else LDAP,
            address=f"/sign-on/{one.name}" if one.name in sources.providers else None,
        )
        for one in sources.all
    ]


async def sources(request: web.Request) -> web.Response:
    """List where one may sign in."""
    return answer(SourcesOffered(sources=offered(request)))


async def sign_in(request: web.Request) -> web.Response:
    """Begin a session with a password of a directory; local: of the recorder itself."""
    if request.match_info["name"] == LOCAL:
        return await log_in(request)
    body = await body_of(request, ElsewhereBody)
    directory = _directory(request, request.match_info["name"])
    identity = await right_password(request, directory, body.name, body.password)
    user, foreign = await let_in(request, identity, is_asked=True)
    session, secret = await begun_session(request, user, (LDAP,), foreign)
    response = answer(shown_session(request.app[GATE], user, session, secret), 201)
    set_cookie(response, secret)
    return response


async def right_password(
    request: web.Request, directory: Directory, name: str, password: SecretStr, subject: str = ""
) -> Identity:
    """Return who has a name and a password at a directory; a wrong one is counted and written down. Raises Problem.

    subject: of who is logged in, and shows once more who they are.
    """
    gate, source = request.app[GATE], request.remote or ""
    here = f"{name.strip()}@{directory.source.name}"
    user = gate.users.named(here)
    user = user if user is not None and user.origin == directory.source.name else None
    must_wait(gate, source, here, user)
    if gate.sources.turn.locked():
        raise too_many(1.0, "many log in just now: try again")
    try:
        async with gate.sources.turn:
            must_wait(gate, source, here, user)
            return await directory.sign_in(name, password.get_secret_value(), subject)
    except NotRight as error:
        log.warning("a directory refused a login", source=directory.source.name, reason=error.next_step)
        await refuse_login(request, gate, here, user)
        raise Problem(401, "/problems/not-right", "Name or password is not right") from None
    except NotLetIn as error:
        await refuse_login(request, gate, here, user)
        raise not_let_in(error) from None
    except Away as error:
        raise away(error) from None


async def let_in(request: web.Request, identity: Identity, is_asked: bool) -> tuple[User, Foreign]:
    """Return the user whom a source knows, made where there was none, and what goes into the session. Raises Problem.

    is_asked: they have just shown who they are; else only when the source says so.
    """
    gate = request.app[GATE]
    source = gate.sources.named(identity.origin)
    assert source is not None
    name = name_of(identity)
    try:
        roles = check_let_in(source, identity)
        order = LetIn(
            origin=identity.origin, subject=identity.subject, name=name, full_name=identity.full_name, roles=roles
        )
        done = await change(request, LET_IN, order, Caller(name, API))
    except NotLetIn as error:
        log.warning("a source knows somebody who is nobody here", source=source.name, reason=error.what)
        await refuse_login(request, gate, "", gate.users.known(identity.origin, identity.subject))
        raise not_let_in(error) from None
    user = gate.users.get(done["user"])
    assert user is not None
    now_us = gate.now_us()
    proved_us = now_us if is_asked else None if identity.auth_us is None else min(identity.auth_us, now_us)
    return user, Foreign(now_us, proved_us, identity.sid)


def factors_of(identity: Identity, kind: str) -> tuple[str, ...]:
    """Return what a session is begun with."""
    return (kind, SOURCE) if identity.has_second else (kind,)


async def proved_elsewhere(request: web.Request, user: User, password: SecretStr | None) -> None:
    """Check that somebody whom a source knows is still there, by the password of its directory. Raises Problem."""
    directory = request.app[GATE].sources.directories.get(user.origin)
    if directory is None:
        raise Problem(403, "/problems/sign-in-again", "Sign in again", "open /sign-on/ with the name of your source")
    if password is None:
        raise Problem(422, "/problems/password-needed", "Your password is needed", "that of the directory")
    login = user.name.removesuffix(f"@{user.origin}")
    identity = await right_password(request, directory, login, password, user.subject)
    if identity.subject != user.subject:
        raise Problem(403, "/problems/not-right", "This is somebody else")


async def back_channel(request: web.Request) -> web.Response:
    """End the sessions of somebody who signed out at their provider."""
    gate, source = request.app[GATE], request.remote or ""
    client = gate.sources.providers.get(request.match_info["name"])
    must_wait(gate, source, "")
    data = await read_body(request)
    token = _field(data, "logout_token")
    if client is None or request.content_type != _FORM or not token:
        detail = "see OpenID Back-Channel Logout 1.0"
        raise Problem(400, "/problems/no-logout-token", "There is no logout token", detail)
    try:
        sub, sid, jti = await client.logged_out(token)
    except NotRight as error:
        count_wrong(gate, source, "")
        raise Problem(400, "/problems/no-logout-token", "This is no logout token", error.what) from None
    except StoreError as error:
        count_wrong(gate, source, "")  # anybody may ask: the provider is not, again and again
        raise away(error) from None
    if gate.sources.is_first(f"{client.source.name} {jti}"):
        user = gate.users.known(client.source.name, sub) if sub else None
        users = {user.id} if user is not None else gate.sessions.of_sid(sid) if sid and not sub else set()
        for one in users:
            known = gate.users.get(one)
            if known is not None and known.origin == client.source.name:
                gate.sessions.end_foreign(one, sid)
                gate.sources.remember(one, "")
    return web.Response(status=200)


def _field(data: bytes, name: str) -> str:
    try:
        return parse_qs(data.decode("ascii"), max_num_fields=8).get(name, [""])[0]
    except ValueError:
        return ""


def not_let_in(error: NotLetIn) -> Problem:
    """Return what somebody is told whom a source knows, and who is nobody here."""
    title = error.what[:1].upper() + error.what[1:]
    return Problem(403, "/problems/not-let-in", title, f"{error.where}: {error.next_step}")


def away(error: StoreError) -> Problem:
    """Return what somebody is told when a source cannot be asked; what exactly is wrong is in the log."""
    log.error("a source could not be asked to let somebody in", reason=str(error))
    detail = "try again; if it stays so, tell who runs the recorder. A user of the recorder's own can still log in"
    return Problem(503, "/problems/source-away", "Signing in there does not work just now", detail)


def _directory(request: web.Request, name: str) -> Directory:
    found = request.app[GATE].sources.directories.get(name)
    if found is None:
        raise Problem(404, "/problems/no-such-source", "There is no such directory", f"GET {PREFIX}/sign-on lists them")
    return found


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/sign-on",
        sources,
        PUBLIC,
        _about("Where one may sign in", {200: Answer("Providers and directories", SourcesOffered)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/sign-on/{{name}}/session",
        sign_in,
        PUBLIC,
        _about(
            "Log in with a password of a directory",
            {201: Answer("Who is logged in; the cookie is set", SessionShown)},
            body=ElsewhereBody,
            problems=(401, 403, 404, 503),
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/sign-on/{{name}}/logout",
        back_channel,
        PUBLIC,
        _about(
            "A provider says that somebody signed out (OpenID Back-Channel Logout)",
            {200: Answer("Their sessions have ended")},
            problems=(400, 503),
        ),
    ),
)
