"""What is to be done at one target now, done: the process beside a recorder and `vittne storage push` both run it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from vittne.appliance.seal.manifest import digest
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.storage import copying
from vittne.appliance.storage.place import Place, open_target
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.table import FAILED, Stored, StoredTable, Wish
from vittne.appliance.storage.target import (
    BOX_FILE,
    NO_LOCK,
    CopyFailed,
    NotThere,
    Spent,
    TargetAway,
    box_of,
)
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import now_us

ROUND: Final = 1000  # recordings of each kind of work
_TOGETHER: Final = 32  # rows entered at once
_TOGETHER_S: Final = 2.0
_DAY_US: Final = 86_400_000_000
_AGAIN_US: Final = 60_000_000
_AGAIN_LIMIT_US: Final = 6 * 3600 * 1_000_000


class Busy(StoreError):
    """Somebody works at this target already."""


@contextmanager
def place_at(settings: StorageTarget, data_dir: Path) -> Iterator[Place]:
    """Open a target that does what it promises, and is no other archive's. Raises TargetAway, StoreError."""
    key = load_verifier(data_dir / "keys")
    target = open_target(settings, data_dir)
    try:
        target.promise()
        at = Place(target, box_of(key.name), data_dir, key)
        _claim(at)
        yield at
    finally:
        target.close()


@contextmanager
def alone(data_dir: Path, name: str) -> Iterator[None]:
    """Keep others from working at a target. Raises Busy."""
    path = data_dir / f"storage-{name}.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain(error, "open the lock of a storage target", path) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy("somebody copies to this target already", name, "the recorder does, by itself") from None
    else:
        yield
    finally:
        os.close(fd)


def work(at: Place, spent: Spent, again: bool = False) -> Iterator[list[Stored]]:
    """Do up to ROUND of each kind of work; yield rows to be entered. again: also what failed a moment ago.

    Raises TargetAway: what was yielded before stands.
    """
    batch = _Batch()
    away: TargetAway | None = None
    rows = _rows(at, spent, again)
    while away is None:
        try:
            batch.rows.append(next(rows))
        except StopIteration:
            break
        except TargetAway as error:
            away = error  # what was copied until then is entered all the same
        if batch.is_full():
            yield batch.take()
    if left := batch.take():
        yield left
    if away is not None:
        raise away


def is_due(data_dir: Path, settings: StorageTarget) -> bool:
    """Say whether there is anything to do at a target."""
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        table, now = StoredTable(catalogue), now_us()
        return any(bool(find()) for find in _finds(table, settings, now, 1))


def _finds(table: StoredTable, settings: StorageTarget, now: int, limit: int) -> list[Callable[[], Sequence[object]]]:
    name = settings.name
    before = now - int(settings.check_days * _DAY_US)
    return [
        lambda: table.to_remove(name, now, limit),
        lambda: table.to_lock(name, now, limit) if settings.lock != "none" else [],
        lambda: table.to_copy(name, now, limit),
        lambda: table.to_tidy(name, now, limit),
        lambda: table.to_check(name, before, limit),
    ]


def _rows(at: Place, spent: Spent, again: bool) -> Iterator[Stored]:
    settings = at.target.settings
    with Catalogue(at.data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        table, now = StoredTable(catalogue), now_us()
        for row in table.to_remove(at.name, now, ROUND):
            yield _tried(row, partial(copying.remove, at, row))
        for wish in table.to_lock(at.name, now, ROUND) if settings.lock != "none" else ():
            assert wish.was is not None
            yield _tried(wish.was, partial(copying.relock, at, wish))
        for wish in table.to_copy(at.name, now if not again else 1 << 62, ROUND):
            yield _tried(wish.was or _unknown(at, wish), partial(copying.push, at, wish, spent))
        for row in table.to_tidy(at.name, now, ROUND):
            yield _tried(row, partial(copying.tidy, at, row))
        for row in table.to_check(at.name, now - int(settings.check_days * _DAY_US), ROUND):
            yield copying.check(at, row, spent)


def _unknown(at: Place, wish: Wish) -> Stored:
    return Stored(wish.recording, at.name, FAILED, wish.folder.removeprefix("recordings/"))


def _tried(row: Stored, do: Callable[[], Stored]) -> Stored:
    """Do it; where it fails for this recording alone, return when to try again."""
    try:
        return replace(do(), tries=0)
    except CopyFailed as error:
        wait = min(_AGAIN_US << min(row.tries, 12), _AGAIN_LIMIT_US)
        # Not all at one time: what failed together must not come again together.
        next_us = now_us() + wait + random.randrange(wait // 4)  # noqa: S311 - no secret
        return replace(row, tries=row.tries + 1, next_us=next_us, problem=f"{error.what}: {error.where}"[:400])


def _claim(at: Place) -> None:
    """See that the box at a target is ours; the first time write down whose it is."""
    told = {"v": 1, "ledger": at.key.name, "vkey": at.key.text()}
    key = f"{at.box}/{BOX_FILE}"
    try:
        there = json.loads(b"".join(at.target.read(key)))
        if not isinstance(there, dict) or there.get("ledger") != at.key.name:
            raise TargetAway("this folder at the target is another archive's", f"{at.name}: {at.box}", "set a prefix")
        return
    except NotThere:
        pass
    except ValueError as error:
        raise TargetAway("what is at the target is not ours", f"{at.name}: {key}", "look at it") from error
    with tempfile.NamedTemporaryFile(prefix=".storage-", dir=at.data_dir) as stream:
        text = json.dumps(told).encode() + b"\n"
        stream.write(text)
        stream.flush()
        at.target.put(key, Path(stream.name), digest(text), NO_LOCK, lambda _: None)


class _Batch:
    """Rows that are entered together: an entry of the ledger costs a sync."""

    def __init__(self) -> None:
        self.rows: list[Stored] = []
        self._since = time.monotonic()

    def is_full(self) -> bool:
        return len(self.rows) >= _TOGETHER or time.monotonic() - self._since > _TOGETHER_S

    def take(self) -> list[Stored]:
        rows, self.rows, self._since = self.rows, [], time.monotonic()
        return rows
