"""Filing what was imported as a recording of the archive; done by the one writer of a data directory.

    hidden folder with its sealed part, written and synced by who imports
    ▸ part read and hashed here ▸ key kept ▸ "rec.open", then "rec.import" in the ledger, flushed
    ▸ manifest, synced ▸ "rec.seal", flushed: from here on it is a recording ▸ folder gets its name ▸ catalogue

A crash before "rec.seal" leaves a hidden folder that the next start removes, with its key; one behind it a folder that
only has to get its name. Nothing is lost: the file that came is still where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.history import history_of
from vittne.appliance.seal.manifest import MANIFEST_FILE, SEALED, Manifest, SealedPart, digest, write_manifest
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import arrived_name, checked_id, is_being_made, open_plain, sync_path
from vittne.appliance.store.rows import CallRow

IMPORTED: Final = "imported"
# of details.imported: nothing of anybody
IN_MANIFEST: Final = ("from", "sha256", "form", "kept", "kept_sha256", "signature")
_STEP: Final = 4 << 20
_SHORT: Final = "an import that was cut short"


class CannotImport(StoreError):
    """Something that is not filed, and why."""


class Part(Order):
    """The sealed part, as PartClosed has it."""

    size_bytes: int
    groups: int
    sha256: str
    from_us: int
    to_us: int
    index: list[tuple[int, int]]
    contents: str


class FileImport(Order):
    """A folder with a sealed part lies hidden: make a recording of it. report: JSON of its row in the catalogue."""

    recording: str
    capsule: str
    part: Part
    meta_sha256: str
    report: str


def _file(registrar: Registrar, order: FileImport, caller: Caller) -> Steps:
    row = _row(order)
    imported = row.details[IMPORTED]
    known = known_as(registrar.catalogue, imported["uuid"], imported["sha256"])
    if known is not None:
        return {"known": known}
    folder = registrar.store.recordings_dir / _place(row)
    manifest = _manifest(row, order)
    yield from _hashed(folder / manifest.parts[0].file, manifest.parts[0])
    registrar.keys.put([(row.id, 0, order.capsule)])
    capsule = hashlib.sha256(order.capsule.encode()).hexdigest()
    registrar.ledger.record({"t": events.OPENED, "rec": row.id, "part": 0, "capsule": capsule})
    told = {"original": imported["sha256"], "kept": imported["kept"], "signature": imported["signature"]}
    registrar.audit.note(events.IMPORTED, caller, row.id, ledger=told)
    yield Progress(0, 0, "entered")
    sha256 = write_manifest(folder, manifest, registrar.ledger.key)
    registrar.store.sync_folders([folder])
    registrar.ledger.record({"t": events.SEALED, "rec": row.id, "manifest": sha256, "state": manifest.state})
    registrar.ledger.flush()
    yield Progress(0, 0, "sealed")
    _give_name(folder)
    yield Progress(0, 0, "named")
    registrar.catalogue.upsert_call(row)
    registrar.life.holds.take_standing([row.id])
    if registrar.life_policy.immutable:
        registrar.protect([row])
    return {"recording": row.id}


FILE_IMPORT: Final = Operation("vcon.import", "importing a vCon", FileImport, _file)


def known_as(catalogue: Catalogue, uuid: str, sha256: str) -> str | None:
    """Return the recording that a vCon became already; None when there is none."""
    for row in versions_of(catalogue, uuid):
        told = row.details.get(IMPORTED)
        if isinstance(told, dict) and told.get("sha256") == sha256:
            return row.id
    return None


def versions_of(catalogue: Catalogue, uuid: str) -> list[CallRow]:
    """Return the recordings that vCons of this uuid became."""
    return list(catalogue.list_calls(Search(call_id=f"vcon:{uuid}", unanswered=True)))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a hidden folder: then nobody takes it for what a crash left."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def remove(folder: Path) -> None:
    """Remove a hidden folder that became no recording."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def settle_arriving(registrar: Registrar) -> None:
    """Bring imports to their end that a crash left, or remove them."""
    left = [folder for folder in registrar.store.arriving() if not is_being_made(folder)]
    if not left:
        return
    names = {arrived_name(folder).name: folder for folder in left}
    begun = [name for name in names if registrar.keys.parts(name)]  # without a key the ledger never heard of it
    history = history_of(registrar.data_dir / "ledger", registrar.ledger.key.verifier, begun) if begun else None
    for name, folder in names.items():
        with suppress(OSError, StoreError):  # it stays as it is, and the next start tries again
            if history is not None and _manifest_hash(folder) == history.last_seal(name) is not None:
                _give_name(folder)  # what is in it is entered in the catalogue by recover()
                continue
            if name in begun:
                registrar.keys.erase(name)
                registrar.ledger.record({"t": events.DISCARDED, "rec": name, "reason": _SHORT})
                registrar.ledger.flush()
            remove(folder)


def _row(order: FileImport) -> CallRow:
    try:
        row = CallRow.from_json(json.loads(order.report))
        told = row.details[IMPORTED]
        if row.id != checked_id(order.recording) or not all(isinstance(told[name], str) for name in IN_MANIFEST):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise CannotImport("this tells of no recording", order.recording, "nothing was done") from error
    return row


def _place(row: CallRow) -> str:
    """Return where its hidden folder is, below recordings/. The row says where it will be, below the data directory."""
    folder = Path(row.folder)
    if folder.name != row.id or folder.parts[:1] != ("recordings",) or len(folder.parts) != 5 or ".." in folder.parts:
        raise CannotImport("this is no folder of that recording", row.folder, "nothing was done")
    return str(Path(*folder.parts[1:-1]) / f".{row.id}.import")


def _manifest(row: CallRow, order: FileImport) -> Manifest:
    part = order.part
    index = tuple((offset, at) for offset, at in part.index)
    sealed = SealedPart(
        0, part.size_bytes, part.groups, part.sha256, part.from_us, part.to_us, False, index, part.contents
    )
    named = {"class": row.retention_class, "site": row.site}
    return Manifest(
        rec=row.id,
        state=SEALED,
        parts=(sealed,),
        outcome=row.outcome,
        meta_sha256=order.meta_sha256,
        policy={name: text for name, text in named.items() if text},
        imported={name: str(row.details[IMPORTED][name]) for name in IN_MANIFEST},
    )


def _hashed(path: Path, part: SealedPart) -> Iterator[Progress]:
    """Read a part that somebody wrote, a piece at a time. Raises CannotImport: it is not what was told."""
    sha256, size = hashlib.sha256(), 0
    try:
        with open_plain(path) as stream:
            while piece := stream.read(_STEP):
                sha256.update(piece)
                size += len(piece)
                yield Progress(size, part.size_bytes, "hashing")
    except OSError as error:
        raise explain(error, "read what is to be imported", path) from error
    if (size, sha256.hexdigest()) != (part.size_bytes, part.sha256):
        raise CannotImport("the sealed part is not what was told", path, "import it again")


def _give_name(folder: Path) -> None:
    try:
        os.rename(folder, arrived_name(folder))
    except OSError as error:
        raise explain(error, "finish an import", folder) from error
    sync_path(folder.parent)


def _manifest_hash(folder: Path) -> str | None:
    try:
        return digest((folder / MANIFEST_FILE).read_bytes())
    except FileNotFoundError:
        return None


def part_order(part: Any) -> Part:
    """Return a closed part as an order has it."""
    return Part(
        size_bytes=part.size_bytes,
        groups=part.groups,
        sha256=part.sha256,
        from_us=part.from_us,
        to_us=part.to_us,
        index=list(part.index),
        contents=part.contents,
    )
