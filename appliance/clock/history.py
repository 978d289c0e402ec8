"""What the ledger says of the clock over time."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vittne.appliance.seal import events
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.times import from_rfc3339


@dataclass(frozen=True, slots=True)
class Greatest:
    """The worst of a period, of samples a minute apart, entered hourly and at every change.

    max_error_us is of synchronised ones: while nobody keeps the clock right, nobody knows how wrong it is.
    """

    samples: int
    unsynchronised: int
    max_error_us: int | None
    max_offset_us: int | None  # the greatest, without its sign


def read_clock_history(data_dir: Path, key: VerifyKey, since_us: int | None = None) -> list[dict[str, Any]]:
    """Return the clock's entries from a time on, the ledger checked whole. Raises LedgerDamaged, StoreError."""
    found: list[dict[str, Any]] = []

    def visit(_: int, entry: bytes) -> None:
        if b'"t":"clock"' not in entry:
            return
        with contextlib.suppress(ValueError, KeyError, RecursionError):  # altered: the root's check will say so
            said = read_entry(entry)
            if said["t"] == events.CLOCK and (since_us is None or from_rfc3339(str(said["at"])) >= since_us):
                found.append(said)

    scan_ledger(data_dir / "ledger", key, visit)
    return found


def greatest(entries: list[dict[str, Any]]) -> Greatest:
    """Return the worst that entries say."""
    samples = [entry for entry in entries if "synchronised" in entry]
    known = [entry for entry in samples if entry["synchronised"]]
    return Greatest(
        len(samples),
        len(samples) - len(known),
        max((errors for entry in samples for errors in _errors(entry)), default=None),
        max((abs(int(entry["offset_us"])) for entry in known), default=None),
    )


def _errors(entry: dict[str, Any]) -> list[int]:
    own = [int(entry["max_error_us"])] if entry["synchronised"] else []
    return own + ([int(entry["worst_error_us"])] if "worst_error_us" in entry else [])
