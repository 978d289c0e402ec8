"""Copying beside a recorder: a process for each target when something is due there; recording never waits for it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.server import Operator
from vittne.appliance.life.settings import StoreConfig
from vittne.appliance.log import fault
from vittne.appliance.storage.fetching import clear_work, come_back, unmark
from vittne.appliance.storage.known import note_targets
from vittne.appliance.storage.operation import ENTER_STORED, LEAVE, Leave, entering
from vittne.appliance.storage.settings import StorageTarget, days_kept
from vittne.appliance.storage.table import DAMAGED, FAILED, STORED, Stored, StoredTable, Sums
from vittne.appliance.storage.work import is_due
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

log = structlog.get_logger()

_LOOK_S: Final = 30.0
_SELDOM: Final = 50  # looking takes at most one part in so many of the time
_AGAIN_S: Final = 30.0
_AGAIN_LIMIT_S: Final = 3600.0
_LATE_LOOK_S: Final = 600.0
_LEAVE_LOOK_S: Final = 3600.0
_LEAVE_AT_ONCE: Final = 100
_LINE_LIMIT: Final = 4 << 20
_HOUR_US: Final = 3_600_000_000


class StorageRunner:
    """Copies to all targets until cancelled, and lets go of what is kept elsewhere long enough."""

    def __init__(
        self, operator: Operator, data_dir: Path, targets: Sequence[StorageTarget], local: StoreConfig
    ) -> None:
        self._operator = operator
        self._data_dir = data_dir
        self._targets = tuple(targets)
        self._days = days_kept(local.keep_local)
        self._locking = [one.name for one in targets if one.lock != "none"] if local.immutable else None
        self._away: set[str] = set()  # told of, and not back yet
        self._late: set[str] = set()

    async def run(self) -> None:
        """Go on until cancelled; nothing to do without targets."""
        await asyncio.to_thread(note_targets, self._data_dir, self._targets)
        await asyncio.to_thread(clear_work, self._data_dir)
        if not self._targets:
            return
        async with asyncio.TaskGroup() as group:
            for target in self._targets:
                group.create_task(self._serve(target))
            group.create_task(self._watch())
            if self._days is not None:
                group.create_task(self._leaving(self._days))

    async def once(self, target: StorageTarget) -> bool:
        """Do what is due at a target; False when nothing can be done with it now."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vittne.appliance.storage.process", str(self._data_dir)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        is_done = has_ended = False
        try:
            process.stdin.write(target.model_dump_json().encode())
            process.stdin.close()
            async for line in process.stdout:
                said = json.loads(line)
                is_done, has_ended = "done" in said, "rows" not in said
                await self._take(target, said)
            await process.wait()
            if not has_ended:
                log.error("copying to a storage target stopped", target=target.name, reason="its process died")
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error("copying to a storage target stopped", target=target.name, reason=fault(error))
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return is_done

    async def leave(self, days: int) -> int:
        """Let the parts of recordings leave this machine that were copied so long ago; return of how many."""
        before = now_us() - days * 24 * _HOUR_US
        count = 0
        while True:
            ids, back = await asyncio.to_thread(self._to_leave, before)
            if not ids:
                return count
            answer = await self._operator.perform(LEAVE, Leave(recordings=ids), VITTNE)
            for recording in back:
                unmark(self._data_dir, recording)
            count += len(answer["left"])
            if len(answer["left"]) < len(ids):  # the rest has a reason to stay, and is asked again the next time
                return count

    def look(self) -> dict[str, Sums]:
        """Return how each target stands, and tell of those that are late."""
        with Catalogue(self._data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            found = {one.name: StoredTable(catalogue).sums(one.name) for one in self._targets}
        for one in self._targets:
            sums = found[one.name]
            since = sums.waiting_since_us
            if since is None or now_us() - since < one.late_after_hours * _HOUR_US:
                self._late.discard(one.name)
            elif one.name not in self._late:
                self._late.add(one.name)
                told = {"waiting": sums.waiting, "since": rfc3339(since)}
                log.error("alarm: recordings wait long for a storage target", target=one.name, **told)
        return found

    async def _serve(self, target: StorageTarget) -> None:
        wait, is_first = _AGAIN_S, True  # the first time, to see whether it locks as it promises
        while True:
            begun = time.monotonic()
            if is_first or await asyncio.to_thread(self._is_due, target):
                is_first = not await self.once(target)
                if is_first:
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, _AGAIN_LIMIT_S)
                    continue
                wait, begun = _AGAIN_S, time.monotonic()
            # Of a large catalogue it takes seconds to see that nothing is due (0.35 s for 100 000 calls).
            await asyncio.sleep(max(_LOOK_S, _SELDOM * (time.monotonic() - begun)))

    async def _watch(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except StoreError as error:
                log.error("copies cannot be counted", reason=str(error))
            await asyncio.sleep(_LATE_LOOK_S)

    async def _leaving(self, days: int) -> None:
        while True:
            try:
                count = await self.leave(days)
                if count:
                    log.info("recordings are kept elsewhere only", recordings=count)
            except StoreError as error:
                log.error("recordings could not leave this machine", reason=str(error))
            await asyncio.sleep(_LEAVE_LOOK_S)

    async def _take(self, target: StorageTarget, said: dict[str, Any]) -> None:
        name = target.name
        if "rows" in said:
            rows = [Stored(**row) for row in said["rows"]]
            await self._enter(rows)
            for row in rows:
                _tell(row)
        if "away" in said and name not in self._away:
            self._away.add(name)
            event = "alarm: a storage target does not lock as it promises; nothing is copied there"
            if not said.get("missing"):
                event = "alarm: a storage target cannot be worked with"
            log.error(event, target=name, reason=str(said["away"])[:400])
        if ("rows" in said or "done" in said) and name in self._away:
            self._away.discard(name)
            log.info("a storage target is back", target=name)
        if "error" in said:
            log.error("copying to a storage target stopped", target=name, reason=str(said["error"])[:400])

    async def _enter(self, rows: Sequence[Stored]) -> None:
        try:
            await self._operator.perform(ENTER_STORED, entering(rows), VITTNE)
        except StoreError as error:  # it is copied, and the next time found there
            log.error("copies could not be entered", reason=str(error))

    def _is_due(self, target: StorageTarget) -> bool:
        try:
            return is_due(self._data_dir, target)
        except StoreError as error:
            log.error("what is to be copied cannot be read", reason=str(error))
            return False

    def _to_leave(self, before_us: int) -> tuple[list[str], list[str]]:
        with Catalogue(self._data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            fresh = StoredTable(catalogue).to_leave(before_us, _LEAVE_AT_ONCE, self._locking)
        back = come_back(self._data_dir, before_us)[:_LEAVE_AT_ONCE]
        return [*fresh, *back][:_LEAVE_AT_ONCE], back


def _tell(row: Stored) -> None:
    about = {"target": row.target, "recording": row.recording, "reason": row.problem}
    if row.state == DAMAGED:
        log.error("alarm: a copy at a storage target is damaged", **about)
    elif row.state == FAILED and row.tries == 1:
        log.error("alarm: a recording could not be copied", **about)
    elif row.state != STORED and row.problem:
        log.warning("a copy waits", **about)
