"""`vittne bundle`: recordings with all that a stranger needs to check them, in a folder, a .zip or a .tar file."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from vittne.appliance.evidence.bag import Bag, new_bag
from vittne.appliance.evidence.contents import Archive, Told, Wanted, add_recording
from vittne.appliance.evidence.envelope import Recipient, read_recipient
from vittne.appliance.evidence.log import Found, Log, entry_name
from vittne.appliance.evidence.stamps import add_stamp, choose
from vittne.appliance.looks import Look, Purpose, enter_look
from vittne.appliance.seal.manifest import MANIFEST_FILE, BadManifest
from vittne.appliance.seal.note import NOTE_LIMIT
from vittne.appliance.seal.signing import KEY_FILE, PUBLIC_FILE, VKEY_FILE, SigningKey, load_key, load_verifier
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import clean
from vittne.appliance.version import VERSION

FORMAT: Final = "bundle"
_SHIPPED: Final = ("verify.py", "primitives.py", "VERIFY.txt")


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """What was asked for. to: the recipient's certificate; checkpoint: one that somebody kept."""

    ids: Sequence[str]
    output: str
    audio: str
    party: str
    sealed: bool
    to: Path | None
    checkpoint: Path | None
    force: bool
    purpose: Purpose = ""
    review: str = ""


def run(data_dir: Path, options: BundleOptions) -> int:
    """Make a bundle; return the exit status. Raises StoreError; no half bundle is ever left."""
    if options.audio == "none" and not options.sealed:
        raise StoreError("there would be no call in it", options.output, "give --sealed, or --audio wav or flac")
    recipient = read_recipient(options.to) if options.to is not None else None
    wanted = Wanted(options.audio, options.party, options.sealed, recipient)
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        calls = list({call.id: call for call in map(catalogue.get, options.ids)}.values())
    for call in calls:
        see_that_it_is_sealed(data_dir, call)
    whom = f"for {clean(recipient.name)}" if recipient is not None else ""
    with new_bag(options.output, options.force) as bag:
        for call in calls:
            look = Look(kind="export", recording=call.id, format=FORMAT, party=options.party, reason=whom)
            enter_look(data_dir, look.model_copy(update={"purpose": options.purpose, "review": options.review}))
        notes = fill(bag, open_archive(data_dir), calls, wanted, options.checkpoint)
    for note in notes:
        print(f"note: {clean(note)}", file=sys.stderr)
    words = f"{len(calls)} recordings" if len(calls) > 1 else "1 recording"
    print(f"{options.output}: {words}; verify.py in it checks them", file=sys.stderr)
    return 0


def fill(bag: Bag, archive: Archive, calls: Sequence[CallRow], wanted: Wanted, kept: Path | None = None) -> list[str]:
    """Put recordings and what proves them into a bag, and close it; return notes. Raises StoreError."""
    data_dir = archive.data_dir
    found = archive.log.about([call.id for call in calls])
    trail = _audit_rows(data_dir, calls, archive.log.checkpoint.size)
    notes = []
    for call in calls:
        told = Told(call, found.version(call.id), found.of[call.id], trail[call.id])
        try:
            notes += [f"{call.id[:8]}: {note}" for note in add_recording(bag, archive, told, wanted)]
        except BadManifest as error:
            raise StoreError(f"the manifest {error}", call.id, "`vittne verify` says more") from error
    _add_ledger(bag, archive, found, kept)
    entries = {call.id: found.version(call.id) for call in calls}
    stamps = choose(data_dir, entries, archive.log.checkpoint.size)
    for stamp in stamps:
        add_stamp(bag, archive.log, stamp, entries)
    if not stamps:
        notes.append("no time stamp of a third party covers it: the times are this machine's")
    if archive.signing is None:
        notes.append("the ledger's private key is not here: the bundle as a whole is not signed")
    for name in _SHIPPED:
        bag.put(name, (files("vittne.appliance.evidence") / name).read_bytes())
    bag.close(_info(calls, archive, wanted.recipient), archive.signing)
    return notes


def open_archive(data_dir: Path) -> Archive:
    """Return what a bundle is made from. Raises StoreError."""
    keys = data_dir / "keys"
    verifier = load_verifier(keys)
    signing: SigningKey | None = load_key(keys) if (keys / KEY_FILE).exists() else None
    return Archive(data_dir, verifier, signing, Log(data_dir / "ledger", verifier))


def see_that_it_is_sealed(data_dir: Path, call: CallRow) -> None:
    """Raise StoreError unless a call is over and its recording is there."""
    if call.state != FINISHED:
        raise StoreError("the call goes on", call.id, "wait for its end: then it is sealed")
    if not call.folder:
        raise StoreError("nothing was recorded of this call", call.id, "`vittne show` says why")
    if not (data_dir / call.folder / MANIFEST_FILE).exists():
        raise StoreError("the recording is not on the disk", data_dir / call.folder, "`vittne verify` says more")


def _audit_rows(data_dir: Path, calls: Sequence[CallRow], size: int) -> dict[str, list[AuditRow]]:
    """Return the rows of the audit trail about each recording that have an entry below size."""
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        table = AuditTable(catalogue)
        rows = {call.id: list(table.search(AuditSearch(recording=call.id))) for call in calls}
    return {rec: [row for row in some if row.entry is not None and row.entry < size] for rec, some in rows.items()}


def _add_ledger(bag: Bag, archive: Archive, found: Found, kept: Path | None) -> None:
    log = archive.log
    bag.put("evidence/checkpoint", log.note)
    bag.put(f"evidence/{PUBLIC_FILE}", archive.key.pem())
    bag.put(f"evidence/{VKEY_FILE}", archive.key.text().encode() + b"\n")
    for former in archive.key.former:
        bag.put(f"evidence/former/{former.key_id.hex()}.pem", former.pem())
    for entry in found.rotations:
        bag.put(f"evidence/rotations/{entry_name(entry)}", log.prove(entry, True))
    if kept is not None:
        try:
            with kept.open("rb") as stream:
                note = stream.read(NOTE_LIMIT + 1)
        except OSError as error:
            raise explain(error, "read the checkpoint", kept) from error
        bag.put(f"evidence/consistency-{log.opened(note).size}.txt", log.consistency(note))


def _info(calls: Sequence[CallRow], archive: Archive, recipient: Recipient | None) -> list[tuple[str, str]]:
    day = datetime.fromtimestamp(now_us() / 1e6, UTC).date().isoformat()
    fingerprint = base64.b64encode(archive.key.public).decode()
    return [
        ("Bag-Software-Agent", f"vittne {VERSION}"),
        ("Bagging-Date", day),
        ("External-Description", "Evidence bundle: see VERIFY.txt"),
        *(("External-Identifier", call.id) for call in calls),
        ("Vittne-Ledger", f"{archive.key.name} {fingerprint}"),
        *([("Vittne-Recipient", clean(recipient.name))] if recipient is not None else []),
    ]
