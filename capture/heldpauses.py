"""Pauses that reach back into what waits for a gate: it was never on a disk, so it goes like what is not written yet.

Packets that wait were chosen at their own commit; a pause that was asked for later may begin before that. Behind its
end they are judged as paused.py does: by when their media was due, and by what they may carry along of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vittne.capture import record
from vittne.capture.calls import Call, Stream
from vittne.capture.columns import SECOND
from vittne.capture.media import FOREVER
from vittne.capture.pause import PAUSED
from vittne.capture.pausebook import PauseBook
from vittne.capture.paused import REACH_NS, carried_ns, farthest_redundant_ns

Mask = npt.NDArray[np.bool_]
Span = tuple[int, int]  # from, until, ns UTC
_RTP_BYTES = 12  # of a header: type in the second, timestamp in bytes 4 to 8


def without_paused(call: Call, pieces: Sequence[bytes], book: PauseBook) -> tuple[list[bytes], int]:
    """Return released records less the packets of a pause of theirs, and how many those were.

    pieces: whole records; all of a piece are as long as its first. What goes is taken off what its stream stored.
    """
    streams = {stream.number: stream for stream in call.streams.values()}
    spans = {number: found for number, stream in streams.items() if (found := _spans(call, stream, book))}
    if not spans:
        return list(pieces), 0
    tables = [_table(piece) for piece in pieces]
    gone = [np.zeros(len(table), np.bool_) for table in tables]
    for number, some in spans.items():
        _find(tables, gone, streams[number], some)
    left: list[bytes] = []
    for piece, table, out in zip(pieces, tables, gone, strict=True):
        if not out.any():
            left.append(piece)
        elif not out.all():
            left.append(table[~out].tobytes())
        for number, packets in zip(*np.unique(_header(table)["stream"][out], return_counts=True), strict=True):
            stream = streams[int(number)]
            stream.stored -= int(packets)
            stream.drop(PAUSED, int(packets))
    return left, sum(int(np.count_nonzero(out)) for out in gone)


def _find(tables: Sequence[npt.NDArray[np.uint8]], gone: Sequence[Mask], stream: Stream, spans: Sequence[Span]) -> None:
    """Mark the packets of one stream that lie in a pause, or bring some of it behind its end."""
    mine, at_ns, types, ticks = [], [], [], []
    for table in tables:
        header = _header(table)
        which = np.flatnonzero((header["type"] == record.RTP) & (header["stream"] == stream.number))
        if not len(which):
            mine.append(which)
            continue
        body = table[which, record.HEADER_BYTES : record.HEADER_BYTES + _RTP_BYTES]
        mine.append(which)
        at_ns.append(header["at_ns"][which])
        types.append(body[:, 1] & 0x7F)
        ticks.append(np.ascontiguousarray(body[:, 4:8]).view(">u4").reshape(-1).astype(np.uint32))
    if not at_ns:
        return
    at, kind = np.concatenate(at_ns).astype(np.int64), np.concatenate(types)
    reach = _due_from(stream, at, kind, np.concatenate(ticks))
    found = np.zeros(len(at), np.bool_)
    for begin, end in spans:
        found |= (at >= begin) & (at < end)
        found |= (at >= end) & (at - REACH_NS < end) & (reach < end)
    begin = 0
    for which, out in zip(mine, gone, strict=True):
        out[which] |= found[begin : begin + len(which)]
        begin += len(which)


def _due_from(
    stream: Stream, at: npt.NDArray[np.int64], kind: npt.NDArray[np.uint8], ticks: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """Return (n,) ns UTC from when on a packet may bring media; a sender that starts anew counts as late."""
    format_ = stream.format_of(int(kind[0]))
    rate = format_.clock_rate if format_ is not None and format_.clock_rate > 0 else 8000
    passed = (ticks - ticks[0]).astype(np.int32).astype(np.int64) * SECOND // rate
    late = (at - at[0]) - passed
    due = at - (late - int(late.min())) - carried_ns(stream)
    due[_has_type(kind, stream.redundant_types)] -= farthest_redundant_ns(rate)
    due[_has_type(kind, stream.repair_types)] = 0
    return np.asarray(due, np.int64)


def _has_type(kind: npt.NDArray[np.uint8], types: int) -> Mask:
    return np.array([bool(types >> number & 1) for number in range(128)])[kind]


def _table(piece: bytes) -> npt.NDArray[np.uint8]:
    _, length, _, _, _ = record.HEADER.unpack_from(piece)
    width = record.HEADER_BYTES + -(-length // record.ALIGNMENT) * record.ALIGNMENT
    return np.frombuffer(piece, np.uint8).reshape(-1, width)


def _header(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(table[:, : record.HEADER_BYTES]).view(record.RECORD)[:, 0]


def _spans(call: Call, stream: Stream, book: PauseBook) -> list[Span]:
    party = stream.session.call_id, stream.sender
    known = {note.pause.id: note.pause for note in call.pauses.values()}  # a gate may open long after the book forgot
    known |= {pause.id: pause for pause in book.of(call)}
    mine = (pause for pause in known.values() if call.is_paused_by(pause, party, stream.seat))
    return [(pause.from_at, pause.to_at if pause.ended_by else FOREVER) for pause in mine]
