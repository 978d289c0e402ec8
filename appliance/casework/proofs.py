"""What proves a recording, in words for people and as data: manifest, entries of the ledger, time stamps."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vittne.appliance.bundle_command import open_archive
from vittne.appliance.evidence.contents import Archive
from vittne.appliance.evidence.log import Entry
from vittne.appliance.evidence.stamps import choose
from vittne.appliance.seal.manifest import MANIFEST_FILE, MANIFEST_LIMIT, Manifest, read_manifest
from vittne.appliance.stamps.folders import authority_of
from vittne.appliance.stamps.token import BadToken, read_answer
from vittne.appliance.store.files import open_plain
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339


class EntryShown(BaseModel):
    """An entry of the ledger about the recording. line: what is hashed."""

    index: int
    at: str
    kind: str
    line: str


class StampShown(BaseModel):
    """A third party's token that covers the recording. at: what the token says; "" where it cannot be read."""

    authority: str
    size: int
    at: str
    accuracy_us: int | None


class Sentence(BaseModel):
    """What is known, in plain words. kind: which sentence it is; values: what stands in it."""

    kind: str
    words: str
    values: dict[str, str]


class Evidence(BaseModel):
    """Everything. proof: tlog-proof of the manifest's entry; checkpoint: the signed note it is under."""

    sentences: list[Sentence]
    manifest: dict[str, Any]
    manifest_sha256: str
    version: int
    ledger: str
    key_id: str
    entry: EntryShown
    entries: list[EntryShown]
    proof: str
    checkpoint: str
    checkpoint_size: int
    stamps: list[StampShown]


def evidence_of(data_dir: Path, call: CallRow) -> Evidence:
    """Return what proves a recording. Raises StoreError, BadManifest, LedgerDamaged."""
    archive = open_archive(data_dir)
    manifest, sha256 = read_manifest(data_dir / call.folder, archive.key)
    found = archive.log.about([call.id])
    version = found.version(call.id)
    proof = archive.log.prove(version, True)  # raises where the entry is not under the signed root
    size = archive.log.checkpoint.size
    stamps = [_stamp(one.path, one.size) for one in choose(data_dir, {call.id: version}, size)]
    return Evidence(
        sentences=_sentences(archive, manifest, sha256, version, stamps),
        manifest=manifest_json(data_dir / call.folder),
        manifest_sha256=sha256,
        version=manifest.version,
        ledger=archive.key.name,
        key_id=archive.key.key_id.hex(),
        entry=_entry(version),
        entries=[_entry(one) for one in found.of[call.id]],
        proof=proof.decode(),
        checkpoint=archive.log.note.decode(),
        checkpoint_size=size,
        stamps=stamps,
    )


def manifest_json(folder: Path) -> dict[str, Any]:
    """Return the manifest as it stands in the file, which read_manifest has checked."""

    with open_plain(folder / MANIFEST_FILE) as stream:
        found: dict[str, Any] = json.loads(stream.read(MANIFEST_LIMIT))
    return found


def _entry(one: Entry) -> EntryShown:
    at, kind = str(one.event.get("at", "")), str(one.event.get("t", ""))
    return EntryShown(index=one.index, at=at, kind=kind, line=one.line.decode())


def _stamp(folder: Path, size: int) -> StampShown:
    try:
        token = read_answer((folder / "token.tsr").read_bytes())
    except (BadToken, OSError):
        return StampShown(authority=authority_of(folder), size=size, at="", accuracy_us=None)
    at = rfc3339(token.gen_time_us)
    return StampShown(authority=authority_of(folder), size=size, at=at, accuracy_us=token.accuracy_us)


def _sentences(
    archive: Archive, manifest: Manifest, sha256: str, version: Entry, stamps: list[StampShown]
) -> list[Sentence]:
    files, root = len(manifest.parts), base64.b64encode(archive.log.checkpoint.root).decode()
    said = [
        Sentence(
            kind="signed",
            words="The recorder signed a list of every file of this recording, with the SHA-256 of each.",
            values={"files": str(files), "sha256": sha256, "version": str(manifest.version)},
        ),
        Sentence(
            kind="entered",
            words="The hash of that list stands in the ledger, to which lines are only ever added.",
            values={"entry": str(version.index), "at": str(version.event.get("at", ""))},
        ),
        Sentence(
            kind="proven",
            words="That line is under the ledger's newest signed state: nobody can take it out unseen.",
            values={"size": str(archive.log.checkpoint.size), "root": root, "ledger": archive.key.name},
        ),
    ]
    told = [one for one in stamps if one.at]
    if told:
        first = min(told, key=lambda one: one.at)
        words = "An independent time stamping authority confirmed that state, and with it this recording."
        said.append(Sentence(kind="stamped", words=words, values={"authority": first.authority, "at": first.at}))
    else:
        words = "No independent time stamp covers it yet: that it was there at this time, only the recorder says."
        said.append(Sentence(kind="unstamped", words=words, values={}))
    return said
