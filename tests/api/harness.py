"""A real server with TLS on loopback, and a client that trusts nothing but its certificate."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.api.app import Add, Clock, Services, build_app
from vittne.appliance.api.database import ApiDatabase, ready_catalogue
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.problems import CONTENT_TYPE
from vittne.appliance.api.reader import READER, Reader
from vittne.appliance.api.routes import About, Route
from vittne.appliance.api.server import ApiServer
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of
from vittne.appliance.api.tokens import DAY_US, Network, Tokens

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS: Final = Limits()
ACCESS: Final = AccessSettings()
TESTED: Final = About("tested", "Tests")
SETTINGS: Final = ApiSettings(listen=("127.0.0.1",))


class HandClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_us(self) -> int:
        return int((NOW.timestamp() + self.at_s) * 1_000_000)

    def mono_s(self) -> float:
        return self.at_s


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # any case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> Any:
        """Return the problem document; fails when it is none."""
        assert self.headers["Content-Type"] == CONTENT_TYPE
        shown = self.json
        assert shown["status"] == self.status
        assert shown["request_id"] == self.headers["X-Request-Id"]
        assert shown["type"]
        assert shown["title"]
        return shown


@dataclass
class Served:
    """A server that runs, and its parts."""

    data: Path
    clock: HandClock  # the server's, unless the test gave another one
    app: web.Application
    server: ApiServer
    certificate: ServerCertificate
    tokens: Tokens
    session: aiohttp.ClientSession

    @property
    def address(self) -> tuple[str, int]:
        return self.server.addresses[0]

    def token(self, *scopes: str, networks: tuple[Network, ...] = (), days: int | None = 90) -> str:
        now = self.clock.now_us()
        expires_us = now + days * DAY_US if days is not None else None
        return self.tokens.create("test", scopes or ("read",), now, expires_us, networks)[1]

    async def ask(self, method: str, path: str, token: str = "", **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        host, port = self.address
        async with self.session.request(
            method, f"https://{host}:{port}/api/v1/{path}", headers=headers, **options
        ) as found:
            return Answer(found.status, found.headers, await found.read())

    async def get(self, path: str, token: str = "", **options: Any) -> Answer:
        return await self.ask("GET", path, token, **options)

    async def post(self, path: str, token: str = "", **options: Any) -> Answer:
        return await self.ask("POST", path, token, **options)


@asynccontextmanager
async def serving(
    data: Path,
    routes: Iterable[Route] = (),
    limits: Limits = LIMITS,
    settings: ApiSettings = SETTINGS,
    clock: Clock | None = None,
    fill: Callable[[web.Application], None] = lambda _: None,
    more: Add = lambda app, access: None,
    access: AccessSettings = ACCESS,
) -> AsyncIterator[Served]:
    """Serve from a data directory on a free port."""
    hand = clock if isinstance(clock, HandClock) else HandClock()
    ready_catalogue(data)
    database = ApiDatabase(data)
    certificate = ServerCertificate(files_of(data, settings), datetime.now(UTC))
    reader = Reader(data)
    app = build_app(Services(database, reader.catalogue, settings, access, limits, clock or hand), routes, more)
    app[READER] = reader
    fill(app)
    server = ApiServer(app, settings.listen, 0, certificate)
    await server.start()
    trust = ssl.create_default_context(cafile=certificate.files.certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        yield Served(data, hand, app, server, certificate, Tokens(database), session)
    await server.stop()
    reader.close()
    database.close()


def run_served(data: Path, use: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    """Run a test's coroutine beside a server."""

    async def whole() -> None:
        async with serving(data, **options) as served:
            await use(served)

    asyncio.run(whole())
