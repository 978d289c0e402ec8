"""Packets in which nobody looked for tones in time: stored and counted, or left out as a gap, as the profile says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture import record
from vittne.capture.calls import Call, Stream
from vittne.capture.columns import SECOND
from vittne.capture.handover import HEARD, REASONS, Codes
from vittne.capture.matching import Run
from vittne.capture.pause import NOT_ANALYSED, PausedStream
from vittne.capture.rtp import RtpRows
from vittne.capture.times import rfc3339

Mask = npt.NDArray[np.bool_]

KEPT: Final = "tones not searched"  # how counters begin that say why; what follows is one of REASONS
LEFT_OUT: Final = "left out, tones not searched"
_ONE_GAP_NS: Final = SECOND // 2  # packets left out nearer than this are one gap
_MOST_GAPS: Final = 256  # of one call in its report; all are in the recording


def unheard_rows(
    rows: RtpRows, runs: Sequence[Run], wanted: Mask, unheard: Codes | None, drops: bool, counters: Counter[str]
) -> Mask:
    """Return (n,) bool: wanted rows to be left out because nobody listened to them; count them, or those kept.

    runs: cover the rows in order. unheard: (n,) index into REASONS of each row.
    """
    if unheard is None:
        return np.zeros(len(rows), np.bool_)
    found: Mask = (unheard != HEARD) & wanted
    if not found.any():
        return found
    kinds = np.bincount(unheard[found], minlength=len(REASONS)).tolist()
    for reason, count in zip(REASONS, kinds, strict=True):
        if count:
            counters[f"{LEFT_OUT if drops else KEPT}: {reason}"] += count
    for run in runs:
        if run.stream is None:
            continue
        which = run.begin + np.flatnonzero(found[run.begin : run.end])
        if not len(which):
            continue
        if drops:
            run.stream.drop(NOT_ANALYSED, len(which))
            _note(run.stream, rows, which)
        else:
            run.stream.unheard += len(which)
    return found if drops else np.zeros(len(rows), np.bool_)


def _note(stream: Stream, rows: RtpRows, which: npt.NDArray[np.intp]) -> None:
    """Enter packets that are left out in the stream's gaps; the last one may go on in the next commit."""
    at_ns, seq = rows.at_ns[which].tolist(), rows.seq[which].tolist()
    apart = np.flatnonzero(np.diff(rows.at_ns[which]) > _ONE_GAP_NS) + 1
    for begin, end in zip([0, *apart.tolist()], [*apart.tolist(), len(which)], strict=True):
        gap = stream.unheard_gap
        if gap is None or at_ns[begin] - gap.last_at > _ONE_GAP_NS:
            _end_gap(stream)
            gap = stream.unheard_gap = PausedStream(0, at_ns[begin], seq[begin], 0, 0)
        gap.packets += end - begin
        gap.last_at, gap.last_seq = at_ns[end - 1], seq[end - 1]


def end_gaps(call: Call) -> None:
    """Write the gaps that are not written yet: the call is over."""
    for stream in call.streams.values():
        _end_gap(stream)


def _end_gap(stream: Stream) -> None:
    gap, stream.unheard_gap = stream.unheard_gap, None
    if gap is None:
        return
    call = stream.call
    body = {
        "reason": NOT_ANALYSED,
        "from_ns": gap.first_at,
        "to_ns": gap.last_at,
        "packets": gap.packets,
        "first_sequence": gap.first_seq,
        "last_sequence": gap.last_seq,
    }
    # Late in the queue, early in time: records say themselves when they are.
    call.signals.append((0, record.encode_json(record.GAP, gap.first_at, body, stream.number)))
    if len(call.gaps) < _MOST_GAPS:
        span = {"from": rfc3339(gap.first_at), "to": rfc3339(gap.last_at)}
        call.gaps.append({**span, "reason": NOT_ANALYSED, "party": stream.party})
