"""What a storage target does, whichever kind it is, and what can go wrong with it.

    <box>/vittne.json                      which archive this is a copy of
    <box>/2026/01/31/<recording>/<file>    files as they are in the recording's folder: sealed, so nobody can read them

<box> is made of the name of the archive's ledger: several recorders share a bucket, and none is taken for another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.store.errors import StoreError

BOX_FILE: Final = "vittne.json"
CHUNK: Final = 1 << 20
Spent = Callable[[int], None]  # is told of bytes that crossed


class TargetAway(StoreError):
    """Nothing can be done with a target now: it is away, full, or refuses us. Try again later."""


class LockMissing(TargetAway):
    """A target that promises a lock, and has none."""


class CopyFailed(StoreError):
    """One file is not at a target as it should be."""


class NotThere(CopyFailed):
    """A file is not at a target."""


@dataclass(frozen=True, slots=True)
class Lock:
    """How long a copy must not go. until_us: UTC, None for no time; held: by a legal hold, however long that is."""

    until_us: int | None = None
    held: bool = False


NO_LOCK: Final = Lock()


@dataclass(frozen=True, slots=True)
class Listed:
    """A file at a target. key: from the box on."""

    key: str
    size: int


class Target(Protocol):
    """Files by key. Every method raises TargetAway, or CopyFailed."""

    @property
    def settings(self) -> StorageTarget:
        """What is configured."""

    def promise(self) -> None:
        """See that it can be worked with, and locks as it promises. Raises LockMissing."""

    def put(self, key: str, path: Path, sha256: str, lock: Lock, spent: Spent) -> None:
        """Write a file under a key, taking the place of what is there; it lasts when this returns."""

    def stands(self, key: str, sha256: str, size: int) -> bool:
        """Say whether the store itself vouches for the hash of what it has; False when it does not, or has nothing."""

    def read(self, key: str) -> Iterator[bytes]:
        """Yield a file's bytes. Raises NotThere."""

    def files(self, under: str) -> Iterator[Listed]:
        """Yield the files whose keys begin so."""

    def relock(self, key: str, lock: Lock) -> None:
        """Let a file's lock be this one; a time is only ever made longer."""

    def remove(self, key: str) -> int | None:
        """Remove a file, every version of it. Return until when a lock keeps it, in us; None when it is gone."""

    def close(self) -> None:
        """Let go of it."""


def box_of(ledger_name: str) -> str:
    """Return the folder of an archive at a target: readable, and like no other's.

    >>> box_of("vittne.example/a")
    'vittne.example-a-a8711d84'
    """
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", ledger_name).strip(".-")[:48]
    return f"{plain or 'box'}-{hashlib.sha256(ledger_name.encode()).hexdigest()[:8]}"


def hash_of(target: Target, key: str, spent: Spent) -> tuple[str, int]:
    """Return SHA-256, in hex, and size of what is under a key, read back whole."""
    sha256, size = hashlib.sha256(), 0
    for piece in target.read(key):
        sha256.update(piece)
        size += len(piece)
        spent(len(piece))
    return sha256.hexdigest(), size
