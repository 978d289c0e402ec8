"""Which announcements count now, as a worker is told of them; when that changes; and what cannot be listened for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.openers import Undecided
from vittne.appliance.announcements.sounds import Sounds
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_LOOK_S: Final = 30.0  # at most until what begins or ends at a time, or is gone, is noticed
Tell = Callable[[list[ReferenceHandle], bool], None]
Gates = Callable[[Sequence[ReferenceHandle]], Sequence[Undecided]]


def active(catalogue: Catalogue, now: int) -> list[ReferenceHandle]:
    """Return what counts at a time (us UTC), by name. Raises StoreError.

    One whose sound is gone is in it: a worker that cannot listen for it says so of every call.
    """
    return [one.handle() for one in AnnouncementTable(catalogue).at(now)]


class AnnouncementWatch:
    """Tells of the list that counts, whenever it is another one; raises alarms over what cannot be listened for.

    tell: called in the loop, with the list, and whether it is to be read anew though it is the same: a sound is back.
    do: has a function done where nobody else writes meanwhile, as Operator's; default: here. gates: which nothing
    decides when these announcements are left. unheard: hashes that a worker says it does not listen for.
    """

    def __init__(
        self,
        registrar: Registrar,
        tell: Tell,
        do: Callable[..., Awaitable[Any]] | None = None,
        look_s: float = _LOOK_S,
        gates: Gates = lambda _: (),
        unheard: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._registrar = registrar
        self._tell = tell
        self._do = do
        self._look_s = look_s
        self._gates = gates
        self._unheard = unheard
        self._sounds = Sounds(registrar.data_dir)
        self._unheard_before: frozenset[str] = frozenset()
        self._last: Sequence[ReferenceHandle] | None = None
        self._lacking = _Standing(
            "alarm: the sound of an announcement is gone", "the sound of an announcement is back", "name"
        )
        self._deaf = _Standing(
            "alarm: an announcement is not listened for", "an announcement is listened for again", "name"
        )
        self._shut = _Standing(
            "alarm: nothing opens a gate any more; its calls are not recorded", "a gate can be opened again", "rule"
        )
        self._open = _Standing(
            "alarm: nobody can object by key; the calls of a rule are recorded", "somebody can object again", "rule"
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        # Operations are done in a thread.
        self._registrar.announcements_changed = lambda: _in(loop, changed.set)
        try:
            while True:
                changed.clear()
                found, next_us, is_back = await self._look()
                if found != self._last or is_back:
                    self._last = found
                    self._tell(list(found), is_back)
                wait_s = self._look_s if next_us is None else min(self._look_s, max(next_us - now_us(), 0) / 1e6)
                try:
                    await asyncio.wait_for(changed.wait(), wait_s)
                except TimeoutError:
                    continue
        finally:
            self._registrar.announcements_changed = _nobody

    async def _look(self) -> tuple[list[ReferenceHandle], int | None, bool]:
        if self._do is None:
            return self._read()
        found: tuple[list[ReferenceHandle], int | None, bool] = await self._do(self._read)
        return found

    def _read(self) -> tuple[list[ReferenceHandle], int | None, bool]:
        at, catalogue = now_us(), self._registrar.catalogue
        found = active(catalogue, at)
        problems = self._sounds.problems(one.hash for one in found)
        unheard = self._unheard() - set(problems)
        # Told twice: right after a sound came back the worker has not read it yet.
        deaf, self._unheard_before = unheard & self._unheard_before, unheard
        lacking = {
            one.name: {"reference": one.hash, "why": problems[one.hash]} for one in found if one.hash in problems
        }
        came_back = self._lacking.note(lacking)
        self._deaf.note({one.name: {"reference": one.hash} for one in found if one.hash in deaf})
        undecided = self._gates([one for one in found if one.hash not in problems and one.hash not in deaf])
        self._shut.note({one.rule: {"what": one.gate, "why": one.why} for one in undecided if not one.is_open})
        self._open.note({one.rule: {"what": one.gate, "why": one.why} for one in undecided if one.is_open})
        return found, AnnouncementTable(catalogue).next_change(at), came_back


class _Standing:
    """Alarms of one kind, told when they come and when they are over."""

    def __init__(self, raised: str, over: str, by: str) -> None:
        self._raised, self._over, self._by = raised, over, by
        self._known: dict[str, dict[str, str]] = {}

    def note(self, now: dict[str, dict[str, str]]) -> bool:
        """Say what is new and what is over; return whether something is over."""
        before, self._known = self._known, now
        for key in sorted(now.keys()):
            if before.get(key) != now[key]:
                log.error(self._raised, **{self._by: key}, **now[key])
        over = sorted(before.keys() - now.keys())
        for key in over:
            log.info(self._over, **{self._by: key})
        return bool(over)


def _nobody() -> None:
    """Nobody wants to know."""


def _in(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)
