"""What a bundle says of one recording: data/<id>/ and evidence/<id>/.

manifest.json, .sig    what was sealed, signed; manifest.<n>.json, .sig of the versions before a cut
part-<n>.floe          the sealed parts (--sealed); keys.cms: their data keys for the recipient
call.flac, call.wav    the sound, derived; or call.cms: the same for the recipient
derived.json           hashes of what was derived, and which decoder did it
meta.json              who, when, pauses: the sealed META record as it is; its hash is in the manifest
vcon.json              the same for other programs
audit.jsonl            who looked at the recording, with salts and numbers of entries
report.html            for reading
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import numpy as np

from vittne.appliance.evidence.bag import Bag
from vittne.appliance.evidence.envelope import Recipient, memory_file, seal_for
from vittne.appliance.evidence.log import Entry, Log, entry_name
from vittne.appliance.evidence.page import page
from vittne.appliance.export import write_sound
from vittne.appliance.opened import OpenedRecording, bring_back_missing, data_keys
from vittne.appliance.seal import records
from vittne.appliance.seal.manifest import MANIFEST_FILE, SIGNATURE_FILE, Manifest, digest, former_files, read_manifest
from vittne.appliance.seal.signing import SigningKey, VerifyKey
from vittne.appliance.store.audit import AuditRow
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us
from vittne.appliance.vcon.build import Sound, build
from vittne.appliance.vcon.forms import signed
from vittne.appliance.version import VERSION
from vittne.codecs.base import NotDecodable

MEDIATYPES: Final = {"wav": "audio/x-wav", "flac": "audio/flac"}
NO_KEYS: Final = (
    "The sealed parts (.floe) are here as they are stored, encrypted. The keys that open them are NOT in this bundle.\n"
    "That the parts are those that were sealed can be checked without them.\n"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in a bundle. audio: wav, flac or none."""

    audio: str = "flac"
    party: str = "both"
    sealed: bool = False
    recipient: Recipient | None = None

    @property
    def opens(self) -> bool:
        """Say whether recordings must be decrypted for it."""
        return self.audio != "none" or (self.sealed and self.recipient is not None)


@dataclass(frozen=True, slots=True)
class Archive:
    """Whose recordings they are. signing None: the private key is not here, so nothing is signed.

    keys: of parts, by recording, where somebody else opened them; else the archive is unlocked in this process.
    """

    data_dir: Path
    key: VerifyKey
    signing: SigningKey | None
    log: Log
    keys: Mapping[str, dict[int, bytes]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Told:
    """A recording's call, and what ledger and audit trail say of it."""

    call: CallRow
    version: Entry
    entries: list[Entry]
    audit: list[AuditRow]


def add_recording(bag: Bag, archive: Archive, told: Told, wanted: Wanted) -> list[str]:
    """Put a recording into a bag; return notes for whoever makes the bundle. Raises StoreError, BadManifest."""
    folder, where = archive.data_dir / told.call.folder, f"data/{told.call.id}"
    manifest, sha256 = read_manifest(folder, archive.key)
    bring_back_missing(archive.data_dir, folder)
    if told.version.event["manifest"] != sha256:
        raise StoreError("the ledger says another manifest of this recording", folder, "`vittne verify` says more")
    for names in ((MANIFEST_FILE, SIGNATURE_FILE), *(former_files(n) for n in range(1, manifest.version))):
        for name in names:
            bag.copy(f"{where}/{name}", folder / name)
    if wanted.sealed:
        _add_parts(bag, where, folder, manifest)
    notes, call, sound = _opened(bag, archive, told.call, manifest, wanted)
    _add_derived(bag, archive, call, told, sound, sha256)
    bag.put(f"{where}/audit.jsonl", b"".join(_line(row) for row in told.audit))
    evidence = f"evidence/{told.call.id}"
    bag.put(f"{evidence}/leaf.json", told.version.line)
    bag.put(f"{evidence}/manifest.tlog-proof", archive.log.prove(told.version, False))
    for entry in told.entries:
        if entry != told.version:
            bag.put(f"{evidence}/{entry_name(entry)}", archive.log.prove(entry, True))
    bag.put(f"{where}/report.html", page(call, manifest, told.entries, told.audit, wanted.opens, archive.key.name))
    return notes


def _add_parts(bag: Bag, where: str, folder: Path, manifest: Manifest) -> None:
    for part in manifest.parts:
        if bag.copy(f"{where}/{part.file}", folder / part.file) != part.sha256:
            raise StoreError("a sealed part is not as it was sealed", folder / part.file, "`vittne verify` says more")


def _opened(
    bag: Bag, archive: Archive, call: CallRow, manifest: Manifest, wanted: Wanted
) -> tuple[list[str], CallRow, Sound | None]:
    """Put in what must be decrypted; return notes, the call as it is sealed, its sound."""
    where = f"data/{call.id}"
    if wanted.sealed and wanted.recipient is None:
        bag.put(f"{where}/KEYS.txt", NO_KEYS.encode())
    if not wanted.opens:
        bag.put(f"{where}/derived.json", _derived(digest_of(bag, where), [], manifest))
        return [], call, None
    folder = archive.data_dir / call.folder
    keys = archive.keys.get(call.id) or data_keys(archive.data_dir, folder)
    with OpenedRecording(folder, keys) as opened:
        meta = meta_of(opened)
        if meta and digest(meta) == manifest.meta_sha256:
            bag.put(f"{where}/meta.json", meta)
            call = CallRow.from_json(json.loads(meta))
        if wanted.sealed and wanted.recipient is not None:
            _add_keys(bag, where, call.id, keys, wanted.recipient)
        files: list[dict[str, Any]] = []
        sound: Sound | None = None
        notes: list[str] = []
        if wanted.audio != "none":
            sound, notes = _add_sound(bag, where, opened, call, wanted, files)
        bag.put(f"{where}/derived.json", _derived(digest_of(bag, where), files, manifest))
        return [*notes, *opened.problems], call, sound


def digest_of(bag: Bag, where: str) -> str:
    """Return the hash of the manifest in a bag."""
    return bag.sha256(f"{where}/{MANIFEST_FILE}")


def meta_of(opened: OpenedRecording) -> bytes:
    """Return the body of the META record that counts, the last one; b"" where there is none (a crash)."""
    body = b""
    for _, plain, rows in opened.read():
        for row in np.flatnonzero(rows.type == records.META).tolist():
            start = int(rows.offset[row])
            body = plain[start : start + int(rows.length[row])]
    return body


def _add_keys(bag: Bag, where: str, recording: str, keys: dict[int, bytes], recipient: Recipient) -> None:
    told = {
        "v": 1,
        "recording": recording,
        "parts": {str(n): base64.b64encode(key).decode() for n, key in keys.items()},
    }
    with memory_file() as plain, bag.writing(f"{where}/keys.cms") as target:
        plain.write(json.dumps(told).encode())
        seal_for(recipient, plain, target)


def _add_sound(
    bag: Bag, where: str, opened: OpenedRecording, call: CallRow, wanted: Wanted, files: list[dict[str, Any]]
) -> tuple[Sound, list[str]]:
    name = f"call.{wanted.audio}"
    if wanted.recipient is None:
        with bag.writing(f"{where}/{name}") as stream:
            sound, notes = render_sound(opened, call, wanted.audio, wanted.party, stream)
        files.append({"file": name, "sha256": bag.sha256(f"{where}/{name}"), "party": wanted.party})
        return sound, notes
    with memory_file() as plain:
        sound, notes = render_sound(opened, call, wanted.audio, wanted.party, plain)
        with bag.writing(f"{where}/call.cms") as target:
            seal_for(wanted.recipient, plain, target)
    told = {"inside": name, "inside_sha256": sound.sha256.hex(), "party": wanted.party}
    files.append({"file": "call.cms", "sha256": bag.sha256(f"{where}/call.cms"), **told})
    return sound, notes


def render_sound(
    opened: OpenedRecording, call: CallRow, kind: str, party: str, stream: BinaryIO
) -> tuple[Sound, list[str]]:
    """Write a recording's sound into a stream that can be read again; return what it is, and notes."""
    name = f"call.{kind}"
    try:
        rendering, notes = write_sound(opened, call, kind, stream, party, from_answer=False)
        stream.flush()
        stream.seek(0)
        told = Sound.read(stream, name, MEDIATYPES[kind], rendering.from_ns, rendering.to_ns, party)
    except NotDecodable as error:
        raise StoreError(error.reason, call.id, "leave the sound out: --audio none --sealed") from error
    except av.FFmpegError as error:
        raise StoreError(f"FFmpeg cannot write {kind} ({error.strerror})", call.id, "is there room?") from error
    except OSError as error:
        raise explain(error, "write the sound", call.id) from error
    return told, [f"{note.track}: {note.reason}" for note in notes]


def decoder() -> str:
    """Return what decodes: the program and the libraries that the samples depend on."""
    parts = (".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libavformat"))
    return "vittne {}, PyAV {}, libavcodec {}, libavformat {}".format(VERSION, av.__version__, *parts)


def _derived(sha256: str, files: list[dict[str, Any]], manifest: Manifest) -> bytes:
    source = "files of an imported vCon, of which no packet was captured" if manifest.imported else "packets"
    told = {
        "statement": f"The files below are derived: computed from the sealed {source}, which are the evidence.",
        "manifest": sha256,
        "decoder": decoder(),
        "files": files,
    }
    return json.dumps(told, indent=1).encode() + b"\n"


def _add_derived(bag: Bag, archive: Archive, call: CallRow, told: Told, sound: Sound | None, sha256: str) -> None:
    proof = proof_of(archive, told.version, sha256)
    made = build(call, sound, proof, now_us(), archive.key.name)
    text = json.dumps(made, ensure_ascii=False, indent=1).encode()
    bag.put(f"data/{call.id}/vcon.json", signed(made, archive.signing) if archive.signing is not None else text)


def proof_of(archive: Archive, version: Entry, sha256: str) -> dict[str, Any]:
    """Return what leads from a vCon to the ledger."""
    checkpoint = archive.log.checkpoint
    return {
        "recording": version.event["rec"],
        "manifest": f"sha256:{sha256}",
        "ledger": archive.key.text(),
        "entry": version.index,
        "entries": checkpoint.size,
        "root": base64.b64encode(checkpoint.root).decode(),
    }


def _line(row: AuditRow) -> bytes:
    return json.dumps(row.as_json(), ensure_ascii=False).encode() + b"\n"
