"""A track as runs of packets to decode, each with its place on the output's sample clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.codecs.arrival import NS, line_up
from vittne.codecs.decoder import HIGHEST_RATE, LOWEST_RATE, NotDecodable, open_decoder
from vittne.codecs.formats import HEAD_BYTES, Format, is_voice, sample_rate, ticks, ticks_by_length
from vittne.codecs.packing import red_primary
from vittne.codecs.tracks import I64, U8, Note, PackedPayloads, Track

Flags = npt.NDArray[np.bool_]

_LONGEST_TICKS_S: Final = 2  # a payload that claims more is broken


@dataclass(slots=True)
class Plan:
    """What of a track is heard. Columns have m rows, in the order in which they are heard."""

    track: Track
    payloads: Sequence[bytes]  # of the track's rows; RED already taken off
    formats: list[Format]
    notes: list[Note]
    row: I64  # index into payloads
    format: I64  # index into formats
    line: I64  # packets of one line have comparable timestamps
    anchor_ns: I64
    offset: I64  # ticks since the line's first packet
    ticks: I64
    follows: Flags  # begins where the row before it ends
    lost: Flags  # sequence numbers are missing between the row before and this one

    def __len__(self) -> int:
        return len(self.row)

    def starts(self, from_ns: int, rate: int) -> I64:
        """Return (m,) int64, the sample at which each row begins, at `rate`, counted from `from_ns`."""
        clock = self._clock()
        # Two steps: within a line the distances are exact, whatever the anchor rounds to.
        anchor = ((self.anchor_ns - from_ns) * rate + NS // 2) // NS
        return np.asarray(anchor + self.offset * rate // clock, np.int64)

    def begins_ns(self) -> I64:
        """Return (m,) int64, when each row begins, ns UTC."""
        return np.asarray(self.anchor_ns + self.offset * NS // self._clock(), np.int64)

    def ends_ns(self) -> I64:
        """Return (m,) int64, when each row ends, ns UTC."""
        return np.asarray(self.anchor_ns + (self.offset + self.ticks) * NS // self._clock(), np.int64)

    def is_noise(self) -> Flags:
        """Return (m,) bool, True for comfort noise (RFC 3389)."""
        noise = np.array([not is_voice(format_) for format_ in self.formats], np.bool_)
        return np.asarray(noise[self.format], np.bool_)

    def rate(self) -> int:
        """Return the highest rate of samples among the formats that are in use; 0 when nothing is heard."""
        used = [self.formats[index] for index in np.unique(self.format).tolist()]
        return max((sample_rate(format_) for format_ in used if is_voice(format_)), default=0)

    def _clock(self) -> I64:
        clocks = np.array([format_.clock_rate for format_ in self.formats], np.int64)
        return np.asarray(clocks[self.format], np.int64)


def plan(track: Track) -> Plan:
    """Sort out what can be heard of a track, and say in notes what cannot."""
    payloads, formats, column = _without_red(track)
    heard, notes = _heard(track, formats, column)
    rows = np.flatnonzero(heard)
    length = _ticks(payloads, formats, column, rows)
    clocks = np.array([format_.clock_rate for format_ in formats] or [0], np.int64)[column[rows]]
    length[length > clocks * _LONGEST_TICKS_S] = 0
    lines = line_up(track.at_ns[rows], track.seq[rows], track.timestamp[rows], length, clocks)
    row = rows[lines.row]
    format_ = column[row]
    follows = lines.follows.copy()
    follows[1:] &= format_[1:] == format_[:-1]
    return Plan(
        track,
        payloads,
        formats,
        notes,
        row,
        format_,
        lines.line,
        lines.anchor_ns,
        lines.offset,
        length[lines.row],
        follows,
        _lost(track.seq, track.seq[row]),
    )


def _without_red(track: Track) -> tuple[Sequence[bytes], list[Format], I64]:
    """Return payloads, formats and format column with the primary block in place of each RED payload."""
    formats, column = track.format_column()
    red = [index for index, format_ in enumerate(formats) if format_.encoding.upper() == "RED"]
    rows = np.flatnonzero(np.isin(column, red))
    if not len(rows):
        return track.payloads, formats, column
    payloads = list(track.payloads)
    types = track.payload_type.copy()
    broken = []
    for row in rows.tolist():
        primary = red_primary(payloads[row])
        if primary is None:
            broken.append(row)
        else:
            types[row], payloads[row] = primary
    inner = Track(
        track.name,
        track.seat,
        track.side,
        track.ssrc,
        track.at_ns,
        track.seq,
        track.timestamp,
        types,
        payloads,
        track.formats,
    )
    formats, column = inner.format_column()
    column[broken] = -1
    return payloads, formats, column


def _heard(track: Track, formats: list[Format], column: I64) -> tuple[Flags, list[Note]]:
    """Return (n,) bool, the rows that have a place on the time line, and notes on the others.

    Digits (telephone-event) have none: silence is what they leave, without a note.
    """
    reasons: Counter[str] = Counter()
    heard = np.zeros(len(column), np.bool_)
    for index, format_ in enumerate(formats):
        mine = column == index
        name = format_.encoding.upper()
        if name == "CN" and LOWEST_RATE <= format_.clock_rate <= HIGHEST_RATE:
            heard |= mine
        elif is_voice(format_):
            try:
                open_decoder(format_)
            except NotDecodable as error:
                reasons[error.reason] += int(np.count_nonzero(mine))
            else:
                heard |= mine
    for payload_type in np.unique(track.payload_type[column < 0]).tolist():
        count = np.count_nonzero(track.payload_type[column < 0] == payload_type)
        reasons[f"payload type {payload_type} is not known"] += int(count)
    return heard, [Note(track.name, reason, count) for reason, count in sorted(reasons.items()) if count]


def _ticks(payloads: Sequence[bytes], formats: list[Format], column: I64, rows: I64) -> I64:
    """Return the ticks in the payload of each of the rows."""
    if isinstance(payloads, PackedPayloads):
        length = payloads.lengths()[rows]
    else:
        length = np.array([len(payloads[row]) for row in rows.tolist()], np.int64)
    count = np.zeros(len(rows), np.int64)
    for index in np.unique(column[rows]).tolist():
        mine = np.flatnonzero(column[rows] == index)
        format_ = formats[index]
        head = HEAD_BYTES.get(format_.encoding.upper())
        if head is not None and isinstance(payloads, PackedPayloads):
            count[mine] = _ticks_by_head(format_, payloads.heads(rows[mine], head), length[mine])
            continue
        if ticks_by_length(format_, 0) is None:
            count[mine] = [ticks(format_, payloads[row]) or 0 for row in rows[mine].tolist()]
            continue
        for size in np.unique(length[mine]).tolist():
            count[mine[length[mine] == size]] = ticks_by_length(format_, size) or 0
    return count


def _ticks_by_head(format_: Format, heads: U8, length: I64) -> I64:
    """Return (n,) int64, the ticks of payloads by their first bytes: there are few that differ."""
    size = heads.shape[1]
    said = np.minimum(length, size)
    for column in heads.T:
        said = said << 8 | column
    each, which = np.unique(said, return_inverse=True)
    count = []
    for one in each.tolist():
        known = one.to_bytes(size + 1, "big")
        count.append(ticks(format_, known[1 : 1 + known[0]]) or 0)
    return np.array(count, np.int64)[which]


def _lost(all_seq: I64, seq: I64) -> Flags:
    """Return (m,) bool, True where a sequence number between a row and the one before never came.

    all_seq: every packet of the track. Digits between two voice packets are no loss.
    """
    lost = np.zeros(len(seq), np.bool_)
    came = np.searchsorted(np.unique(all_seq), seq)
    lost[1:] = np.diff(seq) > np.diff(came)
    return lost
