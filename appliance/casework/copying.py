"""A person's copy (subjects/personcopy.py) with the keys of its recordings: into a folder in memory."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Final

from vittne.appliance.bundle_command import open_archive
from vittne.appliance.casework.orders import CaseOrder, CopyDone
from vittne.appliance.evidence.contents import render_sound
from vittne.appliance.evidence.envelope import memory_file
from vittne.appliance.export import CannotExport, write_sound
from vittne.appliance.opened import OpenedRecording, folder_of
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import now_us
from vittne.appliance.subjects.finding import Found
from vittne.appliance.subjects.personcopy import CopyOptions, heard_of, masked, write_copy
from vittne.appliance.vcon.build import build
from vittne.appliance.vcon.export import KIND, form_of, proof_for
from vittne.codecs.base import NotDecodable

_BYTES_A_SECOND: Final = {"wav": 64_000, "flac": 40_000, "vcon": 24_000, "opus": 8_000, "mp3": 16_000}


def copy_into(order: CaseOrder, folder: Path, room: int) -> list[CopyDone]:
    """Write the copy; return what became of each recording. room: bytes that it may take. Raises StoreError."""
    data = Path(order.data)
    wanted = {one.recording: one for one in order.copies}
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        calls = {call.id: call for call in catalogue.get_all(list(wanted))}
    need = sum((call.duration_s or 0.0) for call in calls.values()) * _BYTES_A_SECOND[order.kind]
    if need > room:
        raise StoreError("it is too large to be put together in memory", order.recording, "leave some recordings out")
    found = [Found(calls[one.recording], "sure", "", one.party, one.shared) for one in order.copies]
    done: list[CopyDone] = []

    def tell(one: Found, result: str, words: str) -> None:
        done.append(CopyDone.model_validate({"recording": one.call.id, "result": result, "text": words}))

    def write(one: Found, options: CopyOptions, output: str) -> None:
        given = wanted[one.call.id]
        if given.refused:
            raise StoreError(given.refused, one.call.id, "")
        keys = {n: base64.b64decode(key) for n, key in given.keys.items()}
        with OpenedRecording(folder_of(data, one.call.folder, one.call.id), keys) as opened:
            _write(data, one, opened, options, Path(output))

    write_copy(data, found, folder, CopyOptions(order.kind, order.with_others), tell, write)
    return done


def _write(data: Path, one: Found, opened: OpenedRecording, options: CopyOptions, output: Path) -> None:
    party = heard_of(one, options)
    try:
        with output.open("xb") as stream:
            if options.kind == "vcon":
                stream.write(_vcon(data, one, opened, options, party))
            else:
                write_sound(opened, one.call, options.kind, stream, party, from_answer=True)
    except NotDecodable as error:
        output.unlink(missing_ok=True)
        raise CannotExport(error.reason, one.call.id, "choose another form") from error
    except OSError as error:
        output.unlink(missing_ok=True)
        raise explain(error, "write the copy", output) from error
    except StoreError:
        output.unlink(missing_ok=True)
        raise


def _vcon(data: Path, one: Found, opened: OpenedRecording, options: CopyOptions, party: str) -> bytes:
    archive = open_archive(data)
    call = one.call if options.with_others else masked(one.call, party)
    with memory_file() as stream:
        sound, _ = render_sound(opened, one.call, KIND, party, stream)
        stream.seek(0)
        whole = replace(sound, data=stream.read())
    return form_of(build(call, whole, proof_for(archive, call), now_us(), archive.key.name), archive.signing)
