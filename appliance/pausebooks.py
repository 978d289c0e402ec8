"""Writing pauses down, many with one sync: whoever comes while a write runs shares the next one.

A pause counts once catalogue and ledger are synced (some milliseconds each). Asked for one at a time, pauses would
wait for one another; so a write takes all that came meanwhile. Writes run in one thread, in the order they were
asked, so that the loop goes on reading what is asked next and what the worker confirms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.canonical import Json
from vittne.appliance.store.errors import StoreError
from vittne.capture.pause import Pause

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Batch:
    """What one write takes. error: why it failed."""

    pauses: list[Pause] = field(default_factory=list)
    entries: list[dict[str, Json]] = field(default_factory=list)
    is_written: bool = False
    error: StoreError | None = None


class PauseBooks:
    """Catalogue and ledger, as the parent's loop uses them while it records."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._batch = _Batch()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "books")

    async def keep(self, pauses: Sequence[Pause], entries: Sequence[dict[str, Json]] = ()) -> None:
        """Return when pauses, as they stand now, and entries of the ledger outlast a power cut.

        What could not be written is tried again with the next write. Raises StoreError.
        """
        mine = self._batch
        mine.pauses += pauses
        mine.entries += entries
        async with self._turn:
            if not mine.is_written:
                if self._batch is mine:
                    self._batch = _Batch()  # who comes from now on waits for the next one
                await asyncio.shield(self._in_thread(self._write, mine))
        if mine.error is not None:
            raise StoreError(mine.error.what, mine.error.where, mine.error.next_step) from mine.error

    def add(self, pauses: Sequence[Pause]) -> None:
        """Have pauses written with the next write."""
        self._batch.pauses += pauses

    async def do(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do anything else that writes, in its turn."""
        async with self._turn:
            return await asyncio.shield(self._in_thread(work, *given, **named))

    def close(self) -> None:
        """Wait for what is being written. Nothing may be asked afterwards."""
        self._thread.shutdown()

    def _in_thread(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        return asyncio.wrap_future(self._thread.submit(work, *given, **named))

    def _write(self, batch: _Batch) -> None:
        if batch.is_written:  # who began it was cancelled, and the thread went on
            return
        try:
            self._registrar.note_pauses(batch.pauses, batch.entries)
        except StoreError as error:
            batch.error = error
        batch.is_written = True
