"""Verdicts in the catalogue's database: every version of them, and the newest of each call to be counted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from vittne.appliance.compliance.coverage import trunk_of
from vittne.appliance.seal.events import QUARANTINE_RELEASED
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.listing import relist
from vittne.appliance.store.parties import number_of
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.tables import announcement_call, announcement_verdict, audit, calls
from vittne.appliance.store.times import rfc3339
from vittne.appliance.verdicts.judge import NOT_EXPECTED
from vittne.appliance.verdicts.stored import columns_of, due_us

RECORDER: Final = "recorder"  # at the call's end
CHECK: Final = "check"  # `vittne announcement check`
LEDGER: Final = "ledger"  # read back from there, when the catalogue was lost
_CHUNK: Final = 400
_CHANGED: Final = ("announced", "basis", "quarantined_us", "details")


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of a verdict. told: as judge.Verdict.as_json; references: hashes that were listened for."""

    recording: str
    n: int
    at_us: int
    made_by: str
    told: Mapping[str, Any]
    references: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return it as `vittne announcement show` and the API show it."""
        said = {"recording": self.recording, "n": self.n, "at": rfc3339(self.at_us), "by": self.made_by}
        return {**said, **self.told, "references": list(self.references)}


class VerdictTable:
    """Reads and writes them. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put(self, kept: Sequence[tuple[CallRow, Kept]]) -> None:
        """Write verdicts; asked again with the same (recording, n) the later one stands. The newest is counted by."""
        if not kept:
            return
        with self._catalogue.writing() as connection:
            put_verdicts(connection, kept)

    def enter(self, kept: Sequence[tuple[CallRow, Kept]]) -> None:
        """Write verdicts, and the calls as these leave them; all or nothing, and it outlasts a power cut."""
        if not kept:
            return
        which = update(calls).where(calls.c.id == bindparam("which"), calls.c.erased_us.is_(None))
        change = which.values({name: bindparam(f"new_{name}") for name in _CHANGED})
        values = [{"which": row.id, **{f"new_{name}": getattr(row, name) for name in _CHANGED}} for row, _ in kept]
        with self._catalogue.writing(lasting=True) as connection:
            put_verdicts(connection, kept)
            connection.execute(change, values)

    def of(self, recording: str) -> list[Kept]:
        """Return all verdicts on a recording, the first one first."""
        query = select(announcement_verdict).where(announcement_verdict.c.recording == recording)
        with self._catalogue.reading() as connection:
            return [_kept(row) for row in connection.execute(query.order_by(announcement_verdict.c.n))]

    def newest(self, recordings: Sequence[str]) -> dict[str, Kept]:
        """Return the newest verdict of each of these recordings that has one."""
        found: dict[str, Kept] = {}
        with self._catalogue.reading() as connection:
            for begin in range(0, len(recordings), _CHUNK):
                some = list(recordings[begin : begin + _CHUNK])
                query = select(announcement_verdict).where(announcement_verdict.c.recording.in_(some))
                for row in connection.execute(query.order_by(announcement_verdict.c.n)):
                    found[row.recording] = _kept(row)
        return found

    def was_released(self, recording: str) -> bool:
        """Whether a person took a recording out of quarantine."""
        which = audit.c.recording == recording, audit.c.kind == QUARANTINE_RELEASED
        with self._catalogue.reading() as connection:
            return connection.execute(select(audit.c.id).where(*which).limit(1)).first() is not None

    def last_expected(self, number: int) -> list[bool]:
        """Return of the last so many calls that a rule wanted announced, the oldest first, whether it is missing."""
        query = select(announcement_call.c.proven).where(announcement_call.c.expected)
        query = query.order_by(announcement_call.c.at_us.desc()).limit(number)
        with self._catalogue.reading() as connection:
            return [not row.proven for row in connection.execute(query)][::-1]


def put_verdicts(connection: Connection, kept: Sequence[tuple[CallRow, Kept]]) -> None:
    """Write verdicts in the caller's transaction; of one recording in the order of their numbers."""
    last: dict[str, int] = {}
    ids = list({one.recording for _, one in kept})
    for begin in range(0, len(ids), _CHUNK):
        which = announcement_verdict.c.recording.in_(ids[begin : begin + _CHUNK])
        query = select(announcement_verdict.c.recording, func.max(announcement_verdict.c.n)).where(which)
        last |= {row[0]: row[1] for row in connection.execute(query.group_by(announcement_verdict.c.recording))}
    again = [{"r": one.recording, "k": one.n} for _, one in kept if one.n <= last.get(one.recording, 0)]
    if again:
        same = announcement_verdict.c.recording == bindparam("r"), announcement_verdict.c.n == bindparam("k")
        connection.execute(delete(announcement_verdict).where(*same), again)
    told = [_values(one) for _, one in kept if one.told["announced"] != NOT_EXPECTED or one.n > 1]
    if told:
        connection.execute(insert(announcement_verdict), told)
    newest = {one.recording: counted(row, one.told) for row, one in kept if one.n >= last.get(one.recording, 0)}
    if newest:
        gone = delete(announcement_call).where(announcement_call.c.recording == bindparam("r"))
        connection.execute(gone, [{"r": recording} for recording in newest])
        connection.execute(insert(announcement_call), list(newest.values()))


def counted(row: CallRow, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call is counted by: a row of announcement_call."""
    return {
        "recording": row.id,
        "at_us": row.answered_us or row.started_us,
        "site": row.site,
        "trunk": trunk_of(row.details),
        "caller": number_of(row.caller),
        "callee": number_of(row.callee),
        "language": str(told.get("language", "")),
        "announced": str(told["announced"]),
        "expected": bool(told["expected"]),
        "proven": bool(told["proven"]),
        "due_us": due_us(told),
    }


def forget_verdicts(connection: Connection, recordings: Iterable[str]) -> None:
    """Take out of the counts whom erased calls were between. Verdicts stay: they name prompts, and nobody."""
    ids = list(recordings)
    gone = {"caller": "", "callee": "", "trunk": ""}
    connection.execute(update(announcement_call).where(announcement_call.c.recording.in_(ids)).values(gone))
    connection.execute(update(calls).where(calls.c.id.in_(ids)).values(quarantined_us=None))
    relist(connection, ids)


def _values(one: Kept) -> dict[str, Any]:
    body = {"told": dict(one.told), "references": list(one.references)}
    said = {"recording": one.recording, "n": one.n, "at_us": one.at_us, "made_by": one.made_by, "body": body}
    return {**said, **columns_of(one.told)}


def _kept(row: Any) -> Kept:
    body = row.body
    return Kept(row.recording, row.n, row.at_us, row.made_by, body["told"], tuple(body["references"]))
