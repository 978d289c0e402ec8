"""The process: reads an order, does it with one recording, and ends.

    python -m vittne.appliance.casework.child

It has no network in its hands, no key but those of the parts, and room for what is plain in memory only. Each order
loads what it needs: decoders take a second.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from vittne.appliance.casework.orders import LINE_LIMIT, CaseOrder, Head, Refused
from vittne.appliance.opened import OpenedRecording, folder_of
from vittne.appliance.seal.manifest import BadManifest
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is plain must never be on a disk
Begin = Callable[[Head], BinaryIO]  # writes the head; gives what the rest is written to


def main() -> int:
    """Do one order; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what is in memory files is removed
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak into the answer
    order = CaseOrder.model_validate_json(sys.stdin.buffer.readline(LINE_LIMIT))

    def begin(head: Head) -> BinaryIO:
        out.write(head.model_dump_json().encode() + b"\n")
        return out

    try:
        _DO[order.what](order, begin)
    except StoreError as error:
        begin(Head(refused=Refused(what=error.what, where=str(error.where), next_step=error.next_step)))
    except BadManifest as error:
        begin(Head(refused=Refused(what=f"the manifest {error}", where=order.recording, next_step="verify it")))
    out.flush()
    return 0


def _call(order: CaseOrder) -> CallRow:
    with Catalogue(Path(order.data) / CATALOGUE_FILE, read_only=True) as catalogue:
        return catalogue.get(order.recording)


def _calls(order: CaseOrder) -> list[CallRow]:
    with Catalogue(Path(order.data) / CATALOGUE_FILE, read_only=True) as catalogue:
        return [catalogue.get(one) for one in order.several]


def _opened(order: CaseOrder, call: CallRow) -> OpenedRecording:
    return OpenedRecording(folder_of(Path(order.data), call.folder, call.id), _keys(order))


def _keys(order: CaseOrder) -> dict[int, bytes]:
    return {n: base64.b64decode(key) for n, key in order.keys.items()}


def _ladder(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.casework.ladder import ladder_of  # noqa: PLC0415
    from vittne.appliance.signalling import read_signalling  # noqa: PLC0415

    call = _call(order)
    with _opened(order, call) as opened:
        found = ladder_of(call, read_signalling(opened), opened.problems)
    begin(Head()).write(found.model_dump_json().encode())


def _verify(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.seal.opener import GivenKeys  # noqa: PLC0415
    from vittne.appliance.seal.verify import verify  # noqa: PLC0415
    from vittne.appliance.verify_command import verdict_json  # noqa: PLC0415

    opener = GivenKeys(order.recording, _keys(order)) if order.keys else None
    verdict = verify(Path(order.data), order.recording, opener=opener)
    begin(Head()).write(json.dumps(verdict_json(verdict)).encode())


def _evidence(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.casework.proofs import evidence_of  # noqa: PLC0415

    found = evidence_of(Path(order.data), _call(order))
    begin(Head()).write(found.model_dump_json().encode())


def _pcap(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.packets import PacketIndex  # noqa: PLC0415
    from vittne.capture.pcapfile import write_pcap  # noqa: PLC0415

    with _opened(order, _call(order)) as opened:
        index = PacketIndex(opened)  # reads it through: what cannot be read is known before the first byte
        write_pcap(begin(Head(notes=opened.problems)), index.frames())


def _bundle(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.bundle_command import fill, open_archive, see_that_it_is_sealed  # noqa: PLC0415
    from vittne.appliance.evidence.bag import Bag, zip_folder  # noqa: PLC0415
    from vittne.appliance.evidence.contents import Wanted  # noqa: PLC0415

    data, found = Path(order.data), [_call(order)] if not order.several else _calls(order)
    for call in found:
        see_that_it_is_sealed(data, call)
    seconds = sum((call.duration_s or 0) for call in found)
    need = 2 * sum(call.size_bytes for call in found) + (4 * round(seconds * 48_000) if order.audio != "none" else 0)
    if need > shutil.disk_usage(_MEMORY).free // 2:
        raise StoreError("it is too large to be put together in memory", found[0].id, "use `vittne bundle` there")
    archive = replace(open_archive(data), keys={order.recording: _keys(order)})
    with tempfile.TemporaryDirectory(prefix="vittne-bundle-", dir=_MEMORY) as folder:
        bag = Bag(Path(folder))
        notes = fill(bag, archive, found, Wanted(order.audio, order.party, sealed=True))
        name = "recordings" if order.several else f"recording-{order.recording}"
        zip_folder(bag.top, name, begin(Head(notes=notes)))


def _vcon(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.bundle_command import open_archive  # noqa: PLC0415
    from vittne.appliance.evidence.contents import render_sound  # noqa: PLC0415
    from vittne.appliance.evidence.envelope import memory_file  # noqa: PLC0415
    from vittne.appliance.vcon.build import Sound, build  # noqa: PLC0415
    from vittne.appliance.vcon.export import KIND, form_of, proof_for  # noqa: PLC0415

    call, archive = _call(order), open_archive(Path(order.data))
    sound: Sound | None = None
    notes: list[str] = []
    if order.audio != "none":
        with _opened(order, call) as opened, memory_file() as stream:
            sound, notes = render_sound(opened, call, KIND, order.party, stream)
            stream.seek(0)
            sound = replace(sound, data=stream.read())
    made = build(call, sound, proof_for(archive, call), now_us(), archive.key.name)
    begin(Head(notes=notes)).write(form_of(made, archive.signing))


def _copy(order: CaseOrder, begin: Begin) -> None:
    from vittne.appliance.casework.copying import copy_into  # noqa: PLC0415
    from vittne.appliance.evidence.bag import zip_folder  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="vittne-copy-", dir=_MEMORY) as folder:
        top = Path(folder) / "copy"
        done = copy_into(order, top, shutil.disk_usage(_MEMORY).free // 2)
        zip_folder(top, "copy", begin(Head(copied=done)))


_DO: Final[dict[str, Callable[[CaseOrder, Begin], None]]] = {
    "ladder": _ladder,
    "verify": _verify,
    "evidence": _evidence,
    "pcap": _pcap,
    "bundle": _bundle,
    "vcon": _vcon,
    "copy": _copy,
}


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever asked has gone
        sys.exit(main())
