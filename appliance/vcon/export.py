"""`vittne export --format vcon`: a call as a vCon: signed, or signed and encrypted for a recipient, or plain JSON."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from vittne.appliance.bundle_command import open_archive
from vittne.appliance.evidence.contents import Archive, proof_of, render_sound
from vittne.appliance.evidence.envelope import memory_file, read_recipient
from vittne.appliance.looks import Look, Purpose, enter_look, refuse
from vittne.appliance.opened import open_recording
from vittne.appliance.outfile import STDOUT, whole_file
from vittne.appliance.seal.keptvcon import MOST_TEXT, KeptVcon
from vittne.appliance.seal.signing import SigningKey
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import clean
from vittne.appliance.vcon.build import Sound, build
from vittne.appliance.vcon.forms import encrypted, signed

KIND: Final = "wav"  # what section 4.3.8 names and every reader plays
_URL: Final = re.compile(r"https://[!-~]{1,2000}")


@dataclass(frozen=True, slots=True)
class VconOptions:
    """What was asked for. url: where the reader finds the sound; to: the recipient's certificate."""

    party: str = "both"
    with_audio: bool = False
    url: str = ""
    to: Path | None = None
    unsigned: bool = False
    purpose: Purpose = ""
    review: str = ""
    as_imported: bool = False


def export_vcon(data_dir: Path, call: CallRow, options: VconOptions, output: str, force: bool) -> int:
    """Write a call as a vCon; return the exit status. Raises StoreError; no half file is ever left."""
    if options.url and not _URL.fullmatch(options.url):
        raise StoreError("this is no address that a vCon may name", options.url[:100], "give one that begins https://")
    if options.unsigned and options.to is not None:
        raise StoreError("an encrypted vCon is signed first", output, "leave out --unsigned or --to")
    if call.state != FINISHED:
        raise StoreError("the call goes on", call.id, "wait for its end")
    recipient = read_recipient(options.to) if options.to is not None else None
    archive = open_archive(data_dir)
    if archive.signing is None and not options.unsigned:
        raise StoreError("the ledger's private key is not here", data_dir / "keys", "give --unsigned")
    if call.folder:
        look = Look(kind="export", recording=call.id, format="vcon", party=options.party, purpose=options.purpose)
        enter_look(data_dir, look.model_copy(update={"review": options.review}))
    else:
        refuse(call, options.purpose, options.review)  # it tells who spoke all the same
    if options.as_imported:
        return _as_imported(data_dir, call, output, force)
    sound, notes = _sound(data_dir, call, options)
    made = build(call, sound, proof_for(archive, call), now_us(), archive.key.name)
    text = form_of(made, None if options.unsigned else archive.signing)
    if recipient is not None:
        text = encrypted(text, recipient.certificate, str(made["uuid"]))
    with whole_file(output, force) as (stream, _):
        stream.write(text)
    for note in notes:
        print(f"note: {clean(note)}", file=sys.stderr)
    if output != STDOUT:
        print(f"{output}: vCon {made['uuid']}, {len(text)} bytes", file=sys.stderr)
    return 0


def _as_imported(data_dir: Path, call: CallRow, output: str, force: bool) -> int:
    """Write the vCon that a recording was made of, as it is kept: where nothing was cleaned out, byte for byte."""
    told = call.details.get("imported")
    if not isinstance(told, dict):
        raise StoreError("this recording was captured, not imported", call.id, "leave out --as-imported")
    kept = KeptVcon(MOST_TEXT)
    kept.keep = True
    try:
        with open_recording(data_dir, call.folder, call.id) as opened:
            for _, plain, rows in opened.read():
                kept.take(plain, rows)
    except ValueError as error:
        raise StoreError(str(error), call.id, "`vittne verify` says more") from error
    if kept.sha256() != told.get("kept_sha256"):
        raise StoreError("the vCon in it is not whole", call.id, "`vittne verify` says more")
    with whole_file(output, force) as (stream, _):
        stream.writelines(kept.pieces)
    if output != STDOUT:
        print(f"{output}: vCon {clean(told.get('uuid', ''))}, kept {clean(told.get('kept', ''))}", file=sys.stderr)
    return 0


def form_of(made: dict[str, Any], key: SigningKey | None) -> bytes:
    """Return a vCon as it is given away: signed when there is a key."""
    if key is not None:
        return signed(made, key)
    return json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"


def _sound(data_dir: Path, call: CallRow, options: VconOptions) -> tuple[Sound | None, list[str]]:
    if not options.with_audio and not options.url:
        return None, []
    with open_recording(data_dir, call.folder, call.id) as opened, memory_file() as stream:
        sound, notes = render_sound(opened, call, KIND, options.party, stream)
        notes += opened.problems
        if options.url:
            return replace(sound, url=options.url), notes
        stream.seek(0)
        return replace(sound, data=stream.read()), notes


def proof_for(archive: Archive, call: CallRow) -> dict[str, Any]:
    """Return what leads to the ledger; nothing for a call of which nothing was recorded."""
    if not call.folder:
        return {}
    version = archive.log.about([call.id]).version(call.id)
    return proof_of(archive, version, str(version.event["manifest"]))
