"""Digits as sounds in G.711, heard a little ahead of what is written, so that a window can open before them.

Each packet is listened to once: those up to the horizon, and those of known flows just behind it. What is behind it
and belongs to no known flow yet is listened to when its flow is known. Sealed voices (SRTP) and other codecs are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.calls import Stream
from vittne.capture.columns import U8
from vittne.capture.digits import DigitWatch
from vittne.capture.inband import InbandTones, bursts
from vittne.capture.rtp import RtpRows, padding_lengths, payload_lengths

AHEAD_NS: Final = 160_000_000  # the window's 120 ms, and a digit's first 20 ms that only the next rows tell
_NO_LAW: Final = 255
_LAWS: Final = {"PCMU": 0, "PCMA": 1}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows begin to end - 1 are one flow's, and a stream's."""

    begin: int
    end: int
    stream: Stream


class ToneWatch:
    """Listens to flows and tells the digits' watch."""

    def __init__(self, watch: DigitWatch) -> None:
        self._watch = watch
        self._tones = InbandTones()
        self._heard_mono = np.zeros(1024, np.int64)  # by flow: up to when it was listened to

    def clear(self, flows: npt.NDArray[np.int32]) -> None:
        """Forget flows whose numbers are given anew."""
        known = flows[flows < len(self._heard_mono)]
        self._heard_mono[known] = 0
        self._tones.clear(flows)

    def listen(self, rows: RtpRows, flow: npt.NDArray[np.int32], pieces: Sequence[Piece], buffers: Buffers) -> None:
        """Listen to rows that were not listened to yet.

        rows, flow: n rows, all of a flow together, in order of arrival. pieces: those that are to be stored, in order.
        """
        law = _laws(rows, pieces)
        wanted = np.flatnonzero(law != _NO_LAW)
        if not len(wanted):
            return
        self._room(int(flow.max()) + 1)
        wanted = wanted[rows.mono_ns[wanted] > self._heard_mono[flow[wanted]]]
        wanted = wanted[_is_new(flow[wanted], rows.timestamp[wanted])]
        if not len(wanted):
            return
        some, flows = rows.take(wanted), flow[wanted]
        np.maximum.at(self._heard_mono, flows, some.mono_ns)
        size = payload_lengths(some, buffers)
        address = some.address + (some.length - size)
        size -= padding_lengths(some, buffers)
        found = self._tones.find(flows, law[wanted], address, size, some.timestamp, buffers)
        if found.any():
            self._tell(wanted[found], rows, pieces)

    def _room(self, flows: int) -> None:
        if flows > len(self._heard_mono):
            grow = max(len(self._heard_mono), flows - len(self._heard_mono))
            self._heard_mono = np.concatenate([self._heard_mono, np.zeros(grow, np.int64)])

    def _tell(self, marked: npt.NDArray[np.intp], rows: RtpRows, pieces: Sequence[Piece]) -> None:
        """Tell each run of marked packets as one digit."""
        for piece in pieces:
            mine = marked[(marked >= piece.begin) & (marked < piece.end)]
            if not len(mine):
                continue
            for begin, end in bursts(mine, rows.mono_ns):
                self._watch.note(piece.stream.call, begin, end, ("tone", piece.stream.ssrc), begin)


def _laws(rows: RtpRows, pieces: Sequence[Piece]) -> U8:
    """Return (n,) law of each row, 0 PCMU and 1 PCMA; 255 for what is not listened to."""
    law = np.full(len(rows), _NO_LAW, np.uint8)
    for piece in pieces:
        stream = piece.stream
        if not stream.is_kept or stream.crypto:
            continue
        part = law[piece.begin : piece.end]
        kind = rows.payload_type[piece.begin : piece.end]
        for number, which in _types(stream):
            part[kind == number] = which
    return law


def _types(stream: Stream) -> list[tuple[int, int]]:
    """Return the payload types that are G.711 in a stream, with their laws."""
    named = [(n, f) for n, f in stream.formats.items() if f.encoding.upper() in _LAWS and f.clock_rate == 8000]
    other = [(0, 0), (8, 1)]
    return [(n, w) for n, w in other if n not in stream.formats] + [(n, _LAWS[f.encoding.upper()]) for n, f in named]


def _is_new(flow: npt.NDArray[np.int32], timestamp: npt.NDArray[np.uint32]) -> Mask:
    """Return which rows do not repeat the one before them: a mirror shows some twice."""
    fresh = np.ones(len(flow), np.bool_)
    fresh[1:] = (flow[1:] != flow[:-1]) | (timestamp[1:] != timestamp[:-1])
    return fresh
