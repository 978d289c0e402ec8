"""Which key of the ledger followed which: a few lines beside the ledger, so that nobody reads it through to know.

    DIR/ledger/rotations    a line a rotation, the oldest first, canonical JSON: the members below, but t and kind
    the ledger              the same as an entry: {"t": "key.rotate", "kind": "ledger", "old", "new", "size", ...}

A line proves itself: "proof" is the old key's signature, "seconded" the new one's, both over what statement() gives.
So whoever trusts an old key is led to the newest, and whoever trusts the newest knows the manifests of the old ones:
nobody becomes anybody's former key without that one's signature. A full scan holds the file against the entries.

"size" is the ledger's size with that entry. The old key signs the checkpoint of that size, and none that is larger:
whoever finds a former key can add nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from vittne.appliance.seal.canonical import Json, canonical, parse
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged
from vittne.appliance.seal.verifykey import VerifyKey, parse_verifier
from vittne.appliance.store.errors import explain

ROTATIONS_FILE: Final = "rotations"
_READ_LIMIT: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Rotation:
    """One key followed another: proof and seconded are their signatures, size the last that the old one signs."""

    old: VerifyKey
    new: VerifyKey
    size: int
    proof: bytes
    seconded: bytes

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self | None:
        """Return what an entry or a line tells; None when it is no rotation that both keys have signed."""
        try:
            old, new, size = parse_verifier(str(told["old"])), parse_verifier(str(told["new"])), told["size"]
            proof, seconded = (base64.b64decode(str(told[name]), validate=True) for name in ("proof", "seconded"))
        except (KeyError, ValueError):
            return None
        if old is None or new is None or old.name != new.name or not isinstance(size, int) or size < 1:
            return None
        said = statement(old, new, size)
        return cls(old, new, size, proof, seconded) if old.signed(proof, said) and new.signed(seconded, said) else None

    def members(self) -> dict[str, Json]:
        """Return what read() reads."""
        return {
            "old": self.old.text(),
            "new": self.new.text(),
            "size": self.size,
            "proof": base64.b64encode(self.proof).decode(),
            "seconded": base64.b64encode(self.seconded).decode(),
        }


def statement(old: VerifyKey, new: VerifyKey, size: int) -> bytes:
    """Return what both keys sign. It begins neither as a checkpoint of ours nor as a manifest does."""
    return f"vittne-key/1\n{old.text()}\n{new.text()}\n{size}\n".encode()


@dataclass(frozen=True, slots=True)
class Succession:
    """All rotations of a ledger, the oldest first: each begins with the key that the one before ended with."""

    rotations: tuple[Rotation, ...] = ()

    def followed(self, key: VerifyKey) -> VerifyKey:
        """Return the newest key that a key leads to, with all that it followed; a stranger's comes back as it is."""
        if self.rotations and any(key in (one.old, one.new) for one in self.rotations):
            key = self.rotations[-1].new
        return replace(key, former=self.before(key))

    def before(self, key: VerifyKey) -> tuple[VerifyKey, ...]:
        """Return the keys that a key followed, the last one first."""
        found: list[VerifyKey] = []
        for one in reversed(self.rotations):
            if one.new == (found[-1] if found else key):
                found.append(replace(one.old, until=one.size))
        return tuple(found)

    def text(self) -> bytes:
        """Return the file's content."""
        return b"".join(canonical(one.members()) + b"\n" for one in self.rotations)


def read_succession(directory: Path) -> Succession:
    """Read a ledger's rotations; without the file there were none. Raises LedgerDamaged, StoreError."""
    path = directory / ROTATIONS_FILE
    try:
        with path.open("rb") as stream:
            data = stream.read(_READ_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return Succession()
    except OSError as error:
        raise explain(error, "read the ledger", path) from error
    found = Succession(tuple(_rotation(line, path) for line in data.split(b"\n")[:-1]))
    pairs = zip(found.rotations, found.rotations[1:], strict=False)
    # The very bytes that we write: a bit that is changed where it changes nothing else is noticed too.
    if found.text() != data or any(one.new != other.old or one.size >= other.size for one, other in pairs):
        raise _damaged(path)
    return found


def following(directory: Path, key: VerifyKey) -> VerifyKey:
    """Return the key that signs now, if the one that is trusted leads to it. Raises LedgerDamaged, StoreError."""
    return read_succession(directory).followed(key)


def _rotation(line: bytes, path: Path) -> Rotation:
    try:
        told = parse(line)
    except ValueError as error:
        raise _damaged(path) from error
    found = Rotation.read(told) if isinstance(told, dict) else None
    if found is None:
        raise _damaged(path)
    return found


def _damaged(path: Path) -> LedgerDamaged:
    return LedgerDamaged("the list of the ledger's keys was altered", path, NEXT)
