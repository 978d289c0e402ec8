"""Recordings that are open to be heard: a few processes, each with one, and one in reserve so that nobody waits.

A recording is opened with data keys that the key process gives while the archive is unlocked; it is closed when nobody
heard it for a while, and when the archive is locked or the recording is not what it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

from vittne.appliance.audio.sound import SoundProcess
from vittne.appliance.keyring.errors import KeysLocked
from vittne.appliance.opened import NotPlayable, bring_back_missing, folder_of, parts_of
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.seal.manifest import MANIFEST_FILE
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow

MOST_OPEN: Final = 6
IDLE_S: Final = 120.0
_YOUNG_S: Final = 10.0  # of a call that goes on: so old may be what is heard of it at first
_SWEEP_S: Final = 10.0

log = structlog.get_logger()

DataKey = Callable[[str, int], Awaitable[bytes]]  # recording, part: the key process's answer


async def no_keys(recording: str, _: int) -> bytes:
    """Answer for a recorder without keys of its own."""
    raise KeysLocked("this recorder has no keys to open recordings with", recording, "bring them: docs/keys.md")


@dataclass(frozen=True, slots=True)
class About:
    """What there is to be heard. Times: ns UTC. version: changes when the recording does."""

    version: str
    rate: int
    samples: int
    from_ns: int
    to_ns: int
    is_live: bool
    gaps: tuple[tuple[int, int, str], ...]
    events: tuple[tuple[int, dict[str, Any]], ...]
    notes: tuple[tuple[str, str, int], ...]
    problems: tuple[str, ...]

    @property
    def length_ms(self) -> int:
        """How long it is, rounded up."""
        return -(-self.samples * 1000 // self.rate)


@dataclass(slots=True)
class OpenSound:
    """A recording in its process."""

    recording: str
    process: SoundProcess
    about: About
    opened_s: float
    used_s: float = field(default=0.0)


@dataclass(frozen=True, slots=True)
class _Place:
    folder: Path
    parts: tuple[int, ...]
    version: str


class Sounds:
    """The recordings that are open. run() must go on while it is used."""

    def __init__(self, data_dir: Path, key: DataKey, now_s: Callable[[], float] = time.monotonic) -> None:
        self._data_dir = data_dir
        self._key = key
        self._now_s = now_s
        self._open: dict[str, OpenSound] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reserve: asyncio.Task[SoundProcess] | None = None

    async def sound(self, call: CallRow, to_ms: int | None = None) -> OpenSound:
        """Return a recording that is open, and opened now if need be. Raises StoreError, KeysLocked, KeysMissing.

        to_ms: how far it must reach, in a call that goes on.
        """
        turn = self._turns.setdefault(call.id, asyncio.Lock())
        async with turn:
            place = await asyncio.to_thread(_place, self._data_dir, call)
            # Asked again and again: a key that was taken back, or destroyed, ends what was open with it.
            try:
                keys = {n: await self._key(call.id, n) for n in place.parts}
            except (StoreError, CapsuleRefused) as error:
                await self._close(call.id)
                if isinstance(error, StoreError):
                    raise
                raise NotPlayable(str(error), call.id, "use the keys that it was sealed for") from error
            known = self._open.get(call.id)
            if known is not None and self._is_good(known, place, to_ms):
                known.used_s = self._now_s()
                return known
            await self._close(call.id)
            return await self._opened(call, place, keys)

    async def run(self) -> None:
        """Close what nobody hears any more, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                for one in [one for one in self._open.values() if self._now_s() - one.used_s > IDLE_S]:
                    await self._close(one.recording)
                if not self._open and self._reserve is not None:
                    await self._end_reserve()
        finally:
            for recording in list(self._open):
                await self._close(recording)
            await self._end_reserve()

    def _is_good(self, known: OpenSound, place: _Place, to_ms: int | None) -> bool:
        if known.process.is_dead:
            return False
        if known.about.version == place.version:
            return True
        if not known.about.is_live or not place.version.startswith(_LIVE):
            return False
        reaches = to_ms is not None and to_ms <= known.about.length_ms
        return reaches or self._now_s() - known.opened_s < _YOUNG_S

    async def _opened(self, call: CallRow, place: _Place, keys: dict[int, bytes]) -> OpenSound:
        process = await self._process()
        try:
            said = await process.open(place.folder, keys, call.answered_us, call.ended_us)
        except BaseException:
            await process.close()
            raise
        while len(self._open) >= MOST_OPEN:
            await self._close(min(self._open.values(), key=lambda one: one.used_s).recording)
        now_s = self._now_s()
        about = About(
            version=place.version,
            rate=said["rate"],
            samples=said["samples"],
            from_ns=said["from_ns"],
            to_ns=said["to_ns"],
            is_live=place.version.startswith(_LIVE),
            gaps=tuple((gap[0], gap[1], gap[2]) for gap in said["gaps"]),
            events=tuple((at_ns, event) for at_ns, event in said["events"]),
            notes=tuple((note[0], note[1], note[2]) for note in said["notes"]),
            problems=tuple(said["problems"]),
        )
        found = OpenSound(call.id, process, about, now_s, now_s)
        self._open[call.id] = found
        return found

    async def _process(self) -> SoundProcess:
        """Return the process in reserve, or a new one; have another one made."""
        reserve, self._reserve = self._reserve, asyncio.create_task(_started())
        if reserve is not None:
            try:
                found = await reserve
                if not found.is_dead:
                    return found
            except (StoreError, OSError) as error:
                log.warning("a sound process could not be started", reason=str(error))
        return await _started()

    async def _end_reserve(self) -> None:
        reserve, self._reserve = self._reserve, None
        if reserve is None:
            return
        try:
            await (await reserve).close()
        except (StoreError, OSError):
            return

    async def _close(self, recording: str) -> None:
        found = self._open.pop(recording, None)
        if found is not None:
            await found.process.close()


_LIVE: Final = "live-"


async def _started() -> SoundProcess:
    process = SoundProcess()
    try:
        await process.start()
    except BaseException:
        await process.close()
        raise
    return process


def _place(data_dir: Path, call: CallRow) -> _Place:
    """Return where a recording lies, and its version. Raises StoreError."""
    folder = folder_of(data_dir, call.folder, call.id)
    bring_back_missing(data_dir, folder)
    parts = tuple(parts_of(folder))
    try:
        if not folder.name.startswith("."):
            return _Place(folder, parts, hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest())
        sizes = [(folder / f"part-{n}.floe").stat().st_size for n in parts]
    except OSError as error:
        raise StoreError(f"it cannot be read ({error.strerror})", folder, "`vittne verify` says more") from error
    return _Place(folder, parts, f"{_LIVE}{'-'.join(map(str, sizes))}")


__all__ = ["IDLE_S", "MOST_OPEN", "About", "DataKey", "OpenSound", "Sounds", "no_keys"]
