"""The parent's side: starts the process, gives it the order, hands its answer on piece by piece.

Few of them run at a time, each at low priority: recording must not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from pydantic import ValidationError

from vittne.appliance.casework.apart import started
from vittne.appliance.casework.orders import LINE_LIMIT, CaseOrder, Head
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

_AT_ONCE: Final = 2
_PIECE: Final = 1 << 16
_HEAD_S: Final = 600.0  # an hour of sound is decoded in less
_STOP_S: Final = 5.0


class CaseFailed(StoreError):
    """The process ended without an answer."""


class CaseAnswer:
    """An answer whose head has come."""

    def __init__(self, head: Head, process: asyncio.subprocess.Process, recording: str) -> None:
        self.notes = head.notes
        self.copied = head.copied
        self._process = process
        self._recording = recording

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what is behind the head. Raises CaseFailed when the process failed amid it."""
        assert self._process.stdout is not None
        while piece := await self._process.stdout.read(_PIECE):
            yield piece
        if await self._process.wait():
            raise _failed(self._process, self._recording)

    async def whole(self) -> bytes:
        """Return all of it."""
        return b"".join([piece async for piece in self.pieces()])


class CaseDesk:
    """Runs processes, few at a time."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def asked(self, order: CaseOrder) -> AsyncIterator[CaseAnswer]:
        """Yield the answer to an order. Raises StoreError: what the process was refused, CaseFailed."""
        async with self._room:
            process = await started("vittne.appliance.casework.child", LINE_LIMIT)
            try:
                yield CaseAnswer(await _head(process, order), process, order.recording)
            finally:
                await _end(process)


async def _head(process: asyncio.subprocess.Process, order: CaseOrder) -> Head:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        await process.stdin.drain()
        process.stdin.close()
    async with asyncio.timeout(_HEAD_S):
        line = await process.stdout.readline()
    try:
        head = Head.model_validate_json(line)
    except ValidationError:
        await process.wait()
        raise _failed(process, order.recording) from None
    if head.refused is not None:
        raise StoreError(head.refused.what, head.refused.where, head.refused.next_step)
    return head


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _failed(process: asyncio.subprocess.Process, recording: str) -> CaseFailed:
    log.error("reading a recording failed", recording=recording, status=process.returncode)
    return CaseFailed("the recording could not be read", "casework", "the recorder's log says more")
