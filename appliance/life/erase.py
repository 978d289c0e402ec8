"""Erasing a recording (GDPR Art. 17), so that a crash at any step is brought to its end at the next start.

    erasure written down ▸ row of the trail, "rec.erase" in the ledger, flushed: from here on it counts
    ▸ keys destroyed ▸ files removed, but for the signed manifests ▸ names gone from the catalogue
    ▸ certificate ▸ the catalogue's log emptied ▸ done

Before the ledger's entry a crash leaves the recording as it was. Behind it `settle_erasures` does what is left; each
step may be done twice. Many are erased some hundred at a time: one sync for all of them at each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, insert, update

from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Order, Progress
from vittne.appliance.life import immutable
from vittne.appliance.life.certificate import write_certificate
from vittne.appliance.life.forget import forget, names_of, speaking_of
from vittne.appliance.life.precedence import Decision
from vittne.appliance.life.table import Erasure, LifeRow
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.manifest import MANIFEST_FILE, digest
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.corrections import corrections_of
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain, recording_of, staged_name
from vittne.appliance.store.tables import erasures
from vittne.appliance.store.times import now_us

TOGETHER: Final = 200  # recordings in one step
_AT_ONCE: Final = 25  # recordings before others get their turn
TRIES: Final = 20  # of a tenth of a second, to empty the catalogue's log
LOG_IS_READ: Final = "somebody reads the catalogue"
WHEN_READ: Final = (
    "end who reads catalogue.db for long (a copy, a list in a pager); the next night or start does the rest"
)
_MANIFEST_LIMIT: Final = 64 << 20
EXPIRED: Final = "expired"
REQUESTED: Final = "requested"
EARLY: Final = "early"
AGAIN: Final = "again"
ROOM: Final = "room"  # the disk filled, and the configuration lets it go


class CannotErase(StoreError):
    """A recording that is not erased, and why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recording that is to go. word: of ours, for the ledger; approvers: everybody who wanted it, in order."""

    row: LifeRow
    word: str
    reason: str
    caller: Caller
    approvers: tuple[str, ...]
    decision: Decision


def erasing(registrar: Registrar, wanted: Sequence[Wanted]) -> Iterator[Progress]:
    """Erase recordings; each was decided on. Raises StoreError: then settle_erasures() does what is left."""
    is_read = False
    for begin in range(0, len(wanted), TOGETHER):
        some = wanted[begin : begin + TOGETHER]
        for words in erasing_some(registrar, some, 1 if is_read else TRIES):
            is_read |= words == LOG_IS_READ
            yield Progress(begin, len(wanted), words)
    if is_read:
        what = "it is erased, but names are still in the catalogue's log, which somebody reads"
        raise StoreError(what, registrar.data_dir / "catalogue.db-wal", WHEN_READ)
    yield Progress(len(wanted), len(wanted), "done")


def erasing_some(registrar: Registrar, some: Sequence[Wanted], tries: int = TRIES) -> Iterator[str]:
    """Erase up to TOGETHER recordings, one step at a time; each is named when it is done.

    The last is "done", or LOG_IS_READ when somebody reads the catalogue and goes on to, so often as it was tried: then
    all is done but the last, which settle_erasures() does.
    """
    at = now_us()
    begun = [_begun(registrar.data_dir, one, at) for one in some]
    _write_down(registrar, begun)
    yield "written down"
    by_caller: dict[Caller, list[tuple[str, dict[str, Any]]]] = {}
    for one, erasure in zip(some, begun, strict=True):
        by_caller.setdefault(one.caller, []).append((one.row.id, _told(one, erasure)))
    entries: dict[str, int | None] = {}
    for caller, about in by_caller.items():
        rows = registrar.audit.note_all(events.ERASED, caller, about)
        entries.update((row.recording, row.entry) for row in rows)
    yield "entered in the ledger"
    yield from _finish(registrar, [replace(one, entry=entries[one.recording]) for one in begun], tries)


def settle_erasures(registrar: Registrar, thorough: bool = False) -> list[str]:
    """Bring erasures to their end that a crash left, or strike out those that never counted; return the ids done.

    thorough: also what the ledger says is erased and is here again, from a backup. What only waits for somebody to read
    the catalogue no longer is left for the next time. Raises StoreError.
    """
    left = registrar.life.unfinished_erasures()
    counting = [replace(one, entry=entry) for one in left if (entry := _entry(registrar, one)) is not None]
    known = {one.recording for one in counting}
    never = [one.recording for one in left if one.recording not in known]
    if never:
        with registrar.catalogue.writing() as connection:
            connection.execute(delete(erasures).where(erasures.c.recording.in_(never)))
    if thorough:
        again = [one for one in _come_back(registrar) if one.recording not in known]
        _write_down(registrar, again)
        counting += again
    done: list[str] = []
    for begin in range(0, len(counting), TOGETHER):
        some = counting[begin : begin + TOGETHER]
        done += [one.recording for one in some if "done" in list(_finish(registrar, some, 1))]
    return done


def check_reason(registrar: Registrar, recording: str, reason: str) -> None:
    """Refuse a reason that names a party: it outlives the recording, in trail and certificate. Raises CannotErase."""
    row = registrar.catalogue.get(recording)
    made = registrar.life.corrections(row.id)
    if speaking_of(names_of(row, made))(reason):
        raise CannotErase("the reason names a party, and would outlive the recording", row.id, "say it without")


class Settle(Order):
    """Finish what is left of erasures, and erase again what came back from a backup."""


def _told(one: Wanted, erasure: Erasure) -> dict[str, Any]:
    entered = {"reason": erasure.word, "manifest": erasure.manifest}
    decision = one.decision.as_json(one.row.facts)
    return {"reason": one.reason, "approvers": list(one.approvers), "decision": decision, "ledger": entered}


def _begun(data_dir: Path, one: Wanted, at_us: int) -> Erasure:
    folder = data_dir / one.row.folder
    if one.row.folder and (recording_of(folder) != one.row.id or folder.name.startswith(".")):
        raise CannotErase("its folder is not that of a finished recording", one.row.id, "see `vittne verify`")
    if one.row.folder and staged_name(folder).exists():
        raise CannotErase("a cut of it is not done", one.row.id, "`vittne cut` again, or the next start, ends it")
    manifest = _manifest(folder) if one.row.folder else ""
    by = one.caller.name
    return Erasure(one.row.id, at_us, one.word, one.reason, by, one.approvers, manifest, one.row.folder)


def _manifest(folder: Path) -> str:
    """Return the hash of a recording's manifest; "" when it is gone: then the erasure goes on without."""
    try:
        with open_plain(folder / MANIFEST_FILE) as stream:
            return digest(stream.read(_MANIFEST_LIMIT))
    except OSError:
        return ""


def _write_down(registrar: Registrar, begun: Sequence[Erasure]) -> None:
    if not begun:
        return
    with registrar.catalogue.writing(lasting=True) as connection:
        ids = [one.recording for one in begun]
        connection.execute(delete(erasures).where(erasures.c.recording.in_(ids)))
        values = [{name: getattr(one, name) for name in Erasure.__slots__} for one in begun]
        connection.execute(insert(erasures), [{**row, "approvers": list(row["approvers"])} for row in values])


def _finish(registrar: Registrar, some: Sequence[Erasure], tries: int) -> Iterator[str]:
    """Do all that follows from the entries in the ledger. Every step may have been done before."""
    ids = [one.recording for one in some]
    registrar.keys.erase_all(ids)
    yield "keys destroyed"
    for place, one in enumerate(some, 1):
        _remove_files(registrar.data_dir, one)
        if place % _AT_ONCE == 0:
            yield "files removed"
    registrar.store.sync()
    yield "files removed"
    is_emptied = True
    for begin in range(0, len(some), _AT_ONCE):
        is_emptied &= _forget(registrar, {one.recording: one.at_us for one in some[begin : begin + _AT_ONCE]})
        yield "names gone"
    for place, one in enumerate(some, 1):
        write_certificate(registrar.data_dir, one, registrar.ledger.key)
        if place % _AT_ONCE == 0:
            yield "certificates written"
    registrar.store.sync()
    yield "certificates written"
    for _ in range(tries):
        if registrar.catalogue.empty_log():
            break
        yield "waiting for who reads the catalogue"
    else:
        is_emptied = False
    if not is_emptied:
        yield LOG_IS_READ
        return
    yield "log emptied"
    with registrar.catalogue.writing() as connection:
        for one in some:
            done = update(erasures).where(erasures.c.recording == one.recording)
            connection.execute(done.values(done_us=now_us(), entry=one.entry))
    yield "done"


def _remove_files(data_dir: Path, one: Erasure) -> None:
    folder = data_dir / one.folder
    if not one.folder or recording_of(folder) != one.recording:
        return
    try:
        for path in sorted(folder.iterdir()):
            if not _is_proof(path):
                immutable.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain(error, "remove the files of an erased recording", folder) from error


def _is_proof(path: Path) -> bool:
    """Say whether a file is a manifest or its signature, of whichever version: no personal data, and it proves."""
    return path.name.startswith("manifest.") and path.suffix in (".json", ".sig")


def _forget(registrar: Registrar, at_us: Mapping[str, int]) -> bool:
    """Reduce calls in the catalogue, and in those put aside; False when one of these is being read."""
    rows = registrar.catalogue.get_all(list(at_us))
    made = corrections_of(registrar.catalogue, list(at_us))
    with registrar.catalogue.writing(lasting=True) as connection:
        forget(connection, rows, made, at_us)
    found = [_forget_in_former(before, at_us) for before in registrar.data_dir.glob("catalogue.*.db")]
    return all(found)


def _forget_in_former(path: Path, at_us: Mapping[str, int]) -> bool:
    """Do the same in a catalogue that `vittne rebuild` put aside; one that cannot be read any more is removed."""
    is_emptied = True
    try:
        with Catalogue(path) as catalogue:
            rows = catalogue.get_all(list(at_us))
            made = corrections_of(catalogue, list(at_us))
            with catalogue.writing(lasting=True) as connection:
                forget(connection, rows, made, at_us)
            is_emptied = catalogue.empty_log()
    except StoreError:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
    return is_emptied


def _entry(registrar: Registrar, one: Erasure) -> int | None:
    """Return the index of an erasure's entry; None when it never got one, so that nothing was done."""
    if one.entry is not None:
        return one.entry
    search = AuditSearch(recording=one.recording, kinds=(events.ERASED,), limit=1)
    return next((row.entry for row in registrar.audit.table.search(search)), None)


def _come_back(registrar: Registrar) -> Iterator[Erasure]:
    """Yield what the ledger says is erased, and of which keys, files or names are here."""
    history, _ = read_history(registrar.data_dir / "ledger", registrar.ledger.key.verifier)
    with_key = registrar.keys.recordings()
    rows = {row.id: row for row in registrar.catalogue.get_all(list(history.erasures))}
    for recording, told in history.erasures.items():
        folder = registrar.store.find(recording)
        has_files = folder is not None and any(not _is_proof(path) for path in folder.iterdir())
        row = rows.get(recording)
        if recording in with_key or has_files or (row is not None and row.erased_us is None):
            where = "" if folder is None else str(folder.relative_to(registrar.data_dir))
            yield Erasure(recording, told.at_us, told.word, AGAIN, "", (), told.manifest, where, told.index)
