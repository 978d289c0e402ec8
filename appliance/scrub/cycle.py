"""One cycle: every finished recording held against its signed manifest, and the ledger against the disk.

No key is needed: what is hashed is what was sealed. A cycle can be left at any recording and gone on with later; how
far it is stands in DIR/scrub.json, which is only a note: losing it begins the cycle anew.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from vittne.appliance.life.certificate import is_certified
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.ledger import LedgerDamaged
from vittne.appliance.seal.manifest import BadManifest, read_manifest
from vittne.appliance.seal.recording_checks import wrong_files
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.storage.fetching import is_away
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store, is_id, write_atomically
from vittne.appliance.store.times import now_us

STATE_FILE: Final = "scrub.json"
LEDGER: Final = "ledger"  # stands for a recording's id where the ledger itself is damaged
_NOTED_EVERY: Final = 64  # recordings
_DAMAGE_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found of a recording. words: for people; they name files and sizes."""

    recording: str
    words: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Cycle:
    """How far a cycle is. after: the folder that was looked at last, below recordings/. Times: us UTC, 0 not yet."""

    started_us: int = 0
    finished_us: int = 0
    after: str = ""
    recordings: int = 0
    bytes: int = 0
    damaged: tuple[Damage, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class State:
    """The cycle that goes on, or is to begin, and the last one that came to its end."""

    now: Cycle = Cycle()
    last: Cycle | None = None


_STATE: Final = TypeAdapter(State)


def read_state(data_dir: Path) -> State:
    """Return how far scrubbing is; the beginning where nothing, or nothing of ours, is noted."""
    try:
        return _STATE.validate_json((data_dir / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return State()


def write_state(data_dir: Path, state: State) -> None:
    """Note how far scrubbing is. Raises StoreError."""
    write_atomically(data_dir / STATE_FILE, json.dumps(asdict(state)).encode())


class Pace:
    """Keeps reading below a budget. bytes_per_s: 0 for as fast as it goes."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._begun = time.monotonic()
        self._read = 0

    def spent(self, size: int) -> None:
        """Wait until so much more may have been read."""
        if not self._rate:
            return
        self._read += size
        ahead = self._read / self._rate - (time.monotonic() - self._begun)
        if ahead > 0.01:
            time.sleep(ahead)
        elif ahead < -1:  # the disk was slower: what was not used is not saved up
            self._begun, self._read = time.monotonic(), 0


def scrub(data_dir: Path, state: State, spent: Callable[[int], None]) -> Iterator[tuple[State, Damage | None]]:
    """Go on with a cycle to its end; yield the state after each recording, and what was found in it.

    The last state has its cycle in `last`. spent: is told of bytes that were read. Raises StoreError.
    """
    key = load_verifier(data_dir / "keys")
    now = state.now if state.now.started_us else Cycle(started_us=now_us())
    for folder, name in _folders(data_dir, now.after):
        read = [0]
        words = _wrong(data_dir, folder, key, _counting(read, spent))
        if words and is_certified(data_dir, folder, key):
            words = ""  # erased: its manifest alone is left
        found = Damage(folder.name, words, now_us()) if words else None
        now = _further(now, name, read[0], found)
        if now.recordings % _NOTED_EVERY == 0 or found:
            write_state(data_dir, replace(state, now=now))
        yield replace(state, now=now), found
    for recording, words in _gone(data_dir, key):
        found = Damage(recording, words, now_us())
        now = _with(now, found)
        yield replace(state, now=now), found
    done = State(last=replace(now, finished_us=now_us()))
    write_state(data_dir, done)
    yield done, None


def _folders(data_dir: Path, after: str) -> Iterator[tuple[Path, str]]:
    """Yield the finished folders behind one, in the order of their paths."""
    store = Store(data_dir, create=False)
    try:
        for folder in store.finished():
            name = str(folder.relative_to(store.recordings_dir))
            if name > after and is_id(folder.name):
                yield folder, name
    finally:
        store.close()


def _wrong(data_dir: Path, folder: Path, key: VerifyKey, advance: Callable[[int], None]) -> str:
    """Say what is wrong with a folder; "" when nothing is."""
    try:
        manifest, _ = read_manifest(folder, key)
    except BadManifest as error:
        return _unless_gone(folder, f"the manifest {error}")
    except StoreError as error:
        return error.what
    if any(not (folder / part.file).exists() for part in manifest.parts) and is_away(data_dir, manifest.rec):
        # Kept at a storage target, and read back there; here are those parts that somebody had brought back.
        manifest = replace(manifest, parts=tuple(part for part in manifest.parts if (folder / part.file).exists()))
    words = wrong_files(folder, manifest, advance)
    for part in manifest.parts:
        _forget(folder / part.file)
    return _unless_gone(folder, words) if words else ""


def _unless_gone(folder: Path, words: str) -> str:
    """A recording may be erased, or cut, while it is looked at: then it is whole when it is looked at again."""
    return words if folder.exists() else ""


def _forget(path: Path) -> None:
    """Tell the kernel that what was read will not be read again soon: it has better use for the memory."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _gone(data_dir: Path, key: VerifyKey) -> Iterator[tuple[str, str]]:
    """Yield recordings that the ledger knows and the disk does not; the whole ledger is read for it."""
    store = Store(data_dir, create=False)
    try:
        history, _ = read_history(data_dir / "ledger", key)
    except LedgerDamaged as error:
        yield LEDGER, error.what
        return
    finally:
        store.close()
    there = {folder.name.removeprefix(".") for folder in (*store.finished(), *store.unfinished())}
    for recording in history.seals.keys() - history.erased.keys() - there:
        if store.find(recording) is None:
            yield recording, "it was sealed and is gone: it was removed, or a disk is missing"


def _counting(read: list[int], spent: Callable[[int], None]) -> Callable[[int], None]:
    def advance(size: int) -> None:
        read[0] += size
        spent(size)

    return advance


def _further(cycle: Cycle, name: str, size: int, found: Damage | None) -> Cycle:
    cycle = replace(cycle, after=name, recordings=cycle.recordings + 1, bytes=cycle.bytes + size)
    return _with(cycle, found) if found else cycle


def _with(cycle: Cycle, found: Damage) -> Cycle:
    return replace(cycle, damaged=(*cycle.damaged, found)[:_DAMAGE_KEPT])
