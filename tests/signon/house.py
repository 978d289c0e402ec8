"""A console whose people sign in elsewhere, and a browser of sorts that follows where it is sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from api.harness import Answer, HandClock, Served, serving
from signon.provider import SECRET, Provider, providing

from vittne.appliance.access import operations as ops
from vittne.appliance.access.passwords import hash_password
from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.access.users import User
from vittne.appliance.api import logins
from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.api.app import Clock
from vittne.appliance.api.auth import GATE, Gate
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER
from vittne.appliance.console.site import add_console
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.signon.settings import LdapSource, SignOnSettings
from vittne.appliance.signon.sources import Sources
from vittne.appliance.signon.watch import SignOnWatch
from vittne.appliance.store.audit import AuditSearch

PASSWORD = "a horse, a battery, two staples"
KEPT = hash_password(PASSWORD, "somebody")
ME = Caller("test")


class Later(Clock):
    """The real clock, and some time on top."""

    def __init__(self) -> None:
        self.more_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + int(self.more_s * 1_000_000)

    def mono_s(self) -> float:
        return super().mono_s() + self.more_s


@dataclass
class Browser:
    """Cookies by name, and nothing of what a browser keeps from another site."""

    house: House
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Ask the console; path from the root."""
        headers = options.pop("headers", {}) | ({CSRF_HEADER: self.csrf} if self.csrf else {})
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        host, port = self.house.served.address
        address = f"https://{host}:{port}{path}"
        async with self.house.served.session.request(
            method, address, headers=headers, allow_redirects=False, **options
        ) as found:
            self._keep(found)
            answer = Answer(found.status, found.headers, await found.read())
        if answer.status == 201 and b"csrf" in answer.body:
            self.csrf = answer.json["csrf"]
        return answer

    async def api(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.ask(method, f"/api/v1/{path}", **({} if body is None else {"json": body}))

    def _keep(self, found: aiohttp.ClientResponse) -> None:
        for line in found.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)

    async def out_to(self, name: str = "idp", query: str = "") -> str:
        """Begin to sign in; return where the provider sends the browser back to."""
        left = await self.ask("GET", f"/sign-on/{name}{query}")
        assert left.status == 303, left.body
        async with (
            aiohttp.ClientSession() as session,
            session.get(left.headers["Location"], allow_redirects=False) as there,
        ):
            return there.headers["Location"]

    async def sign_in(self, name: str = "idp", query: str = "") -> Answer:
        """Sign in at a provider; return the page that one comes back to."""
        return await self.come_back(await self.out_to(name, query))

    async def come_back(self, address: str) -> Answer:
        """Come back from the provider, and find out what goes with each change."""
        parts = urlsplit(address)
        found = await self.ask("GET", f"{parts.path}?{parts.query}")
        if found.status == 200 and COOKIE in self.cookies:
            self.csrf = ""
            shown = await self.api("GET", "session")
            self.csrf = shown.json["csrf"] if shown.status == 200 else ""
        return found

    async def with_password(self, source: str, name: str, password: str) -> Answer:
        """Sign in at a directory."""
        return await self.api("POST", f"sign-on/{source}/session", {"name": name, "password": password})


@dataclass
class House:
    """A console with its sources."""

    served: Served
    registrar: Registrar
    operator: Operator
    clock: Later
    sources: Sources
    watch: SignOnWatch
    provider: Provider

    @property
    def gate(self) -> Gate:
        return self.served.app[GATE]

    def browser(self) -> Browser:
        return Browser(self)

    def user(self, name: str) -> User | None:
        return self.gate.users.named(name)

    async def add(self, name: str, *roles: str, **more: Any) -> None:
        """Add a user; a local one with the password."""
        await self.operator.perform(ops.ADD_USER, ops.AddUser(name=name, roles=roles, **more), ME)
        if not more.get("origin"):
            await self.operator.perform(ops.SET_PASSWORD, ops.SetPassword(user=name, password=KEPT), ME)

    def trail(self, event: str) -> list[dict[str, Any]]:
        """Return what the trail says of an event, oldest first."""
        rows = self.registrar.audit.table.search(AuditSearch(kinds=(event,)))
        return [{**row.details, "who": row.actor} for row in rows]


@asynccontextmanager
async def house(
    data: Path,
    ldap: tuple[LdapSource, ...] = (),
    local_users: tuple[str, ...] = (),
    access: AccessSettings | None = None,
    **oidc: Any,
) -> AsyncIterator[House]:
    """Serve one. oidc: settings of the provider's source that are not those of provider.py."""
    data.mkdir(parents=True, exist_ok=True)
    secret = data / "client.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    registrar = Registrar(data)
    operator = Operator(registrar, OPERATIONS)
    clock = Later()

    def fill(app: web.Application) -> None:
        app[OPERATOR] = operator

    def more(app: web.Application, access_of: Any) -> None:
        add_console(app, access_of, ())

    async with (
        providing() as provider,
        serving(
            data,
            (*logins.ROUTES, *ACCESS_ROUTES),
            fill=fill,
            clock=clock,
            more=more,
            access=access or AccessSettings(),
        ) as served,
    ):
        host, port = served.address
        settings = SignOnSettings(
            address=f"https://{host}:{port}",
            local_users=local_users,
            oidc=(provider.source(secret, **oidc),),
            ldap=ldap,
        )
        sources = Sources(settings)
        served.app[GATE].sources = sources
        watch = SignOnWatch(operator, sources, clock.now_us)
        watch.use(served.app[GATE].sessions, served.app[GATE].users.get)
        yield House(served, registrar, operator, clock, sources, watch, provider)
    registrar.close()


def run_house(data: Path, use: Callable[[House], Awaitable[None]], **options: Any) -> None:
    """Run a test's coroutine."""

    async def whole() -> None:
        async with house(data, **options) as one:
            await use(one)

    asyncio.run(whole())


def then_of(page: Answer) -> str:
    """Return where the page after a sign-in leads."""
    found = re.search(rb'http-equiv="refresh" content="0; url=([^"]*)"', page.body)
    assert found, page.body
    return found[1].decode()


__all__ = ["Browser", "HandClock", "House", "run_house", "then_of"]
