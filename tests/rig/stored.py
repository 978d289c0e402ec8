"""What a recording holds, parts that a crash cut included: decrypted without the program's own playback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vittne.appliance.seal.keys import open_keys
from vittne.appliance.seal.part import PartReader
from vittne.appliance.seal.records import rtp_columns


def stored_plain(data: Path, call: dict[str, Any]) -> bytes:
    """Return all that a call's recording holds, decrypted: records of every kind."""
    return b"".join(_groups(data, call))


def stored_rtp(data: Path, call: dict[str, Any]) -> Iterator[bytes]:
    """Yield the RTP packets of a call's recording, as they were captured, in the order of storing."""
    for plain in _groups(data, call):
        rows = rtp_columns(plain)
        for offset, length in zip(rows.offset.tolist(), rows.length.tolist(), strict=True):
            yield bytes(plain[offset : offset + length])


def _groups(data: Path, call: dict[str, Any]) -> Iterator[bytes]:
    keys = open_keys(data)
    try:
        for path in sorted((data / call["folder"]).glob("part-*.floe")):
            number = int(path.stem.removeprefix("part-"))
            key = keys.data_key(call["id"], number)
            with PartReader(path, call["id"], number, key, finished=False) as part:
                yield from map(bytes, part.groups())
    finally:
        keys.close()


def stored_payloads(data: Path, call: dict[str, Any]) -> dict[int, list[bytes]]:
    """Return the payloads of a call by SSRC, in order of storing; RTP headers without extensions only."""
    found: dict[int, list[bytes]] = {}
    for packet in stored_rtp(data, call):
        found.setdefault(int.from_bytes(packet[8:12], "big"), []).append(packet[12:])
    return found
