"""The application: routes, what stands before them, and the headers of every answer.

A handler is a coroutine from a request to an answer; it raises Problem for anything else. What it needs of the
program it takes from request.app[SOME_KEY], put there by whoever starts the server.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.access.users import UserTable
from vittne.appliance.api.auth import GATE, HEARD, IS_REFUSED, PRINCIPAL, SESSION, TOKEN, Gate, guard, principal_of
from vittne.appliance.api.bodies import ApiModel, answer
from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.api.idempotency import ANSWERS, Answers
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.logins import keep_writing_rests
from vittne.appliance.api.metrics_requests import REQUESTS, Requests
from vittne.appliance.api.openapi import document
from vittne.appliance.api.problems import REQUEST_ID, problems
from vittne.appliance.api.routes import ANYBODY, JSON, PREFIX, PUBLIC, About, Access, Answer, Route
from vittne.appliance.api.sessions import Sessions
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tokens import Tokens
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us, rfc3339

log = structlog.get_logger()

_MINUTE_US: Final = 60_000_000
_HOUR_US: Final = 60 * _MINUTE_US
DOCUMENT: Final = web.AppKey("vittne.openapi", bytes)

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # an address may hold a token
    "Server": "vittne",
}


class Clock:
    """What time it is: UTC for people, monotonic for limits. A test has its own."""

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        return now_us()

    def mono_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Services:
    """What the base of the API stands on."""

    database: ApiDatabase
    catalogue: Catalogue  # for reading
    settings: ApiSettings = field(default_factory=ApiSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)


Add = Callable[[web.Application, dict[web.AbstractRoute, Access]], None]


def build_app(
    services: Services, routes: Iterable[Route] = (), more: Add = lambda app, access: None
) -> web.Application:
    """Return the application with its own routes and these. more: adds what is no part of the API."""
    clock = services.clock
    access = services.access
    sessions = Sessions(services.database, access.idle_min * _MINUTE_US, access.longest_h * _HOUR_US)
    users = UserTable(services.catalogue)
    gate = Gate(
        Tokens(services.database),
        sessions,
        users,
        clock.now_us,
        clock.mono_s,
        services.limits,
        access,
        FactorTable(services.catalogue),
    )
    access_of: dict[web.AbstractRoute, Access] = {}
    app = web.Application(
        middlewares=[_observe, problems, guard(gate, access_of)],
        client_max_size=services.settings.body_limit_bytes,
    )
    app[HEARD] = gate.heard
    app[REQUESTS] = Requests()
    app.on_response_prepare.append(app[REQUESTS].answered)
    app[GATE] = gate
    app[ANSWERS] = Answers(services.database, clock.now_us)
    every = (*ROUTES, *routes)
    app[DOCUMENT] = json.dumps(document(every)).encode()
    for route in every:
        assert route.path.startswith(f"{PREFIX}/")
        access_of[app.router.add_route(route.method, route.path, route.handler)] = route.access
    more(app, access_of)
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(keep_writing_rests)
    return app


@web.middleware
async def _observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and write one line about it: the route's pattern, never the address that was asked."""
    request[REQUEST_ID] = uuid.uuid4().hex
    request.app[REQUESTS].begin(request)
    begun = time.monotonic()
    found = await handler(request)
    if IS_REFUSED not in request:
        _write_line(request, found.status, time.monotonic() - begun)
    return found


def _write_line(request: web.Request, status: int, took_s: float) -> None:
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    # A load balancer asks for it every second.
    write = log.debug if path == f"{PREFIX}/health" else log.info
    write(
        "request",
        request_id=request[REQUEST_ID],
        method=request.method if request.method in _METHODS else "other",
        route=path,
        status=status,
        ms=round(took_s * 1000, 1),
        source=request.remote or "",
        asker=request[PRINCIPAL].id if PRINCIPAL in request else "",
    )


_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    add_headers(response, request.get(REQUEST_ID) or uuid.uuid4().hex)


def add_headers(response: web.StreamResponse, request_id: str) -> None:
    """Put on what every answer carries; a page has a policy of its own."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]
    response.headers["X-Request-Id"] = request_id


class Health(ApiModel):
    """That the API answers; of the recorder it says nothing."""

    status: str = "ok"


class WhoAmI(ApiModel):
    """Who asked. kind: user or token. expires_at: of the token or the login; null for never."""

    kind: str
    id: str
    name: str
    scopes: list[str]
    expires_at: str | None


async def openapi(request: web.Request) -> web.Response:
    """Say what there is."""
    return web.Response(body=request.app[DOCUMENT], content_type=JSON)


async def health(_: web.Request) -> web.Response:
    """Say that the API answers."""
    return answer(Health())


async def whoami(request: web.Request) -> web.Response:
    """Say who asks, and what they may do."""
    who = principal_of(request)
    scopes = [scope for scope in SCOPES if who.may(scope)]
    held = request.get(TOKEN) or request.get(SESSION)
    assert held is not None
    expires_at = rfc3339(held.expires_us) if held.expires_us is not None else None
    return answer(WhoAmI(kind=who.kind, id=who.id, name=who.name, scopes=scopes, expires_at=expires_at))


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/openapi.json",
        openapi,
        PUBLIC,
        About("This document", "Recorder", {200: Answer("OpenAPI 3.1", media=(JSON,))}),
    ),
    Route(
        "GET",
        f"{PREFIX}/health",
        health,
        PUBLIC,
        About("Whether the API answers", "Recorder", {200: Answer("It does", Health)}),
    ),
    Route(
        "GET",
        f"{PREFIX}/whoami",
        whoami,
        ANYBODY,
        About("Who is asking", "Access", {200: Answer("Who it is, and what they may do", WhoAmI)}),
    ),
)
