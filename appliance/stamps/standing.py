"""How old each authority's newest stamp is: what is due, what is late. Computed from what is stored."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE
from vittne.appliance.stamps.folders import all_stamps, authority_of, read_file, read_stamp
from vittne.appliance.stamps.settings import StampsConfig
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import from_rfc3339, rfc3339

MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """An authority's. Times in microseconds UTC; None: never."""

    authority: str
    stamped_us: int | None  # when its newest stamp was taken, by this machine's clock
    size: int  # entries that it covers
    stamps: int
    due_us: int
    late: bool
    last_error: str = ""  # of a running recorder, since it last answered

    def as_json(self) -> dict[str, Any]:
        """Return it with times as text."""
        said = asdict(self)
        stamped_us, due_us = said.pop("stamped_us"), said.pop("due_us")
        return {**said, "stamped_at": stamped_us and rfc3339(stamped_us), "due_at": rfc3339(due_us)}


def standings(data_dir: Path, config: StampsConfig, now_us: int) -> list[Standing]:
    """Return how each configured authority stands. Nothing is late that covers the ledger as it is.

    A folder that cannot be read counts for nothing here; `vittne stamp verify` says what is wrong with it.
    """
    newest: dict[str, tuple[int, int]] = {}
    counts: dict[str, int] = {}
    for folder in reversed(all_stamps(data_dir)):  # of thousands only the newest is read
        authority_name = authority_of(folder)
        counts[authority_name] = counts.get(authority_name, 0) + 1
        if authority_name in newest:
            continue
        with contextlib.suppress(StoreError, ValueError):
            stamp = read_stamp(folder)
            newest[authority_name] = (from_rfc3339(stamp.answered_at), stamp.size)
    entries = ledger_size(data_dir)
    found = []
    for authority in config.authorities:
        taken, size = newest.get(authority.name) or (None, 0)
        due = now_us if taken is None else taken + int(config.every_minutes * MINUTE_US)
        late = taken is None or now_us - taken > config.late_after_minutes * MINUTE_US
        late = late and size < entries
        found.append(Standing(authority.name, taken, size, counts.get(authority.name, 0), due, late))
    return found


def ledger_size(data_dir: Path) -> int:
    """Return how many entries the newest checkpoint covers, as it says: its signature is not looked at here."""
    try:
        return int(read_file(data_dir / "ledger" / CHECKPOINT_FILE).split(b"\n")[1])
    except (StoreError, ValueError, IndexError):
        return 0
