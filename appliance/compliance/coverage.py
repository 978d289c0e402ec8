"""Coverage: every answered call of a time, what became of it, and what is missing (MiFID Art. 16(7), DESIGN 4).

Only what reached the mirror port can be counted: a call that no packet showed is in no sum here. So the times in which
no recorder ran, and the packets that were lost before anybody looked at them, stand beside the sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from vittne.appliance.store.canaries import is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.parties import number_of
from vittne.appliance.store.rows import RECORDING, RunRow
from vittne.appliance.store.tables import calls
from vittne.appliance.store.times import rfc3339

SEALED: Final = "sealed"
BY_RULE: Final = "by-rule"
MISSING: Final = "missing"
GOES_ON: Final = "goes-on"
ERASED: Final = "erased"
STATES: Final = (SEALED, BY_RULE, MISSING, GOES_ON, ERASED)

_KEPT: Final = frozenset({"recorded", "partial"})
_WANTED: Final = frozenset({"excluded-by-rule", "discarded-by-policy", "paused-throughout"})
_IMPORTED: Final = "imported"
_MANIFEST: Final = "manifest.json"
_UNNAMED: Final = "?"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered call. dialogs: how many of its dialogs were answered; reason: why it is missing."""

    id: str
    at_us: int
    state: str  # of STATES
    outcome: str
    reason: str
    numbers: tuple[str, ...]  # caller, callee, as people dial them
    trunk: str  # the addresses that the signalling ran between
    dialogs: int

    def as_json(self) -> dict[str, Any]:
        """Return what is told of a call that is missing."""
        at = rfc3339(self.at_us)
        return {"id": self.id, "at": at, "outcome": self.outcome, "reason": self.reason, "numbers": list(self.numbers)}


@dataclass(slots=True)
class Sums:
    """Calls by state and by outcome."""

    calls: int = 0
    dialogs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, one: Answered) -> None:
        """Count a call."""
        self.calls += 1
        self.dialogs += one.dialogs
        self.states[one.state] += 1
        self.outcomes[one.outcome or GOES_ON] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the sums."""
        states = {name: self.states[name] for name in STATES}
        return {"answered": self.calls, "dialogs": self.dialogs, **states, "outcomes": dict(self.outcomes)}


@dataclass(slots=True)
class Coverage:
    """What a time's calls add up to. Keys of hours: 0 to 23 by the site's clock."""

    total: Sums = field(default_factory=Sums)
    trunks: dict[str, Sums] = field(default_factory=dict)
    numbers: dict[str, Sums] = field(default_factory=dict)
    hours: dict[int, Sums] = field(default_factory=dict)
    missing: list[Answered] = field(default_factory=list)

    def add(self, one: Answered, zone: tzinfo) -> None:
        """Count a call wherever it belongs."""
        hour = datetime.fromtimestamp(one.at_us // 1_000_000, UTC).astimezone(zone).hour
        self.total.add(one)
        self.trunks.setdefault(one.trunk, Sums()).add(one)
        self.hours.setdefault(hour, Sums()).add(one)
        for number in one.numbers:
            self.numbers.setdefault(number, Sums()).add(one)
        if one.state == MISSING:
            self.missing.append(one)

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "total": self.total.as_json(),
            "hours": {str(hour): sums.as_json() for hour, sums in sorted(self.hours.items())},
            "trunks": {name: sums.as_json() for name, sums in sorted(self.trunks.items())},
            "numbers": {name: sums.as_json() for name, sums in sorted(self.numbers.items())},
            "missing": [one.as_json() for one in self.missing],
        }


def answered_calls(
    catalogue: Catalogue, data_dir: Path, sealed: Set[str], since_us: int, until_us: int
) -> Iterator[Answered]:
    """Yield every answered call that was answered from since_us until before until_us.

    sealed: the recordings that the ledger says were sealed. A recording counts when the ledger has its entry and the
    disk its manifest: what the catalogue says of itself is not asked.
    """
    columns = (calls.c.id, calls.c.state, calls.c.answered_us, calls.c.outcome, calls.c.outcome_reasons)
    more = (calls.c.folder, calls.c.erased_us, calls.c.caller, calls.c.callee, calls.c.details)
    query = select(*columns, *more).where(calls.c.answered_us >= since_us, calls.c.answered_us < until_us)
    query = query.where(is_no_canary())
    with catalogue.reading() as connection:
        for row in connection.execution_options(yield_per=1000).execute(query.order_by(calls.c.answered_us)):
            if row.outcome == _IMPORTED:
                continue  # it was no call on this wire
            state, reason = _became(row, data_dir, sealed)
            details: Mapping[str, Any] = row.details
            dialogs = sum(1 for dialog in details.get("dialogs", ()) if dialog.get("answered_at"))
            numbers = tuple(dict.fromkeys(filter(None, (number_of(row.caller), number_of(row.callee)))))
            yield Answered(
                row.id, row.answered_us, state, row.outcome, reason, numbers, trunk_of(details), max(dialogs, 1)
            )


def cover(found: Iterable[Answered], zone: tzinfo = UTC) -> Coverage:
    """Add calls up. zone: of the hours."""
    coverage = Coverage()
    for one in found:
        coverage.add(one, zone)
    return coverage


def standstill(runs: Sequence[RunRow], since_us: int, until_us: int) -> list[tuple[int, int]]:
    """Return the spans of a time in which no run of the recorder is known to have gone on, in us UTC.

    How long a run that crashed went on nobody wrote down: only its beginning is known, and the time behind it is in a
    span up to the next run. The newest run, if it has no end, is taken to go on. Before the first run ever nobody
    recorded yet: that is no span.
    """
    if not runs:
        return []
    since_us = max(since_us, min(run.started_us for run in runs))
    spans = []
    for place, run in enumerate(runs):
        goes_on = until_us if place == len(runs) - 1 else run.started_us
        spans.append((run.started_us, goes_on if run.ended_us is None else run.ended_us))
    gaps, at = [], since_us
    for begin, end in sorted(spans):
        if begin > at:
            gaps.append((at, min(begin, until_us)))
        at = max(at, end)
        if at >= until_us:
            break
    if at < until_us:
        gaps.append((at, until_us))
    return [(begin, end) for begin, end in gaps if begin < end]


def lost_packets(runs: Iterable[RunRow], since_us: int, until_us: int) -> dict[str, int]:
    """Return packets that were not looked at, by layer, of the runs that touch a time."""
    lost: Counter[str] = Counter()
    for run in runs:
        if run.started_us < until_us and (run.ended_us is None or run.ended_us >= since_us):
            for layer, reasons in run.drops.items():
                lost[layer] += sum(reasons.values())
    return {layer: number for layer, number in lost.items() if number}


def _became(row: Any, data_dir: Path, sealed: Set[str]) -> tuple[str, str]:
    """Return the state of a call, and why it is missing."""
    if row.state == RECORDING:
        return GOES_ON, ""
    if row.erased_us is not None:
        return ERASED, ""
    if row.outcome in _WANTED:
        return BY_RULE, ""
    if row.outcome not in _KEPT:
        return MISSING, ", ".join([row.outcome or "no outcome", *row.outcome_reasons])
    if row.id not in sealed:
        return MISSING, "the ledger has no entry that it was sealed"
    if not row.folder or not (data_dir / row.folder / _MANIFEST).exists():
        return MISSING, "the recording is not on the disk"
    return SEALED, ""


def trunk_of(details: Mapping[str, Any]) -> str:
    """Return the addresses that a call's signalling ran between; ? when they were not kept."""
    addresses = details.get("facts", {}).get("addresses", ())
    return " - ".join(sorted(map(str, addresses))) or _UNNAMED
