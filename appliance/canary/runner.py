"""The canary beside a recorder: calls itself every so often, looks at what was recorded, and says so.

send ▸ wait until the recording is sealed ▸ look at it in a process of its own ▸ table, log, alarm
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from vittne.appliance.announcements.files import read_sound
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.canary.checks import (
    Prompt,
    announcement_check,
    clock_check,
    in_time_check,
    recorded_check,
    result_of,
    stamp_check,
)
from vittne.appliance.canary.expected import ExpectedVoice, expected
from vittne.appliance.canary.mark import Sent, mark_of
from vittne.appliance.canary.reading import read_recording
from vittne.appliance.canary.script import Script, Wanted, write_script
from vittne.appliance.canary.sending import send
from vittne.appliance.canary.settings import CanaryConfig
from vittne.appliance.canary.shown import CanaryShown, canary_shown
from vittne.appliance.canary.table import RUNNING, Run
from vittne.appliance.clock.state import ClockState
from vittne.appliance.control.server import Doer, at_once
from vittne.appliance.log import fault
from vittne.appliance.opened import folder_of, parts_of
from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.seal.verdict import UNCHECKED, Check, fails, unchecked
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us
from vittne.codecs.base import I16

log = structlog.get_logger()

DataKey = Callable[[str, int], Awaitable[bytes]]
_FIRST_S: Final = 10.0  # after the start: a worker reads its rings by then
_LOOK_S: Final = 0.5
_THREADS = OwnThreads("canary", 1)
_ALARM: Final = "alarm: the canary call was not recorded as it should be"
_STRANGE: Final = "what we did not send came with its Call-ID; that call is kept as anybody's"
_OVER: Final = "the canary call is well again"


@dataclass(slots=True)
class Around:
    """What a recorder knows that a canary is held against. behind_s: hold-back and commit.

    key: gives data keys while the archive is unlocked. is_listened: whether voices are listened to at all.
    """

    interfaces: Sequence[str]
    behind_s: float
    clock: Callable[[], ClockState]
    clock_bound_us: float
    stamps: Callable[[], list[Standing]]
    key: DataKey
    is_listened: bool


@dataclass(frozen=True, slots=True)
class _Said:
    script: Script
    voices: list[ExpectedVoice]
    prompt: Prompt | None
    ended_us: int


class CanaryRunner:
    """Runs canary calls until cancelled. last: the newest that ended, of this start or one before."""

    def __init__(self, registrar: Registrar, config: CanaryConfig, around: Around, do: Doer = at_once) -> None:
        self._registrar = registrar
        self._config = config
        self._around = around
        self._do = do
        self._is_bad = False
        self._wake = asyncio.Event()
        self.last: Run | None = None
        self.well_us: int | None = None  # when one was last placed of which nothing was wrong

    def shown(self) -> CanaryShown | None:
        """Return the newest that is over."""
        return None if self.last is None or not self._config.enabled else canary_shown(self.last)

    def wake(self) -> None:
        """Have one sent now; from the loop that runs it."""
        self._wake.set()

    async def run(self) -> None:
        """Call, look, wait."""
        if not self._config.enabled:
            return
        loop = asyncio.get_running_loop()
        self._registrar.canaries.wake = partial(loop.call_soon_threadsafe, self.wake)
        table = self._registrar.canaries.table
        await self._do(table.give_up, now_us())
        self.last = next((run for run in await self._do(table.newest, 2) if run.result != RUNNING), None)
        self.well_us = await self._do(table.well_us)
        self._is_bad = self.last is not None and bool(self.last.failed)
        wait_s = _FIRST_S
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.once()
            wait_s = self._config.every_minutes * 60

    async def once(self) -> Run:
        """Do one run, and say what came of it."""
        prompt = await self._prompt()
        samples, named = (None, None) if isinstance(prompt, Check) else prompt
        mark = await self._do(mark_of, self._registrar.data_dir)
        wanted = Wanted(mark, self._config.codec, self._config.talk_s, self._config.vlan, samples)
        script = await asyncio.to_thread(write_script, wanted, self._registrar.canaries.take_asked())
        book, sent = self._registrar.canaries, script.sent
        await self._do(book.await_, sent)
        try:
            checks = await self._checks(script, named)
        except StoreError as error:
            checks = [fails("recorded", str(error))]
        except Exception as error:  # a fault of ours: it must not pass for a call that was recorded
            checks = [fails("recorded", f"the canary could not be looked at ({fault(error)})")]
        if isinstance(prompt, Check):
            checks.append(prompt)
        await self._do(book.table.end, sent.run, result_of(checks), checks, now_us())
        found: Run = await self._do(book.table.get, sent.run)
        if found.sealed_us is not None:  # one that comes too late is ours all the same
            await self._do(book.forget, sent)
        self.last = found
        self.well_us = self.well_us if found.failed else found.started_us
        self._tell(found)
        return found

    async def _prompt(self) -> Check | tuple[I16 | None, tuple[str, str] | None]:
        """Return the announcement's samples, its name and hash; a check that fails when it is not to be had."""
        name = self._config.announcement
        if not name:
            return None, None
        try:
            terms = await self._do(AnnouncementTable(self._registrar.catalogue).at, now_us())
            found = next((one.handle() for one in terms if one.handle().name == name), None)
            if found is None:
                return fails("announcement", f"no announcement called {name} counts now: `vittne announcement list`")
            return await asyncio.to_thread(read_sound, self._registrar.data_dir, found.hash), (name, found.hash)
        except StoreError as error:
            return fails("announcement", str(error))

    async def _checks(self, script: Script, named: tuple[str, str] | None) -> list[Check]:
        interface = self._config.interface or next(iter(self._around.interfaces), "")
        times, ended_ns = await send(script, interface)
        begin_us = times[1][script.announced_packet] // 1000 if named is not None else 0
        prompt = None if named is None else Prompt(*named, begin_us)
        said = _Said(script, expected(script, times), prompt, ended_ns // 1000)
        limit_s = self._around.behind_s + self._config.within_s
        run = await self._sealed(script.sent, limit_s)
        if run is None:
            return [await self._not_there(script.sent, limit_s)]
        return await self._looked_at(run, said, limit_s)

    async def _sealed(self, sent: Sent, limit_s: float) -> Run | None:
        """Wait until the recording is sealed; None when it is not in time, and as long again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * limit_s
        while loop.time() < deadline:
            run: Run | None = await self._do(self._registrar.canaries.table.get, sent.run)
            if run is not None and run.sealed_us is not None:
                return run
            if self._registrar.canaries.is_strange(sent):
                return None
            await asyncio.sleep(_LOOK_S)
        return None

    async def _not_there(self, sent: Sent, limit_s: float) -> Check:
        if self._registrar.canaries.is_strange(sent):
            return fails("recorded", _STRANGE)
        run = await self._do(self._registrar.canaries.table.get, sent.run)
        if run is not None and run.recording:
            return fails("recorded", f"its recording was begun and not sealed {2 * limit_s:g} s after the call")
        return fails("recorded", "it was sent, and no recording came of it: is what it was sent on what is captured?")

    async def _looked_at(self, run: Run, said: _Said, limit_s: float) -> list[Check]:
        around, data = self._around, self._registrar.data_dir
        assert run.sealed_us is not None
        call = await self._do(self._registrar.catalogue.get, run.recording)
        checks = [recorded_check(call), in_time_check(said.ended_us, run.sealed_us, limit_s)]
        keys, why = await self._keys(call)
        found = await read_recording(data, call.folder, call.id, keys, said.voices)
        checks += [_because(one, why) for one in found]
        if said.prompt is not None:
            checks.append(announcement_check(call, said.prompt, around.is_listened))
        checks.append(clock_check(around.clock(), around.clock_bound_us))
        return checks + stamp_check(await _THREADS.run(around.stamps))

    async def _keys(self, call: CallRow) -> tuple[dict[int, bytes], str]:
        """Return the data keys of its parts; why there are none. The ledger said before that it is a canary's."""
        parts = await asyncio.to_thread(lambda: parts_of(folder_of(self._registrar.data_dir, call.folder, call.id)))
        try:
            return {n: await self._around.key(call.id, n) for n in parts}, ""
        except StoreError as error:
            return {}, error.what
        except CapsuleRefused as error:
            return {}, str(error)

    def _tell(self, run: Run) -> None:
        """Log what came of it; raise the alarm, or end it."""
        said: dict[str, Any] = {"run": run.id, "recording": run.recording, "result": run.result}
        open_ = [check.name for check in run.checks if check.result == UNCHECKED]
        log.info("canary call", **said, **({"not_checked": open_} if open_ else {}))
        if run.failed:
            words = "; ".join(f"{check.name}: {check.words}" for check in run.checks if not check.ok)
            log.error(_ALARM, what=", ".join(run.failed), reason=words[:1000])
        elif self._is_bad:
            log.info(_OVER, run=run.id)
        self._is_bad = bool(run.failed)


def _because(check: Check, why: str) -> Check:
    """Return a check that could not be made with the reason for which there are no keys."""
    return unchecked(check.name, f"{check.words} ({why})") if why and check.result == UNCHECKED else check
