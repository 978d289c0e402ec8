"""The parent's side of cutting: starts the process, gives it the keys of one recording, does its operations.

One at a time, at low priority: recording must not notice. What the process asks for is done in the name of who cuts.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from pydantic import ValidationError

from vittne.appliance.casework.apart import ended, started, tell
from vittne.appliance.casework.cutorders import LINE_LIMIT, Answered, Asked, CutJob, FromChild, Told
from vittne.appliance.casework.orders import Refused
from vittne.appliance.casework.process import CaseFailed
from vittne.appliance.control.operation import Caller, Operation, Order
from vittne.appliance.cut import ENTER_CUT, KEEP_KEYS, SETTLE_CUTS
from vittne.appliance.keyring.errors import KeysLocked
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

_LINE_S: Final = 1800.0  # reading and writing the longest recording
_MAY: Final[dict[str, Operation[Any]]] = {one.name: one for one in (SETTLE_CUTS, KEEP_KEYS, ENTER_CUT)}

Key = Callable[[str, int], Awaitable[bytes]]  # recording, part. Raises StoreError
Perform = Callable[[Operation[Any], Order, Caller], Awaitable[Any]]


class NotCut(StoreError):
    """A cut that was not made, and why."""


class CutDesk:
    """Runs cuts, one after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Told]] = set()

    async def done(self, job: CutJob, key: Key, perform: Perform, caller: Caller) -> Told:
        """Do a job; return what it came to. Raises StoreError. It goes on when who asked goes away meanwhile."""
        task = asyncio.create_task(self._done(job, key, perform, caller))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Told]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has it; nobody else need be told

    async def _done(self, job: CutJob, key: Key, perform: Perform, caller: Caller) -> Told:
        async with self._turn:
            process = await started("vittne.appliance.casework.cutchild", LINE_LIMIT)
            try:
                await tell(process, job.model_dump_json())
                while True:
                    line = await _line(process, job.recording)
                    if line.asked is not None:
                        await tell(process, (await _answered(job, line.asked, key, perform, caller)).model_dump_json())
                    if line.told is not None:
                        break
            finally:
                await ended(process)
        refused = line.told.refused
        if refused is not None:
            raise NotCut(refused.what, refused.where, refused.next_step)
        return line.told


async def _answered(job: CutJob, asked: Asked, key: Key, perform: Perform, caller: Caller) -> Answered:
    try:
        if asked.key is not None:
            return Answered(key=base64.b64encode(await key(job.recording, asked.key)).decode())
        operation = _MAY[asked.operation]
        order = operation.order.model_validate_json(json.dumps(asked.order))
        if getattr(order, "recording", job.recording) != job.recording or not job.reason:
            raise NotCut("the process asked for something else", asked.operation, "report it")
        await perform(operation, order, caller)
        return Answered(said=[f"{operation.name} done"])
    except KeysLocked:
        raise  # whoever asked is told to unlock
    except CapsuleRefused as error:
        return Answered(refused=Refused(what=str(error), where=job.recording, next_step="verify it"))
    except StoreError as error:
        return Answered(refused=Refused(what=error.what, where=str(error.where), next_step=error.next_step))


async def _line(process: asyncio.subprocess.Process, recording: str) -> FromChild:
    assert process.stdout is not None
    async with asyncio.timeout(_LINE_S):
        line = await process.stdout.readline()
    try:
        return FromChild.model_validate_json(line)
    except ValidationError:
        log.error("cutting a recording failed", recording=recording)
        raise CaseFailed("the recording could not be cut", "cutting", "the recorder's log says more") from None
