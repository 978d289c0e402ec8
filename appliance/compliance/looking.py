"""What the checks of a report look at. Each thing is read once, when the first check asks for it."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from vittne.appliance.compliance.coverage import Coverage, answered_calls, cover
from vittne.appliance.compliance.ledgerfacts import LedgerFacts, read_ledger
from vittne.appliance.config import Config
from vittne.appliance.seal.floe import HEADER_BYTES, IV_BYTES
from vittne.appliance.store.canaries import is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import RunRow
from vittne.appliance.store.tables import audit, calls
from vittne.appliance.store.times import now_us
from vittne.appliance.verdicts.sums import Sums as Announced
from vittne.appliance.verdicts.sums import sums

_HEAD: Final = struct.Struct(">BBII")  # FLOE: AEAD, KDF, bytes of a segment, bytes of the IV
_BLOCK: Final = 4096
_SIGNED: Final = frozenset({".json", ".sig"})  # manifests: of them no word is a secret


@dataclass(slots=True)
class Kept:
    """Recordings that are kept now. Times are microseconds UTC."""

    recordings: int = 0
    size_bytes: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    unclassed: int = 0
    locked: int = 0
    restricted: int = 0
    without_basis: int = 0
    unproven: int = 0
    without_notice: int = 0  # a ground that rests on an announcement that was not heard
    ends: list[tuple[int, int | None]] = field(default_factory=list)  # (ended, locked until) of each


@dataclass(slots=True)
class Stored:
    """Files below recordings/. plain: of those that are sealed, which do not begin as a sealed file does."""

    folders: int = 0
    parts: int = 0
    plain: list[str] = field(default_factory=list)


class Looking:
    """A data directory, its configuration and a time. Raises StoreError where something cannot be read."""

    def __init__(self, data: Path, config: Config, catalogue: Catalogue, since_us: int, until_us: int) -> None:
        self.data = data
        self.config = config
        self.catalogue = catalogue
        self.since_us = since_us
        self.until_us = until_us
        self.now_us = now_us()

    @cached_property
    def ledger(self) -> LedgerFacts:
        """What the ledger says."""
        return read_ledger(self.data, self.since_us, self.until_us)

    @cached_property
    def coverage(self) -> Coverage:
        """The answered calls of the time."""
        found = answered_calls(self.catalogue, self.data, self.ledger.sealed, self.since_us, self.until_us)
        return cover(found)

    @cached_property
    def announced(self) -> Announced:
        """Whether the calls of the time were announced."""
        return sums(self.catalogue, self.since_us, self.until_us)

    @cached_property
    def runs(self) -> list[RunRow]:
        """All runs of the recorder."""
        return self.catalogue.runs()

    @cached_property
    def kinds(self) -> Counter[str]:
        """How often the trail says what, in the time."""
        query = select(audit.c.kind, func.count()).where(audit.c.at_us >= self.since_us, audit.c.at_us < self.until_us)
        with self.catalogue.reading() as connection:
            return Counter({str(row[0]): int(row[1]) for row in connection.execute(query.group_by(audit.c.kind))})

    @cached_property
    def pauses(self) -> list[dict[str, Any]]:
        """Pauses that were asked for in the time."""
        return self.catalogue.list_pauses(since_us=self.since_us, until_us=self.until_us)

    @cached_property
    def kept(self) -> Kept:
        """Recordings that are kept now, of all times."""
        columns = (calls.c.size_bytes, calls.c.retention_class, calls.c.locked_until_us, calls.c.expires_us)
        more = (calls.c.restricted_us, calls.c.basis, calls.c.started_us, calls.c.ended_us)
        query = select(*columns, *more).where(calls.c.folder != "", calls.c.erased_us.is_(None), is_no_canary())
        found = Kept()
        with self.catalogue.reading() as connection:
            for row in connection.execution_options(yield_per=5000).execute(query):
                self._count(found, row)
        return found

    @cached_property
    def stored(self) -> Stored:
        """What lies below recordings/, looked at by the first bytes of each sealed part."""
        found = Stored()
        for manifest in (self.data / "recordings").glob("*/*/*/*/manifest.json"):
            found.folders += 1
            for path in manifest.parent.iterdir():
                if path.suffix == ".floe":
                    found.parts += 1
                    is_sealed = _is_sealed(path)
                else:
                    is_sealed = path.suffix in _SIGNED
                if not is_sealed:
                    found.plain.append(str(path.relative_to(self.data)))
        return found

    def _count(self, found: Kept, row: Any) -> None:
        found.recordings += 1
        found.size_bytes += row.size_bytes
        found.classes[row.retention_class] += 1
        found.unclassed += not row.retention_class
        found.locked += row.locked_until_us is not None and self.now_us < row.locked_until_us
        found.restricted += row.restricted_us is not None
        found.ends.append((row.ended_us or row.started_us, row.locked_until_us))
        basis = dict(row.basis)
        found.without_basis += not basis.get("lawful_basis")
        found.unproven += basis.get("lawful_basis") == "consent" and not basis.get("proven")
        found.without_notice += basis.get("proof") == "announcement" and not basis.get("proven")


def _is_sealed(path: Path) -> bool:
    """Whether a file begins as a FLOE message does, and goes on like noise: nothing readable can be made smaller."""
    with path.open("rb") as stream:
        begin = stream.read(_BLOCK)
    if len(begin) < _BLOCK:
        return False
    aead, kdf, segment, iv = _HEAD.unpack_from(begin)
    noise = begin[HEADER_BYTES:]
    is_message = (aead, kdf, iv) == (0, 0, IV_BYTES) and segment % _BLOCK == 0
    return is_message and len(zlib.compress(noise, 1)) >= len(noise)
