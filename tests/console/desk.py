"""A console with users that can be looked at: a real server, a real registrar, a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from api.harness import Served, serving
from axe_playwright_python.async_playwright import Axe
from console.browsing import BROWSING
from playwright.async_api import BrowserContext, Page
from rig.passwords import KEPT, PASSWORD

from vittne.appliance.access import operations as ops
from vittne.appliance.api import consent, logins, pauses
from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.api.app import Clock
from vittne.appliance.api.auth import GATE, Gate
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.routes import Route
from vittne.appliance.console.pages import Page as ConsolePage
from vittne.appliance.console.site import add_console
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar

ROUTES: Final = (*logins.ROUTES, *ACCESS_ROUTES, *pauses.ROUTES, *consent.ROUTES)


@dataclass
class Desk:
    """A console and a browser. errors: what the browser complained of, policies that were broken above all."""

    served: Served
    registrar: Registrar
    operator: Operator
    errors: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    @property
    def base(self) -> str:
        host, port = self.served.address
        return f"https://{host}:{port}"

    @property
    def gate(self) -> Gate:
        return self.served.app[GATE]

    async def add_user(self, name: str, *roles: str, **more: Any) -> None:
        me = Caller("test")
        await self.operator.perform(ops.ADD_USER, ops.AddUser(name=name, roles=roles, **more), me)
        await self.operator.perform(ops.SET_PASSWORD, ops.SetPassword(user=name, password=KEPT), me)

    async def context(self, **options: Any) -> BrowserContext:
        options = {"viewport": {"width": 1360, "height": 850}, "locale": "en-GB", **options}
        browser = await BROWSING.browser()
        self.contexts.append(await browser.new_context(ignore_https_errors=True, **options))
        return self.contexts[-1]

    async def page(self, context: BrowserContext) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        return page

    async def log_in(self, name: str, then: str = "/me", **options: Any) -> Page:
        """Return a page of a browser of its own, in which somebody is logged in."""
        page = await self.page(await self.context(**options))
        await page.goto(f"{self.base}/login?then={then}")
        await page.fill("#f-name", name)
        await page.fill("#f-password", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url(f"{self.base}{then}")
        return page


async def violations(page: Page) -> list[str]:
    """Return what axe says against a page: rule and element."""
    found = await Axe().run(page)
    return [
        f"{one['id']}: {node['html'][:160]} {node['any'][0]['message'][:200] if node['any'] else ''}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ]


@asynccontextmanager
async def desk(
    data: Path,
    routes: Iterable[Route] = ROUTES,
    pages: Iterable[ConsolePage] = (),
    fill: Callable[[web.Application], None] = lambda _: None,
) -> AsyncIterator[Desk]:
    """Serve a console; a browser comes with the first page."""
    registrar = Registrar(data)
    operator = Operator(registrar, OPERATIONS)

    def put(app: web.Application) -> None:
        app[OPERATOR] = operator
        fill(app)

    def more(app: web.Application, access_of: Any) -> None:
        add_console(app, access_of, tuple(pages))

    try:
        async with serving(data, tuple(routes), fill=put, clock=Clock(), more=more) as served:
            one = Desk(served, registrar, operator)
            try:
                yield one
            finally:
                for context in one.contexts:
                    await context.close()
    finally:
        registrar.close()


def run_desk(data: Path, use: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    """Run a test's coroutine with a console; nothing may have been wrong in the browser."""

    async def whole() -> None:
        async with desk(data, **options) as one:
            await use(one)
            assert one.errors == [], one.errors

    BROWSING.run(whole())
