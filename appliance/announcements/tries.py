"""Tries that were asked for over the API: what was uploaded for them, how far each is, what it found.

Everything is in memory, for half an hour: a sound that is only tried leaves nothing behind. One process searches at a
time, at low priority: recording must not notice.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog
from pydantic import ValidationError

from vittne.appliance.announcements.files import as_bytes
from vittne.appliance.announcements.tryorders import LINE_LIMIT, TryCall, TryLine, TryOrder
from vittne.appliance.casework.apart import ended, started, tell
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.log import fault
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

State = Literal["waits", "runs", "done", "stopped", "failed"]
Kind = Literal["reference", "capture", "sound"]
KEPT_S: Final = 1800.0
MOST: Final = 12  # tries, and uploads, that are kept: the oldest goes
MOST_BYTES: Final = 160 << 20  # of uploads: they are in memory
_LINE_S: Final = 600.0  # a capture is recorded and searched in less

Keys = Callable[[str], Awaitable[dict[int, str]]]  # a recording's, base64. Raises StoreError


class NoSuchTry(StoreError):
    """A try, or an upload, that is not there, or is another's."""


class TooManyTries(StoreError):
    """So many wait that another one is not begun."""


@dataclass(slots=True)
class Upload:
    """What somebody sent to be tried. fd: in memory, of what is searched; -1 where it is a reference."""

    id: str
    owner: str
    kind: Kind
    file: str
    size: int
    at_s: float
    fd: int = -1
    reference: Reference | None = None

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(slots=True)
class Try:
    """One reference, searched for. rows: what was found so far, as Tried.as_json() has it. total: None: not known."""

    id: str
    owner: str
    what: str
    at_s: float
    total: int | None
    state: State = "waits"
    rows: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    task: asyncio.Task[None] | None = None

    @property
    def totals(self) -> dict[str, int]:
        """Return how many were heard full, partial, none, and how many could not be searched."""
        counts = Counter(row["state"] for row in self.rows)
        return {state: counts[state] for state in ("full", "partial", "none", "unknown")}


@dataclass(frozen=True, slots=True)
class Searched:
    """Where to look: in recordings, by id, with what gives their keys; or in something uploaded."""

    recordings: Sequence[str] = ()
    keys: Keys | None = None
    upload: Upload | None = None
    before: Sequence[dict[str, Any]] = ()  # rows of those that may not be searched


class TryDesk:
    """Runs tries, one after the other, and keeps what they found."""

    def __init__(self, data: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._data = data
        self._now_s = now_s
        self._uploads: dict[str, Upload] = {}
        self._tries: dict[str, Try] = {}
        self._turn = asyncio.Lock()

    def keep(
        self, owner: str, kind: Kind, file: str, size: int, fd: int = -1, reference: Reference | None = None
    ) -> Upload:
        """Keep something that was uploaded; fd becomes ours."""
        self._forget()
        one = Upload(secrets.token_hex(8), owner, kind, file, size, self._now_s(), fd, reference)
        while len(self._uploads) >= MOST or sum(one.size for one in self._uploads.values()) + size > MOST_BYTES:
            if not self._uploads:
                break
            self._uploads.pop(next(iter(self._uploads))).close()
        self._uploads[one.id] = one
        return one

    def upload(self, name: str, owner: str) -> Upload:
        """Return what somebody uploaded. Raises NoSuchTry."""
        self._forget()
        found = self._uploads.get(name)
        if found is None or found.owner != owner:
            raise NoSuchTry(
                "nothing is uploaded under this id", name[:40], "it is kept for half an hour: send it again"
            )
        return found

    def begin(self, owner: str, what: str, reference: Reference, where: Searched, window_s: float) -> Try:
        """Begin a try; it goes on by itself. Raises TooManyTries."""
        self._forget()
        if sum(one.state in ("waits", "runs") for one in self._tries.values()) >= MOST:
            raise TooManyTries("too many searches wait", what, "wait until one is done, or stop one")
        total = None if where.upload is not None else len(where.recordings) + len(where.before)
        one = Try(secrets.token_hex(8), owner, what, self._now_s(), total, rows=list(where.before))
        fd = os.dup(where.upload.fd) if where.upload is not None else -1  # it may be let go of meanwhile
        one.task = asyncio.create_task(self._run(one, reference, where, window_s, fd))
        self._tries[one.id] = one
        return one

    def one(self, name: str, owner: str) -> Try:
        """Return a try. Raises NoSuchTry."""
        self._forget()
        found = self._tries.get(name)
        if found is None or found.owner != owner:
            raise NoSuchTry("no try has this id", name[:40], "it is kept for half an hour: begin it again")
        return found

    async def stop(self, one: Try) -> None:
        """End a try; what it found stays."""
        if one.task is not None and not one.task.done():
            one.task.cancel()
            with suppress(asyncio.CancelledError):
                await one.task
        if one.state in ("waits", "runs"):
            one.state = "stopped"

    async def close(self) -> None:
        """End everything."""
        for one in self._tries.values():
            await self.stop(one)
        for upload in self._uploads.values():
            upload.close()

    def _forget(self) -> None:
        oldest = self._now_s() - KEPT_S
        for name in [name for name, one in self._uploads.items() if one.at_s < oldest]:
            self._uploads.pop(name).close()
        ended = [one for one in self._tries.values() if one.task is None or one.task.done()]
        for one in ended[: max(len(ended) - MOST, 0)] + [one for one in ended if one.at_s < oldest]:
            self._tries.pop(one.id, None)

    async def _run(self, one: Try, reference: Reference, where: Searched, window_s: float, fd: int) -> None:
        try:
            async with self._turn:
                one.state = "runs"
                await self._searched(one, reference, where, window_s, fd)
                one.state = "done"
        except StoreError as error:
            one.state, one.problem = "failed", f"{error.what}; {error.next_step}"
        except asyncio.CancelledError:
            one.state = "stopped"
            raise
        except Exception as error:  # of a try, not of the recorder
            log.error("trying an announcement failed", reason=fault(error))
            one.state, one.problem = "failed", "the search broke off; the recorder's log says more"
        finally:
            if fd >= 0:
                os.close(fd)

    async def _searched(self, one: Try, reference: Reference, where: Searched, window_s: float, fd: int) -> None:
        upload = where.upload
        order = TryOrder(
            data=self._data,
            samples=base64.b64encode(as_bytes(reference.samples)).decode(),
            required=reference.required,
            where="calls" if upload is None else "capture" if upload.kind == "capture" else "sound",
            window_s=window_s,
            fd=fd,
            file="" if upload is None else upload.file,
        )
        process = await started("vittne.appliance.announcements.trychild", LINE_LIMIT, (fd,) if fd >= 0 else ())
        try:
            await tell(process, order.model_dump_json())
            for recording in where.recordings:
                assert where.keys is not None
                try:
                    keys = await where.keys(recording)
                except StoreError as error:
                    one.rows.append(unknown(recording, error.what))
                    continue
                await tell(process, TryCall(recording=recording, keys=keys).model_dump_json())
                if not _take(one, await _line(process)):
                    return
            while upload is not None and _take(one, await _line(process)):
                pass
        finally:
            await ended(process)


def unknown(recording: str, problem: str) -> dict[str, Any]:
    """Return the row of a recording that could not be searched, as Tried.as_json() has it."""
    row: dict[str, Any] = {
        "id": recording,
        "from_at": None,
        "searched_s": 0.0,
        "state": "unknown",
        "parties": [],
        "notes": [],
    }
    return {**row, "problem": problem}


def _take(one: Try, line: bytes) -> bool:
    """Take what the process said; say whether there was something. Raises StoreError."""
    if not line:
        return False
    try:
        said = TryLine.model_validate_json(line)
    except ValidationError:
        raise StoreError("the search broke off", "trying", "the recorder's log says more") from None
    if said.tried is None:
        raise StoreError(said.refused, "trying", said.further)
    one.rows.append(said.tried)
    return True


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(_LINE_S):
        return await process.stdout.readline()


__all__ = ["KEPT_S", "NoSuchTry", "Searched", "TooManyTries", "Try", "TryDesk", "Upload", "unknown"]
