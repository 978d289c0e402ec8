"""Which announcements count now, as a worker is told of them; and what it is told when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.announcements.files import sound_path
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_LOOK_S: Final = 30.0  # at most until what begins or ends at a time is noticed
Tell = Callable[[list[ReferenceHandle]], None]


def active(catalogue: Catalogue, data_dir: Path, now: int) -> list[ReferenceHandle]:
    """Return what counts at a time (us UTC), by name. Raises StoreError.

    One whose sound is gone cannot be listened for: it is left out; AnnouncementWatch says so in the log.
    """
    counting = AnnouncementTable(catalogue).at(now)
    return [one.handle() for one in counting if sound_path(data_dir, one.reference).is_file()]


class AnnouncementWatch:
    """Tells of the list that counts: at once, and whenever it is another one.

    tell: called in the loop. do: has a function done where nobody else writes meanwhile, as Operator's; default: here.
    """

    def __init__(
        self, registrar: Registrar, tell: Tell, do: Callable[..., Awaitable[Any]] | None = None, look_s: float = _LOOK_S
    ) -> None:
        self._registrar = registrar
        self._tell = tell
        self._do = do
        self._look_s = look_s
        self._last: Sequence[ReferenceHandle] | None = None
        self._gone: frozenset[tuple[str, str]] = frozenset()  # names and hashes without a sound

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        # Operations are done in a thread.
        self._registrar.announcements_changed = lambda: _in(loop, changed.set)
        try:
            while True:
                changed.clear()
                found, next_us = await self._look()
                if found != self._last:
                    self._last = found
                    self._tell(list(found))
                wait_s = self._look_s if next_us is None else min(self._look_s, max(next_us - now_us(), 0) / 1e6)
                try:
                    await asyncio.wait_for(changed.wait(), wait_s)
                except TimeoutError:
                    continue
        finally:
            self._registrar.announcements_changed = _nobody

    async def _look(self) -> tuple[list[ReferenceHandle], int | None]:
        if self._do is None:
            return self._read()
        found: tuple[list[ReferenceHandle], int | None] = await self._do(self._read)
        return found

    def _read(self) -> tuple[list[ReferenceHandle], int | None]:
        at, catalogue = now_us(), self._registrar.catalogue
        table, found = AnnouncementTable(catalogue), active(catalogue, self._registrar.data_dir, at)
        there = {one.hash for one in found}
        gone = frozenset((one.name, one.reference) for one in table.at(at) if one.reference not in there)
        for name, reference in sorted(gone - self._gone):
            log.error("alarm: the sound of an announcement is gone", name=name, reference=reference)
        self._gone = gone
        return found, table.next_change(at)


def _nobody() -> None:
    """Nobody wants to know."""


def _in(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)
