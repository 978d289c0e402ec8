"""An API and a console over an archive that has a passphrase, with the recorder's own key desk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from console.browsing import BROWSING
from console.desk import ROUTES, Desk, desk

from vittne.appliance.api import compliance, recording_cases, recordings
from vittne.appliance.api.keys import KEY_DESK
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.seen import CASES, KEYS
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.config import checked
from vittne.appliance.console.compliance import PAGES
from vittne.appliance.console.key_pages import PAGES as KEY_PAGES
from vittne.appliance.keyring.desk import KeyDesk
from vittne.appliance.registrar import Registrar

ALL: Final = (*ROUTES, *recordings.ROUTES, *recording_cases.ROUTES, *compliance.ROUTES)


def held_registrar(app: web.Application) -> Registrar:
    """Return the registrar that an application's operator writes with."""
    return app[OPERATOR]._registrar


def run_keys(data: Path, use: Callable[[Desk], Awaitable[None]], said: Mapping[str, Any] | None = None) -> None:
    """Run a test's coroutine; the archive is locked at first."""
    config = checked({"data": str(data), **(said or {})}, "the test")
    held: dict[str, KeyDesk] = {}

    def fill(app: web.Application) -> None:
        app[CASES], app[CONFIG] = CaseDesk(), config
        held["keys"] = app[KEY_DESK] = KeyDesk(held_registrar(app), config.keys)
        app[KEYS] = app[KEY_DESK].keys

    async def whole() -> None:
        async with desk(data, ALL, (*PAGES, *KEY_PAGES), fill) as one:
            one.registrar.life_policy = policy_of(config)
            keys = held["keys"]
            task = asyncio.create_task(keys.run())
            try:
                while keys.keys.is_dead:
                    await asyncio.sleep(0.05)
                await use(one)
                assert not one.errors, one.errors
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    BROWSING.run(whole())
