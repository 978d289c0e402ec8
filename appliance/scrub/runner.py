"""Scrubbing beside a recorder: starts the process that reads, enters and tells what it finds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.control.server import Operator
from vittne.appliance.registrar import Registrar
from vittne.appliance.scrub.cycle import LEDGER, read_state
from vittne.appliance.scrub.process import BUSY
from vittne.appliance.scrub.settings import ScrubSettings
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import is_id
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_DAY_US: Final = 24 * 3600 * 1_000_000
_LOOK_S: Final = 60.0
_AGAIN_S: Final = 600.0  # after a process that failed
_LINE_LIMIT: Final = 1 << 20


class Found(Order):
    """A cycle's end, or a damage: recording and what is damaged of it."""

    recording: str = ""
    recordings: int = 0
    bytes: int = 0
    damaged: int = 0


def _enter(registrar: Registrar, order: Found, _: Caller) -> Steps:
    if order.recording:
        about = {"rec": order.recording} if is_id(order.recording) else {}
        registrar.ledger.record({"t": events.DAMAGED, **about})
    else:
        sums = order.model_dump(include={"recordings", "bytes", "damaged"})
        registrar.ledger.record({"t": events.SCRUBBED, **sums})
    registrar.ledger.flush()
    yield Progress(1, 1)
    return {}


ENTER_SCRUB: Final = Operation("scrub.enter", "entering what a scrub found", Found, _enter)


class Scrubber:
    """Runs cycle after cycle until cancelled."""

    def __init__(self, operator: Operator, data_dir: Path, settings: ScrubSettings) -> None:
        self._operator = operator
        self._settings = settings
        self._data_dir = data_dir
        self._ledger: tuple[bool, bool] = False, False  # whether it was damaged in the cycle before, and in this one

    async def run(self) -> None:
        """Begin or go on with a cycle when it is time."""
        while self._settings.enabled:
            if not self._is_due():
                await asyncio.sleep(_LOOK_S)
                continue
            code = await self._cycle()
            if code:
                if code != BUSY:
                    log.error("scrubbing stopped; it goes on later where it was", status=code)
                await asyncio.sleep(_AGAIN_S)

    def _is_due(self) -> bool:
        state = read_state(self._data_dir)
        if state.last is None or state.now.started_us:
            return True
        return now_us() >= state.last.finished_us + self._settings.every_days * _DAY_US

    async def _cycle(self) -> int:
        rate = str(self._settings.mb_per_s * 1e6)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vittne.appliance.scrub.process", str(self._data_dir), rate),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    await self._take(json.loads(line))
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def _take(self, said: dict[str, Any]) -> None:
        try:
            if "damage" in said:
                recording, words = str(said["damage"]["recording"]), str(said["damage"]["words"])
                tell_damage(recording, words)
                self._ledger = self._ledger[0], self._ledger[1] or recording == LEDGER
                await self._enter(Found(recording=recording))
            elif "done" in said:
                await self._enter(Found(**said["done"]))
                log.info("the archive was read through", **said["done"])
                if self._ledger == (True, False):
                    log.info("the ledger is whole again")
                self._ledger = self._ledger[1], False
            else:
                log.error("scrubbing cannot go on", reason=str(said.get("error"))[:300])
        except StoreError as error:
            log.error("what scrubbing found could not be entered", reason=str(error))

    async def _enter(self, found: Found) -> None:
        await self._operator.perform(ENTER_SCRUB, found, VITTNE)


def tell_damage(recording: str, words: str) -> None:
    """Say of damage what somebody must look at."""
    if recording == LEDGER:
        log.error("alarm: the ledger is damaged", reason=words)
    else:
        log.error("alarm: a recording is damaged; have it restored from a backup", recording=recording, reason=words)
