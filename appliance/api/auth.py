"""Who asks, and may they: the middleware before every handler.

A wrong token costs its source a wait after a few times (limits.py). A right one is let in even from a source that
waits: behind one address there are many telephones, and the one that has to pause a call must not be kept out by
a neighbour's mistakes. Nothing is lost by that: 256 random bits are not found by trying.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FIELD_CLASSES, Profile
from vittne.appliance.access.scopes import expanded
from vittne.appliance.api.limits import FailureBackoff, Limits, TokenRate
from vittne.appliance.api.problems import REQUEST_ID, Problem
from vittne.appliance.api.routes import Access
from vittne.appliance.api.tokens import Address, Token, Tokens, split
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

TOKEN: Final = web.RequestKey("vittne.token", Token)
PRINCIPAL: Final = web.RequestKey("vittne.principal", Principal)
IS_REFUSED: Final = web.RequestKey("vittne.is_refused", bool)  # in back-off: not worth a line in the log
HEARD: Final = web.AppKey("vittne.heard", dict[str, float])  # a token's name -> when it last succeeded, monotonic s
_REALM: Final = 'Bearer realm="vittne"'


class Gate:
    """What deciding needs: the tokens, two clocks, and the memory of who asked how often."""

    def __init__(self, tokens: Tokens, now_us: Callable[[], int], mono_s: Callable[[], float], limits: Limits) -> None:
        self.tokens = tokens
        self.now_us = now_us
        self.mono_s = mono_s
        self.rate = TokenRate(limits)
        self.backoff = FailureBackoff(limits)
        self.heard: dict[str, float] = {}  # no longer than the table of tokens


def guard(gate: Gate, access_of: Mapping[web.AbstractRoute, Access]) -> Middleware:
    """Return the middleware that lets a request through to its handler, or raises Problem."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        access = access_of.get(request.match_info.route)
        if access is None:
            # aiohttp's own, which says 404 or 405; any other was added past build_app, and would be open to all.
            assert request.match_info.http_exception is not None, "a route that does not say who may use it"
        elif not access.is_public:
            request[TOKEN] = _admitted(gate, request, access)
            request[PRINCIPAL] = _principal(request[TOKEN])
        found = await handler(request)
        if TOKEN in request and found.status < HTTPStatus.BAD_REQUEST:
            gate.heard[request[TOKEN].name] = gate.mono_s()
        return found

    return check


def token_of(request: web.Request) -> Token:
    """Return the token that a request came with. Not for public routes."""
    return request[TOKEN]


def principal_of(request: web.Request) -> Principal:
    """Return who asks. Not for public routes."""
    return request[PRINCIPAL]


def _principal(token: Token) -> Principal:
    """Return a token as what it may see: whatever it may do, it does with recordings that it sees in full."""
    profile = Profile(name="token", may=frozenset(token.scopes), fields=dict.fromkeys(FIELD_CLASSES, "full"))
    return Principal("token", token.id, token.name, (profile,))


def _admitted(gate: Gate, request: web.Request, access: Access) -> Token:
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
    wait = gate.rate.take(token.id, now_s)
    if wait:
        raise _too_many(wait, "this token asks too often")
    if access.scope and access.scope not in expanded(token.scopes):
        raise _missing_scope(access.scope)
    try:
        gate.tokens.note_use(token, now_us)
    except StoreError as error:  # nice to know, and no reason to refuse
        log.warning("the use of a token could not be noted", reason=str(error))
    return token


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
        raise _too_many(wait, "too many wrong tokens came from this address")
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


def _missing_scope(scope: str) -> Problem:
    said = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
    detail = f"the token has not the scope {scope}"
    return Problem(
        403, "/problems/missing-scope", "The token does not allow this", detail, {"WWW-Authenticate": said}, scope=scope
    )


def _too_many(wait_s: float, detail: str) -> Problem:
    seconds = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(seconds)}
    return Problem(429, "/problems/too-many-requests", "Too many requests", detail, headers, retry_after_s=seconds)
