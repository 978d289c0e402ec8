"""An imported vCon as records of a sealed part: the vCon's text and each file of sound, in records of their own types.

None of them is a packet, and none of what reads packets takes them for any.

    EVENT   {"event": "imported", ...}           what it is and what came, first of all
    VCON    pieces of the kept vCon, deflated    (zlib, RFC 1950), end to end
    EVENT   {"event": "media", "number": n, ...} what file of sound n is
    MEDIA   pieces of file n (the record's stream number), end to end
    META    as of every recording
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vittne.appliance.recorder import part_closed
from vittne.appliance.registrar import PartClosed
from vittne.appliance.seal import records
from vittne.appliance.seal.keptvcon import MEDIA, VCON
from vittne.appliance.seal.manifest import meta_body
from vittne.appliance.seal.part import PartWriter
from vittne.appliance.vcon.media import Media
from vittne.appliance.vcon.taking import Taken
from vittne.capture.record import encode_json

_PIECE: Final = 512 << 10
_HEAD: Final = ("from", "uuid", "form", "sha256", "bytes", "kept", "kept_sha256", "signature")


def write_part(folder: Path, taken: Taken, key: bytes) -> tuple[PartClosed, str]:
    """Write part 0 into a folder, durable; return it, and the hash of what it says of the call. Raises StoreError."""
    row = taken.row
    begin, end = row.started_us * 1000, (row.ended_us or row.started_us) * 1000
    writer = PartWriter(folder / "part-0.floe", row.id, 0, key, direct=False)
    head = {name: taken.imported[name] for name in _HEAD}
    try:
        writer.append([encode_json(records.EVENT, begin, {"event": "imported", **head})])
        for piece in _pieces(zlib.compress(taken.text, 6)):
            writer.append([records.encode(VCON, begin, piece)])
        for one in taken.media:
            _write_media(writer, one)
        meta = meta_body(row.as_json())
        summary = writer.finish([records.encode(records.META, end, meta)], end)
    except BaseException:
        writer.abandon()
        raise
    fd = os.open(writer.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return part_closed(summary, begin, end), hashlib.sha256(meta).hexdigest()


def _write_media(writer: PartWriter, one: Media) -> None:
    at_ns = one.start_us * 1000
    writer.append([encode_json(records.EVENT, at_ns, {"event": "media", **one.as_json()}, one.number)])
    for piece in _pieces(one.data):
        writer.append([records.encode(MEDIA, at_ns, piece, one.number)])


def _pieces(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        yield view[start : start + _PIECE]
