"""Beside a recorder: the process that sends, started anew when it fails. Recording never waits for it.

What is to be noted here the recorder's own writer notes, a moment each. When what waits gets old, somebody is told.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.control.server import Doer, at_once
from vittne.appliance.fleet import triggers
from vittne.appliance.fleet.server import schema_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.log import fault
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.version import VERSION

log = structlog.get_logger()

_AGAIN_S: Final = 2.0
_AGAIN_LIMIT_S: Final = 60.0
_WATCH_S: Final = 15.0
_LINE_LIMIT: Final = 1 << 20
_MINUTE_US: Final = 60_000_000


class CatalogueRunner:
    """Sends until cancelled. waiting, oldest_us: how much is not there yet, as it was looked at last."""

    def __init__(self, registrar: Registrar, settings: CatalogueSettings, do: Doer = at_once) -> None:
        self._registrar = registrar
        self._settings = settings
        self._do = do
        self.waiting = 0
        self.oldest_us: int | None = None
        self._is_late = False
        self._is_away = False
        self._has_worked = False
        self._has_lost = self._was_lost = False  # told already; said in this round

    def queues(self) -> dict[str, int]:
        """Return what waits."""
        return {"shared catalogue": self.waiting} if self._settings.url else {}

    async def run(self) -> None:
        """Go on until cancelled; without a shared catalogue nothing is noted any more."""
        catalogue = self._registrar.catalogue
        if not self._settings.url:
            await self._do(triggers.switch_off, catalogue)
            return
        await self._do(triggers.switch_on, catalogue, self._settings.url)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_sending())
            group.create_task(self._watch())

    async def once(self) -> bool:
        """Send what waits now; say whether all of it is there."""
        await self._do(triggers.switch_on, self._registrar.catalogue, self._settings.url)
        return await self._send(once=True)

    async def _keep_sending(self) -> None:
        wait = _AGAIN_S
        while True:
            self._has_worked = False
            await self._send(once=False)
            wait = _AGAIN_S if self._has_worked else min(2 * wait, _AGAIN_LIMIT_S)
            await asyncio.sleep(wait)

    async def _send(self, once: bool) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vittne.appliance.fleet.process", str(self._registrar.data_dir)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        said: dict[str, Any] = {}
        try:
            process.stdin.write(self._told(once))
            async for line in process.stdout:
                said = json.loads(line)
                if await self._take(said):
                    process.stdin.write(b"\n")
                    await process.stdin.drain()
            await process.wait()
            if said.get("word") not in ("done", "failed"):
                self._away("its process died")
        except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
            log.error("sending to the shared catalogue stopped", reason=fault(error))
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return said.get("word") == "done" and not self._has_lost

    def _told(self, once: bool) -> bytes:
        ledger = self._registrar.ledger.key.name
        about = {"ledger": ledger, "name": self._settings.name or socket.gethostname()[:64], "version": VERSION}
        about["console"] = self._settings.console
        settings = self._settings.model_dump(mode="json")
        told = {"settings": settings, "schema": schema_of(ledger), "about": about, "once": once}
        return json.dumps(told).encode() + b"\n"

    async def _take(self, said: dict[str, Any]) -> bool:
        """Do what a step says; say whether it waits for that."""
        word, catalogue = said["word"], self._registrar.catalogue
        if word == "failed":
            self._away(str(said["reason"]))
        elif word == "done":
            self._has_worked = True
            self._back()
            self._has_lost = self._has_lost and self._was_lost
            self._was_lost = False
        elif word == "announce":
            await self._do(triggers.announce, catalogue, str(said["mark"]))
        elif word == "settle":
            await self._do(triggers.settle, catalogue, str(said["mark"]), int(said["seq"]), now_us())
            self._has_worked = True
        elif word == "anew":
            await self._do(triggers.announce, catalogue, str(said["mark"]))
            if said["reason"]:
                log.warning("alarm: the shared catalogue is not as this recorder left it; all is compared")
            else:
                log.info("the catalogue is copied to the shared one")
        elif word == "lost":
            self._lost(int(said["rows"]))
        elif word == "refused":
            log.error("alarm: the shared catalogue refused something; it is only here", reason=str(said["reason"]))
        return word not in ("failed", "done")

    def _lost(self, number: int) -> None:
        """Say that this catalogue knows too little to make the other one as it is: once until it is settled."""
        self._was_lost = True
        if not self._has_lost:
            self._has_lost = True
            words = "`vittne fleet restore` brings them back, `vittne fleet forget` removes them there"
            log.error("alarm: this recorder lost calls that the shared catalogue has", calls=number, next=words)

    def _away(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning("the shared catalogue cannot be written now; it is tried again", reason=reason)

    def _back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("the shared catalogue is written again")

    async def _watch(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except StoreError as error:
                log.error("what waits for the shared catalogue cannot be counted", reason=str(error))
            await asyncio.sleep(_WATCH_S)

    def look(self) -> None:
        """See what waits, and tell when it is late, or no longer."""
        with Catalogue(Path(self._registrar.data_dir) / CATALOGUE_FILE, read_only=True) as catalogue:
            self.waiting, self.oldest_us = triggers.waiting(catalogue)
        since = self.oldest_us
        is_late = since is not None and now_us() - since > self._settings.late_after_minutes * _MINUTE_US
        if is_late and not self._is_late and since is not None:
            log.error("alarm: the shared catalogue is late", waiting=self.waiting, since=rfc3339(since))
        elif self._is_late and not is_late:
            log.info("the shared catalogue is up to date again")
        self._is_late = is_late
