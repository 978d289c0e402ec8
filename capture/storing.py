"""What of a commit's packets is stored: voices of calls, and never a digit (DESIGN 6).

Digits are RFC 4733 events and tones, by the payload types that either party announced for them at the
packet's time; their copies in RFC 2198 redundancy; and packets of no announced type that have an event's
four bytes. Columns throughout; only redundancy is looked at packet by packet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.assemble import Packets
from vittne.capture.buffers import Buffers
from vittne.capture.calls import Call, Stream
from vittne.capture.columns import I64
from vittne.capture.digits import DigitWatch
from vittne.capture.handover import Codes
from vittne.capture.keeping import RecordKeeper
from vittne.capture.matching import Run
from vittne.capture.pause import DigitPolicy
from vittne.capture.pausebook import PauseBook
from vittne.capture.paused import quiet_rows
from vittne.capture.rtp import RtpRows, header_bytes, padding_lengths, payload_lengths
from vittne.capture.unheard import unheard_rows

Mask = npt.NDArray[np.bool_]

EVENT_BYTES: Final = 4  # RFC 4733 2.3
_NO_VOICE: Final = "rtp without signalling"


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is paused, who is told of digits, and what they mean for the audio around them."""

    book: PauseBook
    watch: DigitWatch
    policy: DigitPolicy
    gates: RecordKeeper
    drops_unheard: bool = False  # what nobody could listen to is left out


def store(
    rows: RtpRows,
    runs: Sequence[Run],
    keep: Mask,
    buffers: Buffers,
    counters: Counter[str],
    quiet: Quiet,
    unheard: Codes | None = None,
) -> list[tuple[Call, Packets]]:
    """Return calls with the packets to be stored of them; count what is left out.

    runs: cover the rows in order. keep: (n,) bool, False for a mirror's copies.
    quiet: what must not be stored of calls now. unheard: (n,) why nobody looked for tones, see handover.py.
    """
    calls: list[Call] = []
    places: dict[str, int] = {}
    call_of = np.full(len(runs), -1, np.int64)
    owned: list[tuple[int, Stream]] = []
    copies = not keep.all()
    for place, run in enumerate(runs):
        if run.stream is None or not run.stream.is_kept:
            count = int(np.count_nonzero(keep[run.begin : run.end])) if copies else run.end - run.begin
            counters[_NO_VOICE if run.stream is None else _refuse(run.stream, count)] += count
        else:
            call = run.stream.call
            call_of[place] = places.setdefault(call.id, len(calls))
            if call_of[place] == len(calls):
                calls.append(call)
            owned.append((place, run.stream))
    if not owned:
        return []
    number = np.array([run.end - run.begin for run in runs], np.int64)
    wanted = np.repeat(call_of >= 0, number) & keep
    digits = digit_rows(rows, runs, number, wanted, buffers)
    wanted &= ~digits
    if digits.any():
        _tell_digits(rows, runs, digits, quiet.watch)
    wanted &= ~quiet_rows(rows, runs, wanted, quiet.book, quiet.policy, buffers)
    wanted &= ~unheard_rows(rows, runs, wanted, unheard, quiet.drops_unheard, counters)
    wanted, hold = quiet.gates.sift(rows, runs, wanted)
    starts = np.cumsum(number) - number
    stored = np.add.reduceat(wanted, starts).tolist()
    dropped = np.add.reduceat(digits, starts).tolist()
    for place, stream in owned:
        stream.stored += stored[place]
        if dropped[place]:
            stream.drop("digits", dropped[place])
    if hold is not None:
        quiet.gates.wait(_records(rows, runs, number, hold, call_of, calls, buffers))
    return _records(rows, runs, number, wanted, call_of, calls, buffers)


def _tell_digits(rows: RtpRows, runs: Sequence[Run], digits: Mask, watch: DigitWatch) -> None:
    """Open the windows around digits; most were seen when they arrived, those in redundancy only now."""
    for run in runs:
        which = run.begin + np.flatnonzero(digits[run.begin : run.end]) if run.stream is not None else ()
        if not len(which) or run.stream is None:
            continue
        stream = run.stream
        for stamp in np.unique(rows.timestamp[which]).tolist():
            monos = rows.mono_ns[which[rows.timestamp[which] == stamp]]
            watch.note(stream.call, int(monos[0]), int(monos[-1]), ("rtp", stream.ssrc), stamp)


def _refuse(stream: Stream, packets: int) -> str:
    reason = "encrypted" if stream.encrypted else "media-not-kept"
    stream.drop(reason, packets)
    other = stream.call.other_media
    other[stream.kind] = other.get(stream.kind, 0) + packets
    return reason


def digit_rows(rows: RtpRows, runs: Sequence[Run], number: I64, wanted: Mask, buffers: Buffers) -> Mask:
    """Return (n,) bool: wanted rows that carry a digit."""
    kind = rows.payload_type
    found = _has_type(kind, [run.digit_types for run in runs], number) & wanted
    redundant = _has_type(kind, [run.redundant_types for run in runs], number) & wanted
    if redundant.any():
        run_of = np.repeat(np.arange(len(runs)), number)
        for row in np.flatnonzero(redundant).tolist():
            packet = buffers.bytes_at(int(rows.address[row]), int(rows.length[row]))
            found[row] = _redundancy_has(packet, runs[int(run_of[row])].digit_types)
    unknown = ~_has_type(kind, [run.known_types for run in runs], number) & wanted
    unknown &= rows.length < 64
    if unknown.any():
        which = np.flatnonzero(unknown)
        some = rows.take(which)
        size = payload_lengths(some, buffers)
        found[which] |= (size == EVENT_BYTES) | (size - padding_lengths(some, buffers) == EVENT_BYTES)
    return found


def _has_type(kind: npt.NDArray[np.uint8], types: Sequence[int], number: I64) -> Mask:
    """Return (n,) bool: which payload types are in their run's set, an int with a bit for each."""
    if not any(types):
        return np.zeros(len(kind), np.bool_)
    low = np.array([bits & 0xFFFFFFFF_FFFFFFFF for bits in types], np.uint64)
    high = np.array([bits >> 64 for bits in types], np.uint64)
    if (low == low[0]).all() and (high == high[0]).all():
        table = np.array([bool(types[0] >> n & 1) for n in range(128)])
        return np.asarray(table[kind], np.bool_)
    bits = np.where(kind >= 64, np.repeat(high, number), np.repeat(low, number))
    return np.asarray((bits >> (kind & 63).astype(np.uint64)) & np.uint64(1), np.bool_)


def _redundancy_has(packet: bytes, types: int) -> bool:
    """Whether a block of an RFC 2198 packet has one of these payload types."""
    at = header_bytes(packet) or len(packet)
    while at < len(packet):
        if types >> (packet[at] & 0x7F) & 1:
            return True
        if not packet[at] & 0x80:
            return False
        at += 4
    return False


def _records(
    rows: RtpRows,
    runs: Sequence[Run],
    number: I64,
    wanted: Mask,
    call_of: I64,
    calls: list[Call],
    buffers: Buffers,
) -> list[tuple[Call, Packets]]:
    stream_of = np.array([run.stream.number if run.stream is not None else 0 for run in runs], np.uint16)
    chosen = np.flatnonzero(wanted)
    call_column = np.repeat(call_of, number)[chosen]
    # A call's flows stand side by side, in the order the matcher gave them.
    if (call_column[1:] < call_column[:-1]).any():
        again = np.argsort(call_column, kind="stable")
        chosen, call_column = chosen[again], call_column[again]
    packets = Packets(
        rows.address[chosen],
        rows.length[chosen],
        rows.at_ns[chosen],
        np.repeat(stream_of, number)[chosen],
    )
    ends = np.cumsum(np.bincount(call_column, minlength=len(calls))).tolist()
    return [
        (call, packets.rows(slice(begin, end)))
        for call, begin, end in zip(calls, [0, *ends[:-1]], ends, strict=True)
        if end > begin
    ]
