"""Which records of a stored recording a cut takes: what arrived in the span, or brings media that was due in it.

Behind the end of the span a packet is judged as behind that of a pause (capture/paused.py): by its RTP timestamp;
RFC 2198 blocks by theirs; Opus may carry the frame before; retransmission and parity go while anything of the span
may be in them. SIP, events and descriptions stay: they hold no audio and no digit's value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.opened import OpenedRecording
from vittne.appliance.playback import Playback, Stream
from vittne.appliance.rtprows import RtpRows
from vittne.appliance.seal import records
from vittne.appliance.store.errors import StoreError
from vittne.capture.columns import SECOND
from vittne.capture.paused import REACH_NS
from vittne.codecs.formats import STATIC, Format

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BOTH: Final = "both"
_OPUS_FRAME_NS: Final = 120_000_000  # the longest packet, RFC 6716 2.1.4
_REDUNDANT_TICKS: Final = 1 << 14  # how far RFC 2198 can reach back
_REPAIR: Final = frozenset({"RTX", "ULPFEC", "FLEXFEC", "PARITYFEC", "1D-INTERLEAVED-PARITYFEC", "RAPTORFEC"})
_JUMP_NS: Final = 10 * SECOND  # a sender began its timestamps anew
_DEFAULT: Final = Format("", 8000)


@dataclass(frozen=True, slots=True)
class Span:
    """What is to go: ns UTC, the end left out; of one party's streams, or of all."""

    from_ns: int
    to_ns: int
    party: str = BOTH


@dataclass(slots=True)
class StreamCut:
    """What goes of one stream."""

    number: int
    party: str
    ssrc: int
    packets: int
    from_ns: int  # arrival of the first packet that goes
    to_ns: int
    first_sequence: int
    last_sequence: int


@dataclass(slots=True)
class CutPlan:
    """All that goes. goes: rows of records by group, as OpenedRecording counts them."""

    span: Span
    streams: list[StreamCut]
    goes: dict[int, I64] = field(default_factory=dict)
    reports: int = 0  # RTCP
    parts: list[int] = field(default_factory=list)  # numbers of those that have a record that goes
    meta: bytes = b""  # body of the last META record

    @property
    def packets(self) -> int:
        """RTP packets that go."""
        return sum(stream.packets for stream in self.streams)


def plan_cut(opened: OpenedRecording, span: Span) -> CutPlan:
    """Look through a recording, without changing anything. Raises StoreError where not all of it can be read."""
    playback = Playback(opened)
    if opened.problems:
        raise StoreError(opened.problems[0], opened.id, "a damaged recording is not cut: `vittne verify` says more")
    numbers = {n for n, stream in playback.streams.items() if span.party in (BOTH, stream.party) or not stream.party}
    late = {n: _late(playback.streams[n], span, opened) for n in numbers}
    plan = CutPlan(span, [])
    found: dict[int, list[tuple[int, int]]] = {}  # by stream: (arrival, sequence number)
    for group, plain, rows in opened.read():
        mine = np.isin(rows.stream, list(numbers)) | (span.party == BOTH)
        inside = (rows.at_ns >= span.from_ns) & (rows.at_ns < span.to_ns)
        rtp, reports = mine & inside & (rows.type == records.RTP), _reports(rows, mine) & inside
        behind = [offset for places in late.values() for offset in places.get(group, ())]
        rtp |= (rows.type == records.RTP) & np.isin(rows.offset, behind)
        for row in np.flatnonzero(rows.type == records.META).tolist():
            plan.meta = plain[int(rows.offset[row]) : int(rows.offset[row] + rows.length[row])]
        gone = np.flatnonzero(rtp | reports)
        if not len(gone):
            continue
        plan.goes[group] = gone
        plan.reports += int(np.count_nonzero(reports))
        if opened.part_of(group) not in plan.parts:
            plan.parts.append(opened.part_of(group))
        for row in np.flatnonzero(rtp).tolist():
            at = int(rows.offset[row])
            sequence = int.from_bytes(plain[at + 2 : at + 4], "big")
            found.setdefault(int(rows.stream[row]), []).append((int(rows.at_ns[row]), sequence))
    for n, packets in sorted(found.items()):
        stream = playback.streams[n]
        (first, first_sequence), (last, last_sequence) = min(packets), max(packets)
        plan.streams.append(
            StreamCut(n, stream.party, stream.ssrc, len(packets), first, last, first_sequence, last_sequence)
        )
    return plan


def _reports(rows: records.Columns, mine: Mask) -> Mask:
    """Return the RTCP rows of the streams that are cut, and of none in particular."""
    return np.asarray((rows.type == records.RTCP) & (mine | (rows.stream == 0)), np.bool_)


def _late(stream: Stream, span: Span, opened: OpenedRecording) -> dict[int, list[int]]:
    """Return where packets lie that came behind the span and bring media of it: by group, the record's body."""
    if not stream.rows:
        return {}
    rows = RtpRows.joined(stream.rows).by_time()
    near = rows.take((rows.at_ns >= span.from_ns - REACH_NS) & (rows.at_ns < span.to_ns + REACH_NS))
    behind = near.at_ns >= span.to_ns
    if not behind.any():
        return {}
    formats = {n: _format(stream, n) for n in np.unique(near.payload_type).tolist()}
    due = near.at_ns - _lateness(near, formats)
    names = {f.encoding.upper() for spans in stream.formats.values() for f in (one.format for one in spans)}
    goes = behind & (due < span.to_ns + (_OPUS_FRAME_NS if "OPUS" in names else 0))
    for row in np.flatnonzero(behind & ~goes).tolist():
        format_ = formats[int(near.payload_type[row])]
        if format_.encoding.upper() in _REPAIR:
            goes[row] = True
        elif format_.encoding.upper() == "RED":
            ticks = _REDUNDANT_TICKS if stream.keys else _redundant_ticks(near, row, opened)
            goes[row] = int(due[row]) - ticks * SECOND // format_.clock_rate < span.to_ns
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(goes).tolist():
        found.setdefault(int(near.group[row]), []).append(int(near.packet[row]))
    return found


def _format(stream: Stream, payload_type: int) -> Format:
    spans = stream.formats.get(payload_type)
    found = spans[-1].format if spans else STATIC.get(payload_type, _DEFAULT)
    return found if found.clock_rate > 0 else _DEFAULT


def _lateness(rows: RtpRows, formats: dict[int, Format]) -> I64:
    """Return (n,) ns by which each packet is later than the least late one near it."""
    late = np.zeros(len(rows), np.int64)
    rates = np.array([formats[n].clock_rate for n in rows.payload_type.tolist()], np.int64)
    for rate in np.unique(rates).tolist():
        mine = np.flatnonzero(rates == rate)
        steps = np.diff(rows.timestamp[mine]).astype(np.int32).astype(np.int64)
        ticks = np.concatenate([[0], np.cumsum(steps)])
        against = rows.at_ns[mine] - int(rows.at_ns[mine[0]]) - ticks * SECOND // rate
        borders = np.flatnonzero(np.abs(np.diff(against)) > _JUMP_NS) + 1
        late[mine] = np.concatenate([piece - piece.min() for piece in np.split(against, borders)])
    return late


def _redundant_ticks(rows: RtpRows, row: int, opened: OpenedRecording) -> int:
    """Return how far back the oldest block of an RFC 2198 packet reaches."""
    start = int(rows.offset[row])
    payload = opened.plaintext(int(rows.group[row]))[start : start + int(rows.length[row])]
    farthest = at = 0
    while at + 4 <= len(payload) and payload[at] & 0x80:
        farthest = max(farthest, int.from_bytes(payload[at + 1 : at + 3], "big") >> 2)
        at += 4
    return farthest
