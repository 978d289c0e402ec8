"""Which packets of a commit lie in a pause, by arrival or by the time their media was due (DESIGN 11.6).

Media that comes late, again or redundantly would bring back what a pause left out: behind its end a packet is
judged by its RTP timestamp; RFC 2198 blocks by theirs; Opus may carry the frame before (RFC 6716 2.1.7); and
retransmission and parity are not stored while anything of the pause may be in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.calls import Call, Stream
from vittne.capture.columns import SECOND
from vittne.capture.matching import Run
from vittne.capture.pause import MUTED, PAUSED, DigitPolicy, MediaClock, Pause, PausedStream, PauseNote
from vittne.capture.pausebook import PauseBook
from vittne.capture.rtp import RtpRows, header_bytes

Mask = npt.NDArray[np.bool_]

REACH_NS: Final = 10 * SECOND  # media so late is beyond any jitter buffer or retransmission
_OPUS_FRAME_NS: Final = 120_000_000  # the longest packet, RFC 6716 2.1.4
_REDUNDANT_TICKS: Final = 1 << 14  # how far RFC 2198 can reach back
_JUMP_NS: Final = 10 * SECOND


def quiet_rows(
    rows: RtpRows,
    runs: Sequence[Run],
    wanted: Mask,
    book: PauseBook,
    policy: DigitPolicy,
    buffers: Buffers,
    *,
    tells: bool = True,
) -> Mask:
    """Return (n,) bool: wanted rows that a pause, or digits being keyed, leave out.

    runs: cover the rows in order. tells: their calls are told, for what is stored; False for what is only heard.
    """
    found = np.zeros(len(rows), np.bool_)
    for run in runs:
        stream = run.stream
        if stream is None:
            continue
        call, party = stream.call, (stream.session.call_id, stream.sender)
        pauses = [pause for pause in book.of(call) if call.is_paused_by(pause, party, stream.seat)]
        mutes = mutes_of(call, policy, pauses) if call.mutes else []
        if not pauses and not mutes:
            continue
        piece = slice(run.begin, run.end)
        some = _Some(rows.take(piece), stream, run, buffers)
        for pause in pauses:
            left_out = some.between(pause.from_mono, pause.to_mono) & wanted[piece] & ~found[piece]
            found[piece] |= left_out
            if tells and left_out.any():
                _note(stream, pause, rows, run.begin + np.flatnonzero(left_out))
        for begin, end in mutes:
            left_out = some.between(begin, end) & wanted[piece] & ~found[piece]
            found[piece] |= left_out
            if left_out.any():
                stream.drop(MUTED, int(np.count_nonzero(left_out)))
    return found


def mutes_of(call: Call, policy: DigitPolicy, pauses: Sequence[Pause]) -> list[tuple[int, int]]:
    """Return the windows around digits in which a policy leaves the audio out."""
    if policy == "mask":
        return call.mutes
    if policy == "keep":
        return []
    return [(begin, end) for begin, end in call.mutes if any(p.from_mono < end and begin < p.to_mono for p in pauses)]


class _Some:
    """Rows of one stream, and when their media was due."""

    def __init__(self, rows: RtpRows, stream: Stream, run: Run, buffers: Buffers) -> None:
        self._rows = rows
        self._stream = stream
        self._redundant = run.redundant_types
        self._buffers = buffers
        self._due = rows.mono_ns - _lateness(rows, stream)

    def between(self, begin: int, end: int) -> Mask:
        """Return (n,) bool: rows that arrived from begin to end, or bring media that was due there."""
        rows, stream = self._rows, self._stream
        inside = (rows.mono_ns >= begin) & (rows.mono_ns < end)
        behind = (rows.mono_ns >= end) & (rows.mono_ns < end + REACH_NS)
        if not behind.any():
            return inside
        inside |= behind & (self._due < end + carried_ns(stream))
        inside |= behind & _has_type(rows, stream.repair_types)
        for row in np.flatnonzero(behind & ~inside & _has_type(rows, self._redundant)).tolist():
            inside[row] = int(self._due[row]) - _redundant_ns(rows, row, stream, self._buffers) < end
        return inside


def _has_type(rows: RtpRows, types: int) -> Mask:
    if not types:
        return np.zeros(len(rows), np.bool_)
    table = np.array([bool(types >> number & 1) for number in range(128)])
    return np.asarray(table[rows.payload_type], np.bool_)


def carried_ns(stream: Stream) -> int:
    """How far behind a packet's own time its payload may reach back, whatever its type."""
    opus = any(format_.encoding.upper() == "OPUS" for format_ in stream.formats.values())
    return _OPUS_FRAME_NS if opus else 0


def farthest_redundant_ns(rate: int) -> int:
    """Return how far back RFC 2198 can reach."""
    return _REDUNDANT_TICKS * SECOND // rate


def _redundant_ns(rows: RtpRows, row: int, stream: Stream, buffers: Buffers) -> int:
    """Return how far back the oldest block of an RFC 2198 packet reaches; the farthest there is when it is sealed."""
    rate = stream.clock.rate if stream.clock is not None else 8000
    packet = buffers.bytes_at(int(rows.address[row]), int(rows.length[row]))
    at = None if stream.crypto else header_bytes(packet)
    farthest = _REDUNDANT_TICKS
    if at is not None:
        farthest = 0
        while at + 4 <= len(packet) and packet[at] & 0x80:
            farthest = max(farthest, int.from_bytes(packet[at + 1 : at + 3], "big") >> 2)
            at += 4
    return farthest * SECOND // rate


def _lateness(rows: RtpRows, stream: Stream) -> npt.NDArray[np.int64]:
    """Return (n,) ns by which each packet is later than the least late one of its stream so far.

    A sender that starts its timestamps anew gets a new clock.
    """
    format_ = stream.format_of(int(rows.payload_type[0]))
    rate = format_.clock_rate if format_ is not None and format_.clock_rate > 0 else 8000
    clock = stream.clock
    first = int(rows.mono_ns[0])
    if clock is None or clock.rate != rate:
        clock = stream.clock = MediaClock(int(rows.timestamp[0]), first, rate)
    late = _against(rows, clock)
    if abs(int(late[0]) - clock.least_ns) > _JUMP_NS:
        clock = stream.clock = MediaClock(int(rows.timestamp[0]), first, rate)
        late = _against(rows, clock)
    clock.least_ns = min(clock.least_ns, int(late.min()))
    return np.asarray(late - clock.least_ns, np.int64)


def _against(rows: RtpRows, clock: MediaClock) -> npt.NDArray[np.int64]:
    ticks = (rows.timestamp - np.uint32(clock.timestamp)).astype(np.int32).astype(np.int64)
    return np.asarray(rows.mono_ns - clock.mono_ns - ticks * SECOND // clock.rate, np.int64)


def _note(stream: Stream, pause: Pause, rows: RtpRows, which: npt.NDArray[np.intp]) -> None:
    """Enter packets that were left out in the note of the call."""
    stream.drop(PAUSED, len(which))
    note = stream.call.pauses.setdefault(pause.id, PauseNote(pause))
    first, last = int(which[0]), int(which[-1])
    seen = note.streams.get(stream.number)
    if seen is None:
        seen = note.streams[stream.number] = PausedStream(
            0, int(rows.at_ns[first]), int(rows.seq[first]), int(rows.at_ns[last]), int(rows.seq[last])
        )
    seen.packets += len(which)
    seen.last_at, seen.last_seq = int(rows.at_ns[last]), int(rows.seq[last])
