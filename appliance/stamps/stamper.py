"""Stamps on time, beside the recorder: each period, from each authority, whatever becomes of the others.

It never disturbs recording: it asks, waits and checks elsewhere, and what fails is said once, tried again and
said once more when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from vittne.appliance.control.server import Doer, at_once
from vittne.appliance.log import fault
from vittne.appliance.stamps.entering import Books, enter, record, without_entry
from vittne.appliance.stamps.folders import ENTRY_FILE, mark_entered, read_stamp
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig
from vittne.appliance.stamps.standing import MINUTE_US, Standing, standings
from vittne.appliance.stamps.taking import THREADS, alarms, fetch_stamp
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_CLOCKS_APART_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    look_s: float = 60.0  # how often stamps are looked for that came by another way
    grace_s: float = 600.0  # after a start nothing is late before
    back_off_s: tuple[float, ...] = (30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(slots=True)
class _State:
    """One authority's, in this run. Monotonic times, ns: a clock that was set must neither hurry nor stop it."""

    next_mono: int = 0
    stamped_mono: int | None = None  # late counts from here; None before the start
    failures: int = 0
    error: str = ""
    is_late_told: bool = False
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of asking one authority: a folder, or words for why there is none."""

    authority: str
    folder: Path | None
    error: str = ""


class Stamper:
    """Stamps the ledger's checkpoints until it is cancelled.

    clocks_apart_us: how far an authority's clock may be from ours before that is an alarm. do: has the ledger written
    where a slow disk stops nobody.
    """

    def __init__(
        self,
        books: Books,
        config: StampsConfig,
        timing: Timing | None = None,
        clocks_apart_us: int = _CLOCKS_APART_US,
        do: Doer = at_once,
    ) -> None:
        self._books = books
        self._do = do
        self._config = config
        self._timing = timing or Timing()
        self._clocks_apart_us = clocks_apart_us
        self._asked = [one for one in config.authorities if one.url is not None]
        self._states = {one.name: _State() for one in config.authorities}

    async def run(self) -> None:
        """Stamp for ever; return at once when there is no authority. Raises nothing but cancellation."""
        if not self._config.authorities:
            return
        while not await self._guarded(self._begin):
            await asyncio.sleep(self._timing.look_s)
        async with asyncio.TaskGroup() as tasks:
            for authority in self._asked:
                tasks.create_task(self._follow(authority))
            tasks.create_task(self._watch())

    async def stamp_now(self, names: Sequence[str] = ()) -> list[Outcome]:
        """Ask authorities at once, those named or all that have an address."""
        wanted = [one for one in self._asked if not names or one.name in names]
        return list(await asyncio.gather(*(self._try(one) for one in wanted)))

    def status(self) -> list[Standing]:
        """Return how each authority stands, with what it last failed with. Lists a folder and reads a file for each."""
        now, now_mono = now_us(), time.monotonic_ns()
        return [
            replace(one, last_error=self._states[one.authority].error, late=self._is_late(one.authority, now_mono))
            for one in standings(self._books.data_dir, self._config, now)
        ]

    async def _begin(self) -> bool:
        """Put right what a crash left, and go on where the run before stopped."""
        books = self._books
        for folder in await THREADS.run(without_entry, books.data_dir, books.ledger.key.verifier):
            await self._do(enter, books, folder)
        now, now_mono = now_us(), time.monotonic_ns()
        oldest_us = max(int(self._config.late_after_minutes * MINUTE_US - self._timing.grace_s * 1e6), 0)
        for one in await THREADS.run(standings, self._books.data_dir, self._config, now):
            state = self._states[one.authority]
            period = int(self._config.every_minutes * MINUTE_US)
            # A stamp from the future (the clock was set back) is due a period from now at the latest.
            state.next_mono = now_mono + min(max(one.due_us - now, 0), period) * 1000
            # A start after a long time is not late by itself: it gets some minutes to stamp.
            age_us = 0 if one.stamped_us is None else max(now - one.stamped_us, 0)
            state.stamped_mono = now_mono - min(age_us, oldest_us) * 1000
        return True

    async def _follow(self, authority: AuthoritySettings) -> None:
        state = self._states[authority.name]
        while True:
            await asyncio.sleep(min(self._timing.look_s, max(state.next_mono - time.monotonic_ns(), 0) / 1e9))
            if time.monotonic_ns() >= state.next_mono:
                await self._try(authority)

    async def _watch(self) -> None:
        """Raise the alarm when an authority's stamps are late, once until it is back."""
        while True:
            for name, state in self._states.items():
                if not state.is_late_told and self._is_late(name, time.monotonic_ns()):
                    state.is_late_told = True
                    log.error("alarm: no time stamp for long", authority=name, reason=state.error or "none was brought")
            await asyncio.sleep(self._timing.look_s)
            await self._guarded(self._look_for_carried)

    async def _look_for_carried(self) -> bool:
        """Take notice of stamps that came by another way: a command, or somebody who carried them."""
        now, now_mono = now_us(), time.monotonic_ns()
        for one in await THREADS.run(standings, self._books.data_dir, self._config, now):
            if one.stamped_us is not None:
                state = self._states[one.authority]
                state.stamped_mono = max(state.stamped_mono or 0, now_mono - max(now - one.stamped_us, 0) * 1000)
                state.is_late_told = state.is_late_told and self._is_late(one.authority, now_mono)
        return True

    def _is_late(self, name: str, now_mono: int) -> bool:
        since = self._states[name].stamped_mono
        return since is not None and now_mono - since > self._config.late_after_minutes * MINUTE_US * 1000

    async def _try(self, authority: AuthoritySettings) -> Outcome:
        """Ask once; note what became of it and when the next time is."""
        state = self._states[authority.name]
        async with state.busy:
            try:
                await self._do(self._books.ledger.publish)
                folder = await self._stamp(authority)
            except StoreError as error:
                self._lost(authority.name, state, str(error))
            except Exception as error:  # a fault of ours: the next time is tried all the same
                self._lost(authority.name, state, fault(error))
            else:
                self._stamped(authority.name, state)
                return Outcome(authority.name, folder)
        steps = self._timing.back_off_s
        wait_s = steps[min(state.failures - 1, len(steps) - 1)]
        state.next_mono = time.monotonic_ns() + int(min(wait_s, self._config.every_minutes * 60) * 1e9)
        return Outcome(authority.name, None, state.error)

    async def _stamp(self, authority: AuthoritySettings) -> Path:
        books = self._books
        folder = await fetch_stamp(books.data_dir, books.ledger.key.verifier, authority, self._config.revocation)
        if (folder / ENTRY_FILE).exists():
            return folder
        stamp = await THREADS.run(read_stamp, folder)
        index = await self._do(record, books, stamp)
        await THREADS.run(mark_entered, folder, index)
        for words in alarms(stamp, self._clocks_apart_us):
            log.error(words, authority=authority.name, stamp=folder.name, clocks_apart_us=stamp.clock_difference_us)
        return folder

    def _stamped(self, name: str, state: _State) -> None:
        now_mono = time.monotonic_ns()
        state.next_mono = now_mono + int(self._config.every_minutes * MINUTE_US) * 1000
        state.stamped_mono = now_mono
        if state.failures:
            log.info("the time stamping authority answers again", authority=name)
        state.failures, state.error, state.is_late_told = 0, "", False

    def _lost(self, name: str, state: _State, reason: str) -> None:
        state.failures += 1
        state.error = reason
        if state.failures == 1:
            log.error("no time stamp", authority=name, reason=reason)

    async def _guarded(self, step: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await step()
        except StoreError as error:
            log.error("time stamps cannot be looked after", reason=str(error))
        except Exception as error:  # a fault of ours: recording must not hear of it
            log.error("time stamps cannot be looked after", reason=fault(error))
        return False
