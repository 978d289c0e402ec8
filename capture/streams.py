"""What is known of every flow of RTP: counts, loss, order, jitter, kept in arrays.

Rows come grouped by flow; a flow whose sequence numbers go up by one costs no statement
of its own. Only rows around a loss, a repeat or a change of order are looked at closer.
Sources: RFC 3550 sections 6.4.1, A.1, A.3, A.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64
from vittne.capture.rtp import RtpRows

MIRROR_WINDOW_NS: Final = 50_000_000  # DESIGN 11.8: the same packet within 50 ms is the mirror's doing
MAX_DROPOUT: Final = 3000  # RFC 3550 A.1: a larger step is a sender that started again
LATE_NS: Final = 200_000_000  # a packet this much after its turn would have missed any jitter buffer
_MISSING_LIMIT: Final = 512  # sequence numbers remembered as missing, a flow
_LOOK_BACK: Final = 512  # rows of a flow among which a mirror's copy is looked for
_PATIENCE: Final = 1_000_000  # about a microsecond each: what rows out of order may cost at once
_BEHIND_COST: Final = 40
_INT_FIELDS: Final = (
    "packets",
    "octets",
    "duplicates",
    "mirrored",
    "reordered",
    "late",
    "skipped",
    "first_at",
    "last_at",
    "last_mono",
    "base_ext",
    "max_ext",
    "last_ext",
    "last_timestamp",
    "timestamp_step",
    "payload_type",
)

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Tally:
    """The counts of one flow, as plain numbers. Times are ns UTC, timestamp_step ticks, jitter_ns ns."""

    packets: int
    octets: int
    duplicates: int
    mirrored: int
    reordered: int
    late: int
    lost: int
    first_at: int
    last_at: int
    timestamp_step: int
    jitter_ns: float
    payload_types: dict[int, int]  # packets of each; repeats count when there is more than one type


class StreamStates:
    """Counters of flows, by flow number."""

    def __init__(self) -> None:
        self._ints: dict[str, I64] = {name: np.zeros(1024, np.int64) for name in _INT_FIELDS}
        self._jitter = np.zeros(1024, np.float64)
        self._tick_ns = np.full(1024, 1e9 / 8000)
        self._types: dict[int, dict[int, int]] = {}  # only of flows that carried more than one
        self._missing: dict[int, dict[int, int]] = {}  # flow -> extended number -> when it was missed
        self._patience = _PATIENCE

    def _room(self, flows: int) -> None:
        size = len(self._jitter)
        if flows <= size:
            return
        grow = max(size, flows - size)
        for name, column in self._ints.items():
            self._ints[name] = np.concatenate([column, np.zeros(grow, np.int64)])
        self._jitter = np.concatenate([self._jitter, np.zeros(grow)])
        self._tick_ns = np.concatenate([self._tick_ns, np.full(grow, 1e9 / 8000)])

    def clear(self, flows: npt.NDArray[np.int32]) -> None:
        """Set flows back to nothing seen, because their numbers were given anew."""
        if not len(flows):
            return
        self._room(int(flows.max()) + 1)
        for column in self._ints.values():
            column[flows] = 0
        self._jitter[flows] = 0
        self._tick_ns[flows] = 1e9 / 8000
        for flow in flows.tolist():
            self._types.pop(flow, None)
            self._missing.pop(flow, None)

    def set_clock_rate(self, flow: int, clock_rate: int) -> None:
        self._room(flow + 1)
        self._tick_ns[flow] = 1e9 / clock_rate

    def last_mono(self, flow: int) -> int:
        return int(self._ints["last_mono"][flow])

    def packets_of(self, flow: int) -> int:
        return int(self._ints["packets"][flow])

    def sequence_of(self, flow: int) -> tuple[int, int]:
        """Return (first, highest) extended sequence number seen."""
        return int(self._ints["base_ext"][flow]), int(self._ints["max_ext"][flow])

    def tally(self, flow: int) -> Tally:
        """Return a copy of what is known of a flow."""
        get = {name: int(column[flow]) for name, column in self._ints.items()}
        expected = get["max_ext"] - get["base_ext"] + 1 - get["skipped"]
        types = dict(self._types.get(flow) or {get["payload_type"]: get["packets"]})
        return Tally(
            get["packets"],
            get["octets"],
            get["duplicates"],
            get["mirrored"],
            get["reordered"],
            get["late"],
            max(0, expected - get["packets"]) if get["packets"] else 0,
            get["first_at"],
            get["last_at"],
            get["timestamp_step"],
            float(self._jitter[flow]),
            types,
        )

    def update(self, rows: RtpRows, flow: npt.NDArray[np.int32], buffers: Buffers) -> Mask:
        """Take in rows that are grouped by flow and in arrival order inside each.

        rows, flow: n rows, flow numbers >= 0, those new to the table cleared before.
        buffers: where the rows' bytes are, to compare payloads that look repeated.
        Returns (n,) bool, False where the row is a mirror's copy of another one and is to be dropped.
        """
        if not len(rows):
            return np.ones(0, np.bool_)
        self._room(int(flow.max()) + 1)
        self._patience = _PATIENCE
        return self._take(rows, flow, buffers, again=False)

    def _take(self, rows: RtpRows, flow: npt.NDArray[np.int32], buffers: Buffers, again: bool) -> Mask:
        """See update. again: a mirror's copies were taken out, of what came before these rows too."""
        keep = np.ones(len(rows), np.bool_)
        start = np.flatnonzero(np.concatenate(([True], flow[1:] != flow[:-1])))
        step = self._steps(rows, flow, start)
        repeated = np.flatnonzero(step == 0)
        if len(repeated):
            copied = _same_packet(rows, buffers, repeated - 1, repeated)
            at_start = np.isin(repeated, start)
            copied[at_start] = False if again else self._same_as_last(rows, flow, repeated[at_start])
            copies = repeated[copied]
            if len(copies):
                keep[copies] = False
                np.add.at(self._ints["mirrored"], flow[copies], 1)
                kept = np.flatnonzero(keep)
                if len(kept):
                    keep[kept] = self._take(rows.take(kept), flow[kept], buffers, again=True)
                return keep
        self._count(rows, flow, start, step, keep, buffers)
        return keep

    def _same_as_last(self, rows: RtpRows, flow: npt.NDArray[np.int32], at: npt.NDArray[np.intp]) -> Mask:
        """Which first rows repeat the last packet of the batch before, whose bytes are gone by now."""
        last = {name: self._ints[name][flow[at]] for name in ("packets", "last_timestamp", "last_mono")}
        near = rows.mono_ns[at] - last["last_mono"] <= MIRROR_WINDOW_NS
        same: Mask = (last["packets"] > 0) & (rows.timestamp[at] == last["last_timestamp"]) & near
        return same

    def _steps(self, rows: RtpRows, flow: npt.NDArray[np.int32], start: npt.NDArray[np.intp]) -> I64:
        """Return (n,) how far each sequence number is from the one before it in its flow."""
        seq = rows.seq
        before = np.empty_like(seq)
        before[1:] = seq[:-1]
        heads = flow[start]
        known = self._ints["packets"][heads] > 0
        before[start] = np.where(known, self._ints["last_ext"][heads], seq[start].astype(np.int64) - 1) & 0xFFFF
        step = (seq - before).astype(np.int16).astype(np.int64)
        step[step < -MAX_DROPOUT] += 65_536  # a sender that started again, not a packet so late
        return step

    def _count(
        self,
        rows: RtpRows,
        flow: npt.NDArray[np.int32],
        start: npt.NDArray[np.intp],
        step: I64,
        keep: Mask,
        buffers: Buffers,
    ) -> None:
        ints = self._ints
        heads = flow[start]
        end = np.concatenate((start[1:], [len(flow)])) - 1
        number = end - start + 1
        new = ints["packets"][heads] == 0
        known_ext = np.where(new, rows.seq[start].astype(np.int64) + 65536 - 1, ints["last_ext"][heads])
        run = np.cumsum(step)
        ext = run + np.repeat(known_ext - (run[start] - step[start]), number)
        ints["base_ext"][heads] = np.where(new, ext[start], ints["base_ext"][heads])
        ints["first_at"][heads] = np.where(new, rows.at_ns[start], ints["first_at"][heads])
        self._count_types(rows, heads, start, number, new)
        self._take_jitter(rows, flow, start, step, number, new)
        highest = np.where(new, ext[start] - 1, ints["max_ext"][heads])
        odd = np.add.reduceat(step != 1, start) > 0
        odd |= ext[start] != highest + 1
        ints["max_ext"][heads] = np.maximum(highest, np.maximum.reduceat(ext, start))
        ints["packets"][heads] += number
        ints["octets"][heads] += np.add.reduceat(rows.length, start)
        ints["last_ext"][heads] = ext[end]
        ints["last_at"][heads] = rows.at_ns[end]
        ints["last_mono"][heads] = rows.mono_ns[end]
        ints["last_timestamp"][heads] = rows.timestamp[end]
        for place in np.flatnonzero(odd).tolist():
            piece = slice(int(start[place]), int(end[place]) + 1)
            self._walk(int(heads[place]), int(highest[place]), rows, ext, piece, keep, buffers)

    def _count_types(
        self, rows: RtpRows, heads: npt.NDArray[np.int32], start: npt.NDArray[np.intp], number: I64, new: Mask
    ) -> None:
        ints = self._ints
        low = np.minimum.reduceat(rows.payload_type, start)
        high = np.maximum.reduceat(rows.payload_type, start)
        ints["payload_type"][heads] = np.where(new, rows.payload_type[start], ints["payload_type"][heads])
        mixed = (low != high) | (low != ints["payload_type"][heads])
        for place in np.flatnonzero(mixed).tolist():
            flow = int(heads[place])
            types = self._types.setdefault(flow, {int(ints["payload_type"][flow]): int(ints["packets"][flow])})
            piece = rows.payload_type[start[place] : start[place] + number[place]]
            for kind, count in enumerate(np.bincount(piece).tolist()):
                if count:
                    types[kind] = types.get(kind, 0) + count
        if self._types:
            for place in np.flatnonzero(~mixed).tolist():
                known = self._types.get(int(heads[place]))
                if known is not None:
                    kind = int(low[place])
                    known[kind] = known.get(kind, 0) + int(number[place])

    def _take_jitter(
        self,
        rows: RtpRows,
        flow: npt.NDArray[np.int32],
        start: npt.NDArray[np.intp],
        step: I64,
        number: I64,
        new: Mask,
    ) -> None:
        """RFC 3550 A.8, J += (|D| - J) / 16, as one weighted sum a flow."""
        heads = flow[start]
        ticks = np.empty(len(flow), np.int64)
        ticks[1:] = (rows.timestamp[1:] - rows.timestamp[:-1]).astype(np.int32)
        ticks[start] = (rows.timestamp[start] - self._ints["last_timestamp"][heads].astype(np.uint32)).astype(np.int32)
        spent = np.empty(len(flow), np.int64)
        spent[1:] = np.diff(rows.at_ns)
        spent[start] = rows.at_ns[start] - self._ints["last_at"][heads]
        good = (step == 1) & (np.abs(ticks) < 1 << 20) & (ticks != 0)
        good[start] &= ~new
        apart = np.abs(spent - ticks * np.repeat(self._tick_ns[heads], number))
        good &= apart < 1e9
        seen = np.cumsum(good)
        last = seen[start + number - 1]
        before_first = seen[start] - good[start]
        age = np.repeat(last, number) - seen
        weight = np.where(good & (age < 400), (15 / 16) ** np.minimum(age, 400) / 16, 0.0)
        sums = np.add.reduceat(weight * np.where(good, apart, 0.0), start)
        self._jitter[heads] = self._jitter[heads] * (15 / 16) ** np.minimum(last - before_first, 400) + sums
        some = np.flatnonzero(good & (ticks > 0))
        if len(some):
            self._ints["timestamp_step"][flow[some]] = ticks[some]

    def _walk(
        self, flow: int, highest: int, rows: RtpRows, ext: I64, piece: slice, keep: Mask, buffers: Buffers
    ) -> None:
        """Repeats, gaps and order of one flow in which not every number is one up, run by run of those that are.

        highest: the highest number before these rows. A run costs one turn, and so does each row that is
        not above what was seen before it.
        """
        numbers = ext[piece]
        steps = np.diff(numbers, prepend=highest)
        behind = numbers <= np.maximum.accumulate(np.concatenate(([highest], numbers[:-1])))
        cost = int(np.clip(steps - 1, 0, _MISSING_LIMIT).sum()) + _BEHIND_COST * int(np.count_nonzero(behind))
        if cost > self._patience:
            self._walk_roughly(flow, highest, numbers)
            return
        self._patience -= cost
        cuts = (np.flatnonzero(steps[1:] != 1) + 1).tolist()
        for begin, end in zip([0, *cuts], [*cuts, len(numbers)], strict=True):
            first, last = int(numbers[begin]), int(numbers[end - 1])
            row = piece.start + begin
            for number in range(first, min(last, highest) + 1):
                self._behind(flow, number, row + number - first, rows, ext, piece, keep, buffers)
            if last > highest:
                self._note_gap(flow, highest, max(first, highest + 1), int(rows.mono_ns[row]))
                highest = last

    def _walk_roughly(self, flow: int, highest: int, numbers: I64) -> None:
        """As _walk, all numbers at once, for a flood: what is behind counts as out of order, whenever it was due."""
        ints = self._ints
        distinct = np.unique(numbers)
        repeats = len(numbers) - len(distinct)
        base = int(ints["base_ext"][flow])
        ints["packets"][flow] -= repeats
        ints["duplicates"][flow] += repeats
        ints["reordered"][flow] += np.count_nonzero(distinct <= highest)
        ints["base_ext"][flow] = min(base, int(distinct[0]))
        for line in ([*distinct[distinct < base], base], [highest, *distinct[distinct > highest]]):
            gaps = np.diff(line) - 1
            ints["skipped"][flow] += int(gaps[gaps >= MAX_DROPOUT].sum())
        self._missing.pop(flow, None)

    def _behind(
        self, flow: int, number: int, row: int, rows: RtpRows, ext: I64, piece: slice, keep: Mask, buffers: Buffers
    ) -> None:
        """A row that is not above all before it: late, out of order, or a repeat."""
        ints = self._ints
        mono_ns = int(rows.mono_ns[row])
        noticed = self._missing.get(flow, {}).pop(number, None)
        base = int(ints["base_ext"][flow])
        if noticed is not None:
            ints["reordered"][flow] += 1
            ints["late"][flow] += mono_ns - noticed > LATE_NS
        elif number < base:
            ints["reordered"][flow] += 1
            ints["base_ext"][flow] = number
            self._note_gap(flow, number, base, mono_ns)
        else:
            begin = max(piece.start, row - _LOOK_BACK)
            before = begin + np.flatnonzero(ext[begin:row] == number)
            copied = len(before) > 0 and bool(_same_packet(rows, buffers, before[-1:], np.array([row]))[0])
            keep[row] = not copied
            ints["mirrored" if copied else "duplicates"][flow] += 1
            ints["packets"][flow] -= 1

    def _note_gap(self, flow: int, last: int, following: int, mono_ns: int) -> None:
        """Remember last + 1 to following - 1 as missing, unless the sender must have jumped."""
        size = following - last - 1
        if size <= 0:
            return
        if size >= MAX_DROPOUT:
            self._ints["skipped"][flow] += size
            return
        missing = self._missing.setdefault(flow, {})
        for number in range(max(last + 1, following - _MISSING_LIMIT), following):
            missing[number] = mono_ns
        while len(missing) > _MISSING_LIMIT:
            del missing[next(iter(missing))]


def _same_packet(rows: RtpRows, buffers: Buffers, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> Mask:
    """Which pairs of rows are one packet seen twice: same bytes, at most MIRROR_WINDOW_NS apart."""
    same = (
        (rows.length[first] == rows.length[second])
        & (rows.timestamp[first] == rows.timestamp[second])
        & (np.abs(rows.mono_ns[second] - rows.mono_ns[first]) <= MIRROR_WINDOW_NS)
    )
    candidates = np.flatnonzero(same)
    lengths = rows.length[first[candidates]]
    for length in np.unique(lengths).tolist():
        group = candidates[lengths == length]
        left = buffers.take(rows.address[first[group]], length)
        right = buffers.take(rows.address[second[group]], length)
        same[group] = (left == right).all(axis=1)
    return np.asarray(same, np.bool_)
