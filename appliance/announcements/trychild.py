"""The process that tries an announcement: it decodes what strangers made, so it is apart from the recorder.

    python -m vittne.appliance.announcements.trychild

It has no key but those of the recording that it searches, and what was uploaded is in memory only.
"""

from __future__ import annotations

import base64
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from vittne.appliance.announcements.trying import Tried, try_captures, try_opened, try_sound
from vittne.appliance.announcements.tryorders import LINE_LIMIT, TryCall, TryLine, TryOrder
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.opened import OpenedRecording, folder_of
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is plain must never be on a disk
_PIECE: Final = 1 << 20


def main() -> int:
    """Do one order; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what is in memory files is removed
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak into the answer
    order = TryOrder.model_validate_json(sys.stdin.buffer.readline(LINE_LIMIT))
    samples = np.frombuffer(base64.b64decode(order.samples), "<i2").astype(np.int16)
    reference = Reference(samples, order.required)
    try:
        found = _calls(order, reference) if order.where == "calls" else _uploaded(order, reference)
        for tried in found:
            _say(out, TryLine(tried=tried.as_json()))
    except StoreError as error:
        _say(out, TryLine(refused=error.what, further=error.next_step))
    return 0


def _say(out: BinaryIO, line: TryLine) -> None:
    out.write(line.model_dump_json().encode() + b"\n")
    out.flush()


def _calls(order: TryOrder, reference: Reference) -> Iterator[Tried]:
    data, detector = Path(order.data), Detector([reference])
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        while line := sys.stdin.buffer.readline(LINE_LIMIT):
            wanted = TryCall.model_validate_json(line)
            call = catalogue.get(wanted.recording)
            keys = {n: base64.b64decode(key) for n, key in wanted.keys.items()}
            try:
                with OpenedRecording(folder_of(data, call.folder, call.id), keys) as opened:
                    yield try_opened(opened, call, detector, order.window_s)
            except StoreError as error:
                yield Tried(call.id, call.started_us, problem=error.what)


def _uploaded(order: TryOrder, reference: Reference) -> Iterator[Tried]:
    with tempfile.TemporaryDirectory(prefix="vittne-try-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        path = Path(folder) / (Path(order.file).name[-80:] or "upload")
        with open(order.fd, "rb") as given, path.open("wb") as kept:
            given.seek(0)
            while piece := given.read(_PIECE):
                kept.write(piece)
        if order.where == "sound":
            yield try_sound(path, reference, order.window_s)
        else:
            yield from try_captures([str(path)], reference, order.window_s)


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever asked has gone
        sys.exit(main())
