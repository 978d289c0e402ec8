"""Streams that carry one voice twice: both legs of a B2BUA, a media relay seen on either side.

Capture marks what it can tell from the signalling. Here is looked at what was said: two streams of one party
are one voice when they hold the same payloads at nearly the same time, whatever SSRC and numbers they have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.codecs.tracks import Track

I64 = npt.NDArray[np.int64]

_NS: Final = 1_000_000_000
_NEAR_NS: Final = _NS  # a copy is left out so long before and after packets of the voice itself
_APART_NS: Final = _NS // 2  # a relay takes less
_PROBES: Final = 24  # payloads looked for
_SAME: Final = 0.8  # share of them that must be found: the rest was lost on one of the two
_FAR: Final = 1 << 62


def is_same_voice(voice: Track, other: Track) -> bool:
    """Say whether the other track repeats the voice, byte for byte, within half a second.

    Payloads that come again and again (silence) prove nothing and are passed over.
    """
    if not len(voice) or not len(other):
        return False
    rows = np.flatnonzero((other.at_ns > voice.at_ns[0]) & (other.at_ns < voice.at_ns[-1]))
    if len(rows) < _PROBES:
        return False
    found = looked = 0
    said: set[bytes] = set()
    for row in rows[np.linspace(0, len(rows) - 1, _PROBES, dtype=np.int64)].tolist():
        payload = other.payloads[row]
        if payload in said or len(set(payload)) < min(len(payload), 4):
            continue
        said.add(payload)
        looked += 1
        found += _says(voice, payload, int(other.at_ns[row]))
    return looked >= _PROBES // 3 and found >= _SAME * looked


def _says(voice: Track, payload: bytes, at_ns: int) -> bool:
    first, last = np.searchsorted(voice.at_ns, (at_ns - _APART_NS, at_ns + _APART_NS)).tolist()
    return any(voice.payloads[row] == payload for row in range(first, last))


def sort_out(tracks: list[Track]) -> tuple[list[Track], list[Track]]:
    """Return (voices, copies) of one party's tracks; of two that say the same the earlier is the voice."""
    voices: list[Track] = []
    copies: list[Track] = []
    for track in sorted((track for track in tracks if len(track)), key=lambda one: int(one.at_ns[0])):
        if any(is_same_voice(voice, track) for voice in voices):
            copies.append(track)
        else:
            voices.append(track)
    return voices, copies


def where_missing(track: Track, heard: I64) -> Iterator[Track]:
    """Yield the pieces of a copy during which the voice itself, packets at `heard` (ascending), is not there.

    Pieces, so that nothing is concealed between them as if it were lost.
    """
    after = np.searchsorted(heard, track.at_ns)
    padded = np.concatenate([[-_FAR], heard, [_FAR]])
    distance = np.minimum(track.at_ns - padded[after], padded[after + 1] - track.at_ns)
    rows = np.flatnonzero(distance > _NEAR_NS)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        if len(run):
            yield _piece(track, int(run[0]), int(run[-1]) + 1)


def _piece(track: Track, first: int, end: int) -> Track:
    return Track(
        track.name,
        track.seat,
        track.side,
        track.ssrc,
        track.at_ns[first:end],
        track.seq[first:end],
        track.timestamp[first:end],
        track.payload_type[first:end],
        track.payloads[first:end],
        track.formats,
    )
