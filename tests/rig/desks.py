"""An API and a console of the compliance side, with keys, and people who work there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from console.browsing import BROWSING
from console.desk import ROUTES, Desk, desk
from rig.recordings import Person, person

from vittne.appliance.announcements.tries import TryDesk
from vittne.appliance.api import audio, compliance, listening, recording_cases, recording_notes, recordings
from vittne.appliance.api.announcement_tries import add_tries
from vittne.appliance.api.cutting import CUTS
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.seen import CASES, KEYS
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.casework.cutdesk import CutDesk
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.config import checked
from vittne.appliance.console.compliance import PAGES
from vittne.appliance.console.recordings import PAGES as RECORDING_PAGES
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.seal.capsule import KeyStore

_RECORDINGS: Final = (*recordings.ROUTES, *recording_cases.ROUTES, *recording_notes.ROUTES)
ALL: Final = (*ROUTES, *_RECORDINGS, *listening.ROUTES, *audio.ROUTES, *compliance.ROUTES)


@asynccontextmanager
async def opened(data: Path, said: Mapping[str, Any] | None = None, unlocked: bool = True) -> AsyncIterator[Desk]:
    """Serve a data directory with its key process. said: of the configuration."""
    config = checked({"data": str(data), **(said or {})}, "the test")
    held: dict[str, KeyProcess] = {}

    def fill(app: web.Application) -> None:
        app[CASES], app[CUTS], app[KEYS], app[CONFIG] = CaseDesk(), CutDesk(), held["keys"], config
        add_audio(app, AudioDesk(data, app[OPERATOR], held["keys"].data_key))
        add_tries(app, TryDesk(str(data)))

    store = KeyStore(data / "keys.db")
    try:
        async with KeyProcess(data, store) as keys:
            if unlocked:
                await keys.unlock(None)
            held["keys"] = keys
            async with desk(data, ALL, (*RECORDING_PAGES, *PAGES), fill) as one:
                one.registrar.life_policy = policy_of(config)
                yield one
                assert not one.errors, one.errors
    finally:
        store.close()


def run_desks(data: Path, use: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    """Run a test's coroutine with it."""

    async def whole() -> None:
        async with opened(data, **options) as one:
            await use(one)

    BROWSING.run(whole())


__all__ = ["Desk", "Person", "opened", "person", "run_desks"]
