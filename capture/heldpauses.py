"""Pauses that reach back into what waits for a gate: it was never on a disk, so it goes like what is not written yet.

Packets that wait were chosen at their own commit; a pause that was asked for later may begin before that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vittne.capture import record
from vittne.capture.calls import Call, Stream
from vittne.capture.media import FOREVER
from vittne.capture.pause import PAUSED
from vittne.capture.pausebook import PauseBook

Spans = dict[int, list[tuple[int, int]]]  # by a stream's number: from, until, ns UTC


def without_paused(call: Call, pieces: Sequence[bytes], book: PauseBook) -> tuple[list[bytes], int]:
    """Return released records less the packets that arrived in a pause of theirs, and how many those were.

    pieces: whole records; all of a piece are as long as its first. What goes is taken off what its stream stored.
    """
    streams = {stream.number: stream for stream in call.streams.values()}
    spans = {number: found for number, stream in streams.items() if (found := _spans(call, stream, book))}
    if not spans:
        return list(pieces), 0
    left: list[bytes] = []
    count = 0
    for piece in pieces:
        _, length, _, _, _ = record.HEADER.unpack_from(piece)
        width = record.HEADER_BYTES + -(-length // record.ALIGNMENT) * record.ALIGNMENT
        table = np.frombuffer(piece, np.uint8).reshape(-1, width)
        header = np.ascontiguousarray(table[:, : record.HEADER_BYTES]).view(record.RECORD)[:, 0]
        gone = _paused(header, spans)
        if not gone.any():
            left.append(piece)
            continue
        left += [table[~gone].tobytes()] if not gone.all() else []
        for number, packets in zip(*np.unique(header["stream"][gone], return_counts=True), strict=True):
            stream = streams[int(number)]
            stream.stored -= int(packets)
            stream.drop(PAUSED, int(packets))
            count += int(packets)
    return left, count


def _paused(header: npt.NDArray[np.void], spans: Spans) -> npt.NDArray[np.bool_]:
    gone = np.zeros(len(header), np.bool_)
    for number, some in spans.items():
        mine = (header["type"] == record.RTP) & (header["stream"] == number)
        for begin, end in some:
            gone |= mine & (header["at_ns"] >= begin) & (header["at_ns"] < end)
    return gone


def _spans(call: Call, stream: Stream, book: PauseBook) -> list[tuple[int, int]]:
    party = stream.session.call_id, stream.sender
    known = {note.pause.id: note.pause for note in call.pauses.values()}  # a gate may open long after the book forgot
    known |= {pause.id: pause for pause in book.of(call)}
    mine = (pause for pause in known.values() if call.is_paused_by(pause, party, stream.seat))
    return [(pause.from_at, pause.to_at if pause.ended_by else FOREVER) for pause in mine]
