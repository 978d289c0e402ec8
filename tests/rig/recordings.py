"""A recorder's API and console with recordings in it, and people who look at them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from api.harness import Answer
from builders import Endpoint, Scenario
from console.browsing import BROWSING
from console.desk import ROUTES, Desk, desk
from rig.passwords import PASSWORD

from vittne.appliance.api import audio, listening, recording_cases, recording_notes, recordings
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.seen import CASES, KEYS
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.console.recordings import PAGES
from vittne.appliance.keyring.client import KeyProcess

_RECORDINGS: Final = (*recordings.ROUTES, *recording_cases.ROUTES, *recording_notes.ROUTES)
ALL: Final = (*ROUTES, *_RECORDINGS, *listening.ROUTES, *audio.ROUTES)
HOSTILE_NAME: Final = "<img src=x onerror=alert(1)>"
HOSTILE_AGENT: Final = "</td><script>alert(2)</script>"
HOSTILE_ID: Final = "'\"><svg/onload=alert(3)>@evil"
HOSTILE_USER: Final = "1001'><b>x"


def hostile_call() -> Scenario:
    """A call whose every text from the wire is a script."""
    scenario = Scenario("hostile")
    alice = Endpoint(HOSTILE_NAME, "10.0.0.1", HOSTILE_USER)
    bob = scenario.endpoint("bob", "10.0.0.2", 50_000, "1002")
    dialog = scenario.dialog(alice, bob, call_id=HOSTILE_ID)
    dialog.headers += [("User-Agent", HOSTILE_AGENT), ("Server", HOSTILE_AGENT)]
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 1.0)
    dialog.bye(answered + 1.05)
    return scenario


@dataclass
class Person:
    """Somebody who is logged in, as a program would be."""

    desk: Desk
    cookie: str
    csrf: str

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Cookie": f"__Host-vittne={self.cookie}", **options.pop("headers", {})}
        if method != "GET":
            headers["X-CSRF-Token"] = self.csrf
        return await self.desk.served.ask(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)


async def person(desk: Desk, name: str, *roles: str, **more: Any) -> Person:
    """Add somebody, and log them in."""
    await desk.add_user(name, *roles, **more)
    found = await desk.served.post("session", json={"name": name, "password": PASSWORD})
    cookie = found.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    return Person(desk, cookie, found.json["csrf"])


@asynccontextmanager
async def opened(data: Path, unlocked: bool = True) -> AsyncIterator[Desk]:
    """Serve a data directory with its key process."""
    held: dict[str, KeyProcess] = {}

    def fill(app: web.Application) -> None:
        app[CASES] = CaseDesk()
        app[KEYS] = held["keys"]
        add_audio(app, AudioDesk(data, app[OPERATOR], held["keys"].data_key))

    from vittne.appliance.seal.capsule import KeyStore  # noqa: PLC0415

    store = KeyStore(data / "keys.db")
    try:
        async with KeyProcess(data, store) as keys:
            if unlocked:
                await keys.unlock(None)
            held["keys"] = keys
            async with desk(data, ALL, PAGES, fill) as one:
                yield one
                assert not one.errors, one.errors
    finally:
        store.close()


def run_recordings(data: Path, use: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    """Run a test's coroutine with them."""

    async def whole() -> None:
        async with opened(data, **options) as one:
            await use(one)

    BROWSING.run(whole())
