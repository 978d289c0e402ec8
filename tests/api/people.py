"""People who are logged in, each with a role, and ask an API over a data directory that a test has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from api.harness import Answer, Served, serving

from vittne.appliance.access import operations as ops
from vittne.appliance.api import logins
from vittne.appliance.api.app import Clock
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.compliance import ROUTES
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER, csrf_of
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.config import Config, checked
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us


@dataclass
class Person:
    """Somebody who is logged in."""

    served: Served
    name: str
    headers: dict[str, str]

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.served.ask("GET", path, headers=dict(self.headers), **options)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        options = {} if body is None else {"json": body}
        return await self.served.ask("POST", path, headers=self.headers | headers, **options)


@dataclass
class House:
    """An API and who works there, by name."""

    served: Served
    registrar: Registrar
    people: dict[str, Person]

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


Roles = Mapping[str, str]


def run_house(
    data: Path, roles: Roles, use: Callable[[House], Awaitable[None]], config: Mapping[str, Any] | None = None
) -> None:
    """Run a test's coroutine; roles: by the users' names, one of those built in."""
    settled: Config = checked({"data": str(data), **(config or {})}, "the test")

    async def whole() -> None:
        registrar = Registrar(data)
        registrar.life_policy = policy_of(settled)
        operator = Operator(registrar, OPERATIONS)
        for name, role in roles.items():
            await operator.perform(ops.ADD_USER, ops.AddUser(name=name, roles=(role,)), Caller("test"))

        def fill(app: web.Application) -> None:
            app[OPERATOR], app[CONFIG] = operator, settled

        limits = Limits(burst=100_000, per_s=100_000)
        async with serving(data, (*logins.ROUTES, *ROUTES), limits, fill=fill, clock=Clock()) as served:
            people = {}
            for name in roles:
                user = served.app[GATE].users.named(name)
                assert user is not None
                _, secret = served.app[GATE].sessions.begin(user.id, ("password",), "", "", now_us())
                headers = {"Cookie": f"{COOKIE}={secret}", CSRF_HEADER: csrf_of(secret)}
                people[name] = Person(served, name, headers)
            await use(House(served, registrar, people))
        registrar.close()

    asyncio.run(whole())
