"""A recorder that is heard over its API: a recording made from packets, a server, a key process, users."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from api.harness import Answer, Served, serving
from rig.passwords import KEPT, PASSWORD

from vittne.appliance.access import operations as ops
from vittne.appliance.api import audio, listening, logins
from vittne.appliance.api.app import Clock
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.audit import AuditRow, AuditSearch
from vittne.appliance.store.rows import CallRow

T = TypeVar("T")
ROUTES: Final = (*logins.ROUTES, *listening.ROUTES, *audio.ROUTES)
ME: Final = Caller("test")


@dataclass
class Hearing:
    """The server and its recording."""

    served: Served
    registrar: Registrar
    operator: Operator
    keys: KeyProcess
    desk: AudioDesk
    call: CallRow
    _headers: dict[str, dict[str, str]] = field(default_factory=dict)

    async def user(self, name: str, *roles: str, **more: Any) -> None:
        """Add a user and log them in, once."""
        if name in self._headers:
            return
        await self.operator.perform(ops.ADD_USER, ops.AddUser(name=name, roles=roles, **more), ME)
        await self.operator.perform(ops.SET_PASSWORD, ops.SetPassword(user=name, password=KEPT), ME)
        found = await self.served.post("session", json={"name": name, "password": PASSWORD})
        assert found.status == 201
        cookie = found.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        self._headers[name] = {"Cookie": f"{COOKIE}={cookie}", CSRF_HEADER: found.json["csrf"]}

    async def role(self, name: str, **role: Any) -> None:
        """Add a role of one's own."""
        await self.operator.perform(ops.PUT_ROLE, ops.PutRole(role={"name": name, **role}), ME)

    async def ask(self, name: str, method: str, path: str, **options: Any) -> Answer:
        """Ask as somebody about the recording."""
        headers = {**self._headers[name], **options.pop("headers", {})}
        self.served.session.cookie_jar.clear()
        return await self.served.ask(method, f"recordings/{self.call.id}/{path}", headers=headers, **options)

    async def get(self, name: str, path: str, **options: Any) -> Answer:
        return await self.ask(name, "GET", path, **options)

    async def open(self, name: str, **body: str) -> Any:
        """Open a player; return what is said of it."""
        found = await self.ask(name, "POST", "listening", json=body)
        assert found.status == 201, found.body
        return found.json

    def trail(self, name: str, *kinds: str) -> list[AuditRow]:
        """Return what the trail says that somebody did with the recording."""
        return list(self.registrar.audit.table.search(AuditSearch(recording=self.call.id, actor=name, kinds=kinds)))


@asynccontextmanager
async def hearing(data: Path, call: CallRow, unlocked: bool = True) -> AsyncIterator[Hearing]:
    registrar = Registrar(data)
    operator = Operator(registrar, OPERATIONS)
    try:
        async with KeyProcess(data, registrar.keys) as keys:
            if unlocked:
                await keys.unlock(None)
            desk = AudioDesk(data, operator, keys.data_key)

            def fill(app: web.Application) -> None:
                app[OPERATOR] = operator
                add_audio(app, desk)

            async with serving(data, ROUTES, fill=fill, clock=Clock()) as served:
                yield Hearing(served, registrar, operator, keys, desk, call)
    finally:
        registrar.close()


def run_hearing(data: Path, call: CallRow, use: Callable[[Hearing], Awaitable[None]], unlocked: bool = True) -> None:
    """Run a test's coroutine."""

    async def whole() -> None:
        async with hearing(data, call, unlocked) as one:
            await use(one)

    asyncio.run(whole())


class Shared:
    """A server for several tests, in a thread of its own."""

    def __init__(self, data: Path, call: CallRow) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._context = hearing(data, call)
        self._one = self._do(self._context.__aenter__())

    def run(self, use: Callable[[Hearing], Awaitable[None]]) -> None:
        """Run a test's coroutine."""

        async def whole() -> None:
            await use(self._one)

        self._do(whole())

    def close(self) -> None:
        """Stop it."""
        self._do(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(60)
