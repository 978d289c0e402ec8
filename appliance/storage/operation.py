"""What is entered of copies at targets, by the one writer: in the ledger first, then in the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.manifest import MANIFEST_FILE, MANIFEST_LIMIT, digest
from vittne.appliance.storage.fetching import remove_parts
from vittne.appliance.storage.known import known_targets
from vittne.appliance.storage.table import DAMAGED, GONE, STALE, STORED, Stored, StoredTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import checked_id, open_plain, recording_of, staged_name
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import now_us

_TOGETHER: Final = 500


class Row(BaseModel):
    """A row of the table of copies: see Stored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    recording: str
    target: str = Field(max_length=32)
    state: str = Field(max_length=16)
    place: str = Field(max_length=200)
    manifest: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    size_bytes: int = 0
    stored_us: int | None = None
    checked_us: int | None = None
    locked_us: int | None = None
    held: bool = False
    next_us: int = 0
    tries: int = 0
    problem: str = Field(default="", max_length=400)


class EnterStored(Order):
    """What became of copies."""

    rows: list[Row] = Field(max_length=_TOGETHER)


class Leave(Order):
    """Let the parts of recordings leave this machine: copies of them were read back."""

    recordings: list[str] = Field(min_length=1, max_length=_TOGETHER)


class Adopt(Order):
    """A recording of which only the manifests are here: note that, and the call that its sealed META tells of."""

    recording: str
    place: str = Field(max_length=200)
    call: dict[str, Any] | None = None


def entering(rows: Sequence[Stored]) -> EnterStored:
    """Return the order that enters rows."""
    return EnterStored(rows=[Row(**asdict(row)) for row in rows])


def name_hash(target: str) -> str:
    """Return how the ledger names a target."""
    return hashlib.sha256(target.encode()).hexdigest()[:16]


def _enter(registrar: Registrar, order: EnterStored, _: Caller) -> Steps:
    table = StoredTable(registrar.catalogue)
    rows = [_as_it_is(registrar, Stored(**row.model_dump())) for row in order.rows]
    for row in rows:
        known = {one.target: one for one in table.of(checked_id(row.recording))}.get(row.target)
        entry = _entry(row, known)
        if entry is not None:
            registrar.ledger.record(entry)
    registrar.ledger.flush()
    yield Progress(1, 2)
    table.put(rows)
    return {"entered": len(rows)}


def _as_it_is(registrar: Registrar, row: Stored) -> Stored:
    """Return a row as stale when the recording was cut while it was being copied."""
    checked_id(row.recording)
    if row.state != STORED:
        return row
    folder = registrar.store.recordings_dir / row.place
    if recording_of(folder) != row.recording or ".." in folder.parts:
        raise StoreError("this is no folder of that recording", repr(row.place)[:100], "nothing was entered")
    now = _manifest_here(folder)
    return row if now in (row.manifest, None) else replace(row, state=STALE, next_us=0)


def _manifest_here(folder: Path) -> str | None:
    """Return the hash of a recording's manifest; None when it cannot be read: whoever looks for it says so."""
    try:
        with open_plain(folder / MANIFEST_FILE) as stream:
            return digest(stream.read(MANIFEST_LIMIT))
    except OSError:
        return None


def _entry(row: Stored, known: Stored | None) -> dict[str, Json] | None:
    """Return what the ledger says of a row; None when it is nothing new."""
    about: dict[str, Json] = {"rec": row.recording, "target": name_hash(row.target)}
    before = (known.state, known.manifest) if known is not None else ("", "")
    if row.state == STORED and before != (STORED, row.manifest):
        return {"t": events.STORED, **about, "manifest": row.manifest}
    if row.state == GONE and before[0] not in ("", GONE):
        return {"t": events.STORED_GONE, **about}
    if row.state == DAMAGED and before[0] != DAMAGED:
        return {"t": events.STORED_DAMAGED, **about}
    return None


def _leave(registrar: Registrar, order: Leave, _: Caller) -> Steps:
    table = StoredTable(registrar.catalogue)
    known = {row.id: row for row in registrar.life.rows(order.recordings)}
    targets = {one.name: one for one in known_targets(registrar.data_dir)}
    going: dict[str, Path] = {}
    for recording in order.recordings:
        row = known.get(recording)
        if row is None or row.facts.erased_us is not None or not row.folder:
            continue
        # What a catalogue that was put back knows may be older than the version that lies here.
        now = _manifest_here(registrar.data_dir / row.folder)
        copies = [one.target for one in table.of(recording) if one.state == STORED and one.manifest == now]
        copies = [name for name in copies if name in targets]
        # What nobody may alter here leaves only for a place where nobody may either.
        if registrar.life_policy.immutable and (row.facts.locked_until_us or 0) > now_us():
            copies = [name for name in copies if targets[name].lock != "none"]
        if not copies:
            continue
        folder = registrar.data_dir / row.folder
        if recording_of(folder) == recording and not folder.name.startswith(".") and not staged_name(folder).exists():
            going[recording] = folder
    fresh = [recording for recording in going if not table.is_away(recording)]
    for recording in fresh:
        registrar.ledger.record({"t": events.LEFT, "rec": recording})
    registrar.ledger.flush()
    if fresh:
        table.note_away(fresh, now_us())
    yield Progress(0, len(going), "entered")
    for place, folder in enumerate(going.values(), 1):
        remove_parts(folder)
        yield Progress(place, len(going), "parts removed")
    return {"left": sorted(going)}


def _adopt(registrar: Registrar, order: Adopt, _: Caller) -> Steps:
    recording = checked_id(order.recording)
    folder = registrar.data_dir / "recordings" / order.place
    if recording_of(folder) != recording or registrar.store.find(recording) != folder:
        raise StoreError("this is no folder of that recording", repr(order.place)[:100], "nothing was done")
    yield Progress(0, 1)
    table = StoredTable(registrar.catalogue)
    if not table.is_away(recording) and not any(folder.glob("part-*.floe")):
        registrar.ledger.record({"t": events.LEFT, "rec": recording})
        registrar.ledger.flush()
        table.note_away([recording], now_us())
    if order.call is not None and not is_known(registrar.catalogue, recording):
        row = CallRow.from_json({**order.call, "id": recording, "state": FINISHED})
        registrar.catalogue.upsert_call(replace(row, folder=str(folder.relative_to(registrar.data_dir))))
    return {}


def is_known(catalogue: Catalogue, recording: str) -> bool:
    """Say whether a catalogue knows more of a call than its manifest says."""
    return any(row.call_ids or row.caller or row.erased_us is not None for row in catalogue.get_all([recording]))


ENTER_STORED: Final = Operation("storage.enter", "entering copies", EnterStored, _enter)
ADOPT: Final = Operation("storage.adopt", "taking in a recording that is kept elsewhere", Adopt, _adopt)
LEAVE: Final = Operation("storage.leave", "letting parts leave", Leave, _leave)
