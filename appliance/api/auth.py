"""Who asks, and may they: the middleware before every handler.

A wrong token costs its source a wait after a few times (limits.py). A right one is let in even from a source that
waits: behind one address there are many telephones, and the one that has to pause a call must not be kept out by
a neighbour's mistakes. Nothing is lost by that: 256 random bits are not found by trying.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.principal import Principal
from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.secondfactor import STRONG, Lacking, lacking
from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.access.users import User, UserTable, principal
from vittne.appliance.api.enrolments import Enrolments
from vittne.appliance.api.limits import FailureBackoff, KnownSources, Limits, OneByOne, TokenRate
from vittne.appliance.api.problems import REQUEST_ID, Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.refusals import Refusals
from vittne.appliance.api.routes import PREFIX, Access
from vittne.appliance.api.sessions import CSRF_HEADER, Session, Sessions, csrf_of, secret_of
from vittne.appliance.api.token_rights import rights_of
from vittne.appliance.api.tokens import Address, Token, Tokens, split
from vittne.appliance.signon.sources import Sources
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

TOKEN: Final = web.RequestKey("vittne.token", Token)
SESSION: Final = web.RequestKey("vittne.session", Session)
PRINCIPAL: Final = web.RequestKey("vittne.principal", Principal)
IS_REFUSED: Final = web.RequestKey("vittne.is_refused", bool)  # in back-off: not worth a line in the log
NOTE: Final[web.RequestKey[Callable[[], None]]] = web.RequestKey("vittne.note")  # what is written before the handler
HEARD: Final = web.AppKey("vittne.heard", dict[str, float])  # a token's name -> when it last succeeded, monotonic s
_MINUTE_US: Final = 60_000_000
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}
PROVE: Final = "/problems/second-factor-missing"
ENROL: Final = "/problems/second-factor-not-set-up"
PROVE_AGAIN: Final = "/problems/prove-again"
_REALM: Final = 'Bearer realm="vittne"'


class Gate:
    """What deciding needs: tokens, sessions, users, two clocks, and the memory of who asked how often."""

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        users: UserTable,
        now_us: Callable[[], int],
        mono_s: Callable[[], float],
        limits: Limits,
        settings: AccessSettings,
        factors: FactorTable,
    ) -> None:
        self.tokens = tokens
        self.sessions = sessions
        self.users = users
        self.now_us = now_us
        self.mono_s = mono_s
        self.settings = settings
        self.factors = factors
        self.sources = Sources()
        self.enrolments = Enrolments()
        self.challenges = Enrolments()  # apart: anybody may ask for one
        self.rate = TokenRate(limits)
        self.backoff = FailureBackoff(limits)  # sources of wrong tokens
        self.names = FailureBackoff(limits)  # that were tried with a wrong password
        self.pairs = FailureBackoff(limits)  # of a source, and a name that was tried from there
        self.crowd = FailureBackoff(limits, limits.crowd)  # sources of wrong passwords
        self.refusals = Refusals()
        self.known = KnownSources()
        self.passwords = OneByOne()
        self.heard: dict[str, float] = {}  # no longer than the table of tokens

    def lacking(self, user: User, session: Session) -> Lacking:
        """Return what somebody who logged in has yet to do before anything else."""
        if STRONG & set(session.factors):
            return ""
        settings = self.settings
        if self.sources.wants_own_factor(user):
            settings = settings.model_copy(update={"second_factor": "required"})
        return lacking(session.factors, self.factors.kinds(user.id), user.roles, settings)

    def is_in(self, user: User, session: Session) -> bool:
        """Say whether somebody may still be logged in."""
        return user.disabled_us is None and self.sources.lets_in(user, session.checked_us, self.now_us())

    def use(self, settings: AccessSettings) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self.sessions.use(settings.idle_min * _MINUTE_US, settings.longest_h * 60 * _MINUTE_US)

    def is_fresh(self, session: Session) -> bool:
        """Say whether somebody showed lately to be who they say."""
        return self.now_us() - (session.proved_us or 0) <= self.settings.fresh_min * _MINUTE_US


GATE: Final = web.AppKey("vittne.gate", Gate)


def guard(gate: Gate, access_of: Mapping[web.AbstractRoute, Access]) -> Middleware:
    """Return the middleware that lets a request through to its handler, or raises Problem."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        access = access_of.get(request.match_info.route)
        if access is None:
            # aiohttp's own, which says 404 or 405; any other was added past build_app, and would be open to all.
            assert request.match_info.http_exception is not None, "a route that does not say who may use it"
        elif not access.is_public:
            try:
                _admit(gate, request, access)
            finally:  # not in the recorder's loop: it may wait for who else writes the catalogue
                if NOTE in request:
                    await request.app[READER].access(request[NOTE])
        found = await handler(request)
        if TOKEN in request and found.status < HTTPStatus.BAD_REQUEST:
            gate.heard[request[TOKEN].name] = gate.mono_s()
        return found

    return check


def admit(request: web.Request, access: Access) -> None:
    """Let a request in that comes to a public address, of which only a part is public. Raises Problem."""
    _admit(request.app[GATE], request, access)
    if NOTE in request:
        request[NOTE]()


def still(request: web.Request, scope: str) -> Principal | None:
    """Return who asked as they are now, some time after they did; None when they may no longer do it.

    For answers that last: a role may be taken away meanwhile, a session end, a token be revoked.
    """
    gate, now_us = request.app[GATE], request.app[GATE].now_us()
    who: Principal | None = None
    if SESSION in request:
        user = gate.users.get(request[SESSION].user)
        now = {one.id: one for one in gate.sessions.of(user.id, now_us)} if user is not None else {}
        held = now.get(request[SESSION].id)
        may = user is not None and held is not None and gate.is_in(user, held)
        if user is not None and may and not gate.lacking(user, request[SESSION]):
            who = principal(user, gate.users.roles())
    elif TOKEN in request:
        token = next((one for one in gate.tokens.all() if one.id == request[TOKEN].id), None)
        if token is not None and token.state(now_us) == "active":
            who = rights_of(token, gate.users)
    return who if who is not None and who.may(scope) else None


def principal_of(request: web.Request) -> Principal:
    """Return who asks. Not for public routes."""
    return request[PRINCIPAL]


def _admit(gate: Gate, request: web.Request, access: Access) -> None:
    """Say who asks: in request[PRINCIPAL], with the token or the session that they came with. Raises Problem."""
    secret = secret_of(request)
    if secret and "Authorization" not in request.headers and not (access.in_url and "token" in request.query):
        request[SESSION], principal = _logged_in(gate, request, secret, access)
    else:
        request[TOKEN], principal = _admitted(gate, request, access)
    request[PRINCIPAL] = principal
    wait = gate.rate.take(principal.id, gate.mono_s())
    if wait:
        raise too_many(wait, "you ask too often")
    if access.scopes and not any(principal.may(scope) for scope in access.scopes):
        raise _missing_scope(principal, access.scope)


def _logged_in(gate: Gate, request: web.Request, secret: str, access: Access) -> tuple[Session, Principal]:
    """Return the session of a cookie, and whose it is. Raises Problem."""
    session = gate.sessions.find(secret, gate.now_us())
    user = gate.users.get(session.user) if session is not None else None
    if session is None or user is None or not gate.is_in(user, session):
        raise Problem(401, "/problems/not-logged-in", "You are not logged in", "log in again")
    held, at_us = session.id, gate.now_us()
    if gate.sessions.is_to_note(session, at_us):
        request[NOTE] = lambda: gate.sessions.note(held, at_us)
    # What takes a token in the URL changes something by GET: a page of a neighbouring host has a browser send that.
    if (request.method not in _SAFE or access.in_url) and not _is_ours(request, secret):
        detail = f"send what GET {PREFIX}/session gives as csrf in the header {CSRF_HEADER}"
        raise Problem(403, "/problems/no-csrf-token", "This did not come from a page of ours", detail)
    lacks = gate.lacking(user, session)
    if lacks and lacks not in access.while_lacking:
        raise _LACKING[lacks]()
    if access.is_fresh and not gate.is_fresh(session):
        detail = f"this asks for it when more than {gate.settings.fresh_min} minutes have gone by"
        raise Problem(403, PROVE_AGAIN, "Show once more that it is you", detail)
    return session, principal(user, gate.users.roles())


_LACKING: Final[dict[Lacking, Callable[[], Problem]]] = {
    "prove": lambda: Problem(403, PROVE, "The second factor is missing", "POST /api/v1/session/second with a code"),
    "enrol": lambda: Problem(403, ENROL, "A second factor must be set up first", "the console does so at the login"),
}


def _is_ours(request: web.Request, secret: str) -> bool:
    return hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_of(secret).encode())


def _admitted(gate: Gate, request: web.Request, access: Access) -> tuple[Token, Principal]:
    """Return the token that came, and what it may. Raises Problem."""
    given = _given(request, access)
    source, now_s, now_us = request.remote or "", gate.mono_s(), gate.now_us()
    parts = split(given)
    token = gate.tokens.find(*parts) if parts else None
    if token is None or token.state(now_us) != "active":
        _note_failure(gate, request, source, now_s, token)
        raise _unauthorized("invalid_token", f"the token is {token.state(now_us) if token else 'not known'}")
    if not token.allows_source(_address(source)):
        _note_failure(gate, request, source, now_s, token)
        raise Problem(403, "/problems/source-not-allowed", "The token may not be used from this address")
    principal = rights_of(token, gate.users)
    if principal is None:
        raise _unauthorized("invalid_token", "the token ended with who made it")
    if gate.tokens.is_to_note(token, now_us):
        request[NOTE] = lambda: _note_use(gate, token, now_us)
    return token, principal


def _note_use(gate: Gate, token: Token, now_us: int) -> None:
    try:
        gate.tokens.note_use(token, now_us)
    except StoreError as error:  # nice to know, and no reason to refuse
        log.warning("the use of a token could not be noted", reason=str(error))


def _given(request: web.Request, access: Access) -> str:
    """Return the token's text. Raises Problem when there is none, or more than one."""
    headers = request.headers.getall("Authorization", [])
    in_url = request.query.getall("token", [])
    if len(headers) + (len(in_url) if access.in_url else 0) > 1:
        raise Problem(400, "/problems/two-tokens", "More than one token was sent", "send one, in one way")
    if headers:
        scheme, _, text = headers[0].partition(" ")
        if scheme.lower() == "bearer":
            return text.strip()
        raise _unauthorized("", "the scheme is not Bearer")
    if in_url and access.in_url:
        return in_url[0]
    detail = "this address takes no token in the URL: " if in_url else ""
    raise _unauthorized("", f"{detail}send Authorization: Bearer with a token")


def _note_failure(gate: Gate, request: web.Request, source: str, now_s: float, token: Token | None) -> None:
    """Count a failure, and say it in the log. Raises Problem while the source has to wait."""
    wait = gate.backoff.wait_s(source, now_s)
    if wait:
        request[IS_REFUSED] = True
        gate.backoff.refused(source)
        raise too_many(wait, "too many wrong tokens came from this address")
    before = gate.backoff.failed(source, now_s)
    # Of a wrong token not even the id is told: whoever sends one may have put a secret there.
    log.warning(
        "a token was refused",
        source=source,
        token_id=token.id if token else "",
        request_id=request[REQUEST_ID],
        waits_s=gate.backoff.wait_s(source, now_s),
        refused_before=before,
    )


def _address(source: str) -> Address | None:
    try:
        found = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if found.version == 6 else found


def _unauthorized(error: str, detail: str) -> Problem:
    said = f'{_REALM}, error="{error}"' if error else _REALM  # RFC 6750 3.1: no error where nothing was sent
    type_ = "/problems/invalid-token" if error else "/problems/no-token"
    title = "The token is not valid" if error else "A token is needed"
    return Problem(401, type_, title, detail, {"WWW-Authenticate": said})


def _missing_scope(who: Principal, scope: str) -> Problem:
    if who.kind == "user":
        detail = f"none of your roles allows it: {SCOPES[scope]}"
        return Problem(403, "/problems/missing-scope", "You may not do this", detail, scope=scope)
    said = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
    detail = f"the token has not the scope {scope}"
    return Problem(
        403, "/problems/missing-scope", "The token does not allow this", detail, {"WWW-Authenticate": said}, scope=scope
    )


def too_many(wait_s: float, detail: str) -> Problem:
    """Return the problem of who has to wait."""
    seconds = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(seconds)}
    return Problem(429, "/problems/too-many-requests", "Too many requests", detail, headers, retry_after_s=seconds)
