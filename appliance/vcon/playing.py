"""The sound of an imported recording as tracks for the time line: decoded when somebody listens, at its own rate.

A track of linear samples (L16) stands for each channel and side. They came in no packets: they are cut into pieces of
20 ms because that is what the time line is made of.
"""

from __future__ import annotations

import json
import mmap
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vittne.appliance.seal import records
from vittne.appliance.seal.keptvcon import MEDIA
from vittne.appliance.vcon.apart import open_sound
from vittne.appliance.vcon.people import LEFT, RIGHT
from vittne.appliance.vcon.sound import MOST_CHANNELS, BadSound
from vittne.codecs.formats import Format
from vittne.codecs.tracks import FormatFrom, Note, PackedPayloads, Side, Track

_PIECES_A_SECOND: Final = 50
_PAYLOAD_TYPE: Final = 96
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _File:
    start_ns: int
    sides: tuple[int, ...]


class ImportedSound:
    """Where the files of sound of an opened recording are."""

    def __init__(self, plaintext: Callable[[int], bytes]) -> None:
        """plaintext: gives a group's records again by its number."""
        self._plaintext = plaintext
        self._files: dict[int, _File] = {}
        self._pieces: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # group, offset, length

    def take(self, number: int, plain: bytes, rows: records.Columns) -> None:
        """Take in a group of a recording, in order."""
        for row in (rows.type == records.EVENT).nonzero()[0].tolist():
            start = int(rows.offset[row])
            self._describe(plain[start : start + int(rows.length[row])])
        for row in (rows.type == MEDIA).nonzero()[0].tolist():
            place = (number, int(rows.offset[row]), int(rows.length[row]))
            self._pieces[int(rows.stream[row])].append(place)

    def tracks(self, notes: list[Note]) -> list[Track]:
        """Decode all files; what cannot be heard becomes a note."""
        found: list[Track] = []
        for number, file in sorted(self._files.items()):
            try:
                found += self._tracks(number, file)
            except BadSound as error:
                notes.append(Note(f"sound {number}", f"not decodable: {error}", 0))
        return found

    def _describe(self, body: bytes) -> None:
        try:
            said: Any = json.loads(body)
            if said.get("event") == "media":
                self._files[int(said["number"])] = _File(int(said["start_ns"]), tuple(map(int, said["sides"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return

    def _data(self, number: int) -> bytes:
        return b"".join(
            self._plaintext(group)[offset : offset + length] for group, offset, length in self._pieces[number]
        )

    def _tracks(self, number: int, file: _File) -> list[Track]:
        fds: list[int] = []
        lengths = 0
        try:
            with open_sound(self._data(number)) as (facts, pieces):
                # In memory, outside Python's own: an hour of it is some 60 MB a channel.
                fds = [os.memfd_create("vittne", os.MFD_CLOEXEC) for _ in range(min(facts.channels, MOST_CHANNELS))]
                for piece in pieces:
                    for channel, fd in enumerate(fds):
                        _write_all(fd, np.ascontiguousarray(piece[:, channel]).astype(">i2").tobytes())
                    lengths += len(piece)
            if not lengths:
                return []
            views = [memoryview(mmap.mmap(fd, lengths * 2, prot=mmap.PROT_READ)) for fd in fds]
        finally:
            for fd in fds:
                os.close(fd)
        tracks = []
        for channel, view in enumerate(views):
            sides = file.sides[channel] if channel < len(file.sides) else LEFT | RIGHT
            for mask, side in ((LEFT, Side.LEFT), (RIGHT, Side.RIGHT)):
                if sides & mask:
                    name = f"sound {number}, channel {channel + 1}"
                    tracks.append(_track(name, number, side, view, file.start_ns, facts.rate))
        return tracks


def _track(name: str, number: int, side: Side, samples: memoryview, start_ns: int, rate: int) -> Track:
    """Return samples (big endian, int16) as a track."""
    step = max(rate // _PIECES_A_SECOND, 1)
    first = np.arange(0, len(samples) // 2, step, dtype=np.int64)
    length = np.minimum(step, len(samples) // 2 - first) * 2
    return Track(
        name,
        int(side) + 1,
        side,
        number,
        start_ns + (first * _NS + rate // 2) // rate,
        np.arange(len(first), dtype=np.int64),
        first,
        np.full(len(first), _PAYLOAD_TYPE, np.uint8),
        PackedPayloads(samples, first * 2, length),
        {_PAYLOAD_TYPE: [FormatFrom(0, Format("L16", rate))]},
    )


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
