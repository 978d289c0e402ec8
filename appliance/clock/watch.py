"""The clock watched beside the recorder: a sample a minute, an entry an hour, an alarm when it goes wrong.

Recordings get the newest sample in their manifest, so sealing never waits for a clock.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

import structlog

from vittne.appliance.clock.settings import ClockConfig
from vittne.appliance.clock.state import ClockState, sample, sample_kernel
from vittne.appliance.control.server import Doer, at_once
from vittne.appliance.log import fault
from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

_THREADS = OwnThreads("clock", 1)  # the clock's daemon may not answer

START: Final = "start"
HOURLY: Final = "hourly"
CHANGED: Final = "changed"
_HOUR_NS: Final = 3600 * 10**9


class HasLedger(Protocol):
    """What of a Registrar is needed here."""

    ledger: Ledger


class ClockWatch:
    """Keeps the newest state of the clock, and says what becomes of it."""

    def __init__(self, books: HasLedger, config: ClockConfig, every_s: float = 60.0, do: Doer = at_once) -> None:
        """Take a first sample at once, of the kernel only. do: has entries made where a slow disk stops nobody."""
        self._books = books
        self._do = do
        self._bound_us = config.max_error_ms * 1000
        self._every_s = every_s
        self._entered: ClockState | None = None
        self._entered_mono = 0
        self._worst_us: int | None = None  # of synchronised samples since the entry before
        self._is_failing = False
        self.state = sample_kernel()

    def for_manifest(self) -> dict[str, Json]:
        """Return the newest sample for a recording that ends now."""
        return self.state.for_manifest()

    async def run(self) -> None:
        """Watch until cancelled; raises nothing else."""
        while True:
            try:
                await self._do(self.note, await _THREADS.run(sample), time.monotonic_ns())
                self._is_failing = False
            except StoreError as error:
                self._failed(str(error))
            except Exception as error:  # a fault of ours: recording must not hear of it
                self._failed(fault(error))
            await asyncio.sleep(self._every_s)

    def note(self, state: ClockState, now_mono: int) -> None:
        """Take a sample: enter it when it is time or something changed, and say what changed. Raises StoreError."""
        before, self.state = self._entered, state
        if state.synchronised:
            self._worst_us = max(self._worst_us or 0, state.max_error_us)
        reason = self._reason(before, state, now_mono)
        if not reason:
            return
        was_bad = before is not None and before.exceeds(self._bound_us)
        if state.exceeds(self._bound_us) and not was_bad:
            words = "alarm: the clock may be further from UTC than allowed"
            log.error(words, **state.as_json(), max_error_ms=self._bound_us / 1000)
        elif was_bad and not state.exceeds(self._bound_us):
            log.info("the clock is right again", **state.as_json())
        worst: dict[str, Json] = {} if self._worst_us is None else {"worst_error_us": self._worst_us}
        self._books.ledger.record({"t": events.CLOCK, **state.as_json(), **worst, "reason": reason})
        self._entered, self._entered_mono, self._worst_us = state, now_mono, None
        self._books.ledger.flush()

    def _reason(self, before: ClockState | None, state: ClockState, now_mono: int) -> str:
        if before is None:
            return START
        is_same = (
            before.synchronised == state.synchronised
            and before.source == state.source
            and before.exceeds(self._bound_us) == state.exceeds(self._bound_us)
        )
        if not is_same:
            return CHANGED
        return HOURLY if now_mono - self._entered_mono >= _HOUR_NS else ""

    def _failed(self, reason: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.error("the clock cannot be watched", reason=reason)
