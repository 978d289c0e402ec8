"""The audit trail: rows that say who, and entries in the ledger that fix what the rows say.

An entry holds no name: only SHA-256 over a random salt and the row. While the row is there it can be shown to be the
one that was written then; once row and salt are gone the entry says nothing about anybody (EVIDENCE 2.3).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from vittne.appliance.control.caller import Caller
from vittne.appliance.seal.canonical import Json, canonical
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.times import now_us, rfc3339

_SALT_BYTES: Final = 16


class Audit:
    """Writes rows and their entries. Used by the one writer of a data directory."""

    def __init__(self, table: AuditTable, ledger: Ledger) -> None:
        self.table = table
        self._ledger = ledger
        self._held = threading.local()  # rows: of together(), in the thread that is within

    def note(self, kind: str, caller: Caller, recording: str = "", **details: Any) -> AuditRow:
        """Write that somebody did something; it is durable, and in the ledger, on return. Raises StoreError.

        kind: one of seal/events.py with the members "row" and "rec". details: JSON, for people who audit.
        """
        return self.note_all(kind, caller, [(recording, details)])[0]

    def note_all(self, kind: str, caller: Caller, about: list[tuple[str, dict[str, Any]]]) -> list[AuditRow]:
        """Write one row each for some recordings, with one sync; return them with their entries.

        details: what is under "ledger" goes into the entry as well, in clear.
        """
        rows = [
            AuditRow(
                id=secrets.token_hex(16),
                at_us=now_us(),
                kind=kind,
                actor=caller.name,
                via=caller.via,
                recording=recording,
                details=details,
                salt=secrets.token_hex(_SALT_BYTES),
            )
            for recording, details in about
        ]
        for row in rows:
            commitment(row)  # what has none (a float) must be no row either: no start could ever enter it
        held: list[AuditRow] | None = getattr(self._held, "rows", None)
        if held is not None:
            held += rows
            return rows
        self.table.put(rows)
        return self._enter(rows)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is noted within, in this thread, with one sync at the end: only then it is durable.

        Rows come back without their entry. Raises StoreError at the end: then nothing of it counts.
        """
        rows: list[AuditRow] = []
        self._held.rows = rows
        try:
            yield
        finally:
            self._held.rows = None
        if rows:
            self.table.put(rows)
            self._enter(rows)

    def settle(self) -> int:
        """Enter rows whose entry a crash prevented; return how many."""
        rows = self.table.without_entry()
        if rows:
            self._enter(rows)
        return len(rows)

    def _enter(self, rows: list[AuditRow]) -> list[AuditRow]:
        entered = []
        for row in rows:
            event: dict[str, Json] = {"t": row.kind, "row": commitment(row), **row.details.get("ledger", {})}
            if row.recording:
                event["rec"] = row.recording
            entered.append(replace(row, entry=self._ledger.record(event)))
        self._ledger.flush()
        self.table.entered([(row.id, row.entry) for row in entered if row.entry is not None])
        return entered


def commitment(row: AuditRow) -> str:
    """Return what the ledger says of a row: SHA-256 in hex over its salt and its canonical JSON."""
    said: dict[str, Json] = {
        "at": rfc3339(row.at_us),
        "kind": row.kind,
        "actor": row.actor,
        "via": row.via,
        "recording": row.recording,
        "details": row.details,
        "id": row.id,
    }
    return hashlib.sha256(bytes.fromhex(row.salt) + canonical(said)).hexdigest()
