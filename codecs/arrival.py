"""From arrival times and RTP timestamps to places on one clock.

A packet's *transit* is its arrival minus its timestamp, both in seconds. While a
sender's clock runs on, the transit is constant but for delays, which only add:
the smallest transit of a while is the true one, and says where timestamp 0 lies on
the arrival clock. Timestamps give order and distance, arrivals give the anchor:

- a *line* is a run of packets with one anchor. A new one begins where the transit
  jumps and stays there: restarted timestamps, a hold over which they stood still;
- within a line the anchor is read again every ten seconds, and moved when it is off
  by more than 20 ms: that takes out the drift between two senders' clocks.

Two legs laid out so are at most a packet apart, for hours. Source: the arrival
model of RFC 3550 section 6.4.1, without its floating average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NS: Final = 1_000_000_000

COPY_NS: Final = NS
JUMP_S: Final = 0.06  # a transit that is off by more than this may be a new line
STAYS_S: Final = 3.0  # it is one when nothing in so many seconds comes back
_LOOK_BACK: Final = 500  # packets, bounds the work a hostile stream can cause
_LOOK_AHEAD: Final = 300
_GLANCE: Final = 10  # packets that must all be late before it is worth a look

_WINDOW_S: Final = 10.0
_WINDOW_PACKETS: Final = 50  # fewer give no reliable minimum
_SLIP_S: Final = 0.02
_FASTEST: Final = 0.002  # more than any clock is off
_HURRY_S: Final = 0.1

_ODD_CLOCK: Final = 0.1  # a sender's timestamps may be so far off, relatively, before they are checked
_FEW: Final = 10


@dataclass(slots=True)
class Lines:
    """Rows that are left, in the order in which they are heard. Columns have m <= n rows."""

    row: I64  # index into what was given
    line: I64  # number of the line
    anchor_ns: I64  # arrival clock, where offset 0 of the line lies; moves with drift
    offset: I64  # ticks since the line's first packet
    follows: Flags  # the row begins exactly where the row before it ends


def line_up(at_ns: I64, seq: I64, timestamp: I64, ticks: I64, clock_rate: I64) -> Lines:
    """Put the packets of one SSRC on the arrival clock.

    All columns (n,) int64: arrival, extended sequence number and timestamp, ticks in
    the payload, clock rate of its format (positive). Any order; repeated rows are left out.
    """
    arrival = _once(at_ns, seq, timestamp)
    at, seq, timestamp, ticks, clock = (column[arrival] for column in (at_ns, seq, timestamp, ticks, clock_rate))
    if not len(at):
        return Lines(at, at, at, at, np.zeros(0, np.bool_))
    timestamp = _honest(at, seq, timestamp, ticks, clock)
    at_s = (at - at[0]) / NS
    transit = at_s - timestamp / clock
    line = np.cumsum(_line_starts(at_s, seq, transit, clock), dtype=np.int64)

    order = np.lexsort((seq, timestamp, line))
    fresh = np.ones(len(order), np.bool_)
    same = [column[order][1:] == column[order][:-1] for column in (line, timestamp, seq)]
    fresh[1:] = ~np.logical_and.reduce(same)
    order = order[fresh]

    line, timestamp, ticks = line[order], timestamp[order], ticks[order]
    starts = np.flatnonzero(np.diff(line, prepend=-1))
    first = np.repeat(timestamp[starts], np.diff(np.append(starts, len(line))))
    offset = timestamp - first
    transit = transit[order] + first / clock[order]
    anchor = np.empty(len(line), np.float64)
    for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
        anchor[start:end] = _anchors(offset[start:end] / clock[order[start:end]], transit[start:end])
    anchor_ns = at[0] + np.rint(anchor * NS).astype(np.int64)

    follows = np.zeros(len(line), np.bool_)
    follows[1:] = (np.diff(line) == 0) & (np.diff(anchor_ns) == 0) & (offset[1:] == offset[:-1] + ticks[:-1])
    return Lines(arrival[order], line, anchor_ns, offset, follows)


def _once(at_ns: I64, seq: I64, timestamp: I64) -> I64:
    """Return the rows by arrival, without those that were already there within the last second.

    Later than that it is no copy: test callers play one file, with its old headers, again and again.
    """
    order = np.lexsort((at_ns, timestamp, seq))
    is_copy = np.zeros(len(order), np.bool_)
    same = (np.diff(seq[order]) == 0) & (np.diff(timestamp[order]) == 0)
    is_copy[1:] = same & (np.diff(at_ns[order]) < COPY_NS)
    rows = order[~is_copy]
    return np.asarray(rows[np.argsort(at_ns[rows], kind="stable")], np.int64)


def _honest(at: I64, seq: I64, timestamp: I64, ticks: I64, clock: I64) -> I64:
    """Return the timestamps, or ones counted from the sequence numbers where the sender's are nonsense.

    Seen in the field: timestamps that stand still, and G.722 counted at 16 kHz. They
    are replaced only when the arrivals agree with the payloads and not with them.
    """
    pairs = np.flatnonzero((np.diff(seq) == 1) & (ticks[:-1] > 0) & (np.diff(clock) == 0))
    if len(pairs) < _FEW:
        return timestamp
    said = float(np.median(np.diff(timestamp)[pairs] / ticks[:-1][pairs]))
    seen = float(np.median(np.diff(at)[pairs] / NS * clock[pairs] / ticks[:-1][pairs]))
    if abs(said - 1) <= _ODD_CLOCK or abs(seen - 1) >= abs(seen - said):
        return timestamp
    return np.asarray((seq - seq[0]) * int(np.median(ticks[:-1][pairs])), np.int64)


def _line_starts(at_s: F64, seq: I64, transit: F64, clock: I64) -> Flags:
    """Return (n,) bool in arrival order, True where a line begins. Row 0 begins one."""
    starts = np.zeros(len(at_s), np.bool_)
    starts[0] = True
    other_clock = np.diff(clock, prepend=clock[0]) != 0
    level = _least(transit, _LOOK_BACK, ahead=False)
    off = (_least(transit, _GLANCE, ahead=True) > level + JUMP_S) | (transit < level - JUMP_S)
    highest = np.maximum.accumulate(seq)
    start = 0
    for here in np.flatnonzero(off | other_clock).tolist():
        if other_clock[here]:
            # RFC 7160: the timestamps before and after have different units and cannot be compared.
            starts[here] = True
            start = here
            continue
        if here == start:
            continue
        usual = transit[max(start, here - _LOOK_BACK) : here].min()
        end = min(int(np.searchsorted(at_s, at_s[here] + STAYS_S)), here + _LOOK_AHEAD)
        ahead = transit[here:end]
        is_late_straggler = len(ahead) == 1 and seq[here] < highest[here]
        stays_up = ahead.min() > usual + JUMP_S and not is_late_straggler
        # Nothing arrives before it is sent: below the level is always another line.
        if stays_up or transit[here] < usual - JUMP_S:
            starts[here] = True
            start = here
    return starts


def _least(values: F64, count: int, ahead: bool) -> F64:
    """Return (n,) the least of each value and the next `count` - 1, or of the `count` before it.

    The first value has none before it and gets itself.
    """
    if ahead:
        padded = np.concatenate([values, np.full(count - 1, np.inf)])
    else:
        padded = np.concatenate([np.full(count, np.inf), values[:-1]])
        padded[count - 1] = values[0]
    windows = np.lib.stride_tricks.sliding_window_view(padded, count)
    return np.asarray(windows.min(axis=1), np.float64)


def _anchors(media_s: F64, transit: F64) -> F64:
    """Return (n,) the anchor at each packet of one line: its smallest transit, read window by window.

    media_s: seconds since the line began, ascending.
    """
    anchors = np.empty(len(media_s), np.float64)
    current, first, start = 0.0, 0.0, 0
    while start < len(media_s):
        end = int(np.searchsorted(media_s, media_s[start] + _WINDOW_S))
        end = max(end, start + _WINDOW_PACKETS)
        if len(media_s) - end < _WINDOW_PACKETS:
            end = len(media_s)
        least = float(transit[start:end].min())
        if start:
            # No crystal is that fast: the packets came in a rush (a file played at once) and keep their distance.
            least = max(least, first - _HURRY_S - _FASTEST * float(media_s[start]))
        else:
            first = least
        if start == 0 or abs(least - current) > _SLIP_S:
            current = least
        anchors[start:end] = current
        start = end
    return anchors
