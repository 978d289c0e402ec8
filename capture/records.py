"""Finding where the records of a capture file begin: each says only where the next one is.

Such a chain would have to be walked one record at a time, 70 ns each in Python. Two
guesses make it columns, and both are checked, so a wrong guess costs time and nothing else:

- a run: the next records are as long as this one (one codec, one packet size);
- lanes: a record begins at a place that looks like one. Many places spread over the chunk
  are walked at once, and a lane counts when the lane before it ends exactly where it began.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, U32, Bytes
from vittne.capture.gather import headers, windows

_RUN_WORTH: Final = 200  # records in a run that cost as little a record as lanes do
_LANE_BYTES: Final = 8_192
_MOST_LANES: Final = 512
_LEAST_LANES: Final = 8
_MOST_STEPS: Final = 1_024
_SEARCH: Final = 3_072  # two Ethernet frames: a record begins somewhere in there
_LEAST_STRIDE: Final = 12  # bytes in the shortest block of pcapng; keeps a walk over zeros moving


@dataclass(frozen=True, slots=True)
class Landmark:
    """What a record looks like from outside: where lanes may begin. One form of file has one.

    needle: bytes found at `needle_at` in every record near here.
    most: a record that claims a longer stride than this is none.
    """

    needle: bytes
    needle_at: int
    most: int


@dataclass(frozen=True, slots=True)
class Chain:
    """How records follow each other: stride = (number at length_at) + extra."""

    length_at: int
    extra: int
    header: int  # bytes of a record's header
    order: str  # "<" or ">"

    def walk(self, data: Bytes, start: int, stop: int, landmark: Landmark | None = None) -> tuple[I64, I64]:
        """Return (begin, stride), (n,) int64 each, of records whose header lies in data[start:stop].

        The last record may reach behind `stop`. Lengths are believed as they stand: the
        caller finds the first impossible one and throws away what follows from it.
        """
        if stop - start < self.header:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        begin = _Walk(self, data, stop, landmark).run(start)
        stride = self.lengths(data)[begin + self.length_at].astype(np.int64) + self.extra
        return begin, np.maximum(stride, _LEAST_STRIDE)

    def lengths(self, data: Bytes) -> U32:
        """Return a view: the number that would be a length field at any byte of data."""
        view: U32 = windows(data, np.dtype(self.order + "u4"))  # type: ignore[assignment]
        return view


class _Walk:
    """One walk from a known record on; limit is the last byte where a header still fits."""

    def __init__(self, chain: Chain, data: Bytes, stop: int, landmark: Landmark | None) -> None:
        self.chain = chain
        self.data = data
        self.limit = stop - chain.header
        self.landmark = landmark
        self.lengths = chain.lengths(data)

    def run(self, at: int) -> I64:
        parts: list[I64] = []
        start, records, most = at, 0, 64
        while at <= self.limit:
            if len(parts) >= 4 and records < _RUN_WORTH * len(parts):
                parts.extend(self.uneven(at, records / (at - start)))
                break
            part, at = self.even(at, most)
            parts.append(part)
            records += len(part)
            most = min(4 * most, 8_192) if len(part) == most else 64
        return np.concatenate(parts)

    def stride(self, at: int) -> int:
        return max(int(self.lengths[at + self.chain.length_at]) + self.chain.extra, _LEAST_STRIDE)

    def even(self, at: int, most: int) -> tuple[I64, int]:
        """Return records that are as long as the one at `at`, and where the next one begins."""
        stride = self.stride(at)
        count = min(most, (self.limit - at) // stride + 1)
        begin = np.arange(count, dtype=np.int64) * stride + at
        found = self.lengths[begin + self.chain.length_at]
        other = found != found[0]
        first = int(other.argmax())
        if other[first]:  # reached by the strides before it, so it is a record, of another length
            begin = begin[: first + 1]
        last = int(begin[-1])
        return begin, last + self.stride(last)

    def uneven(self, at: int, density: float) -> list[I64]:
        """Return all records from `at` on; density: records in a byte, as far as it is known.

        More lanes mean fewer steps, but each has to find its place: the root balances both.
        """
        room = self.limit - at
        lanes = min(_MOST_LANES, int((5 * density * room) ** 0.5), room // _LANE_BYTES)
        if self.landmark is None or lanes < _LEAST_LANES:
            return [self.one_by_one(at)[0]]
        starts = self.places(at, lanes, self.landmark)
        if len(starts) < lanes // 2:
            return [self.one_by_one(at)[0]]
        return self.joined(at, starts, self.lanes(starts))

    def one_by_one(self, at: int, until: frozenset[int] = frozenset()) -> tuple[I64, int]:
        """Walk to the end, or to a place in `until`; return the records passed and the place."""
        out = []
        number = struct.Struct(self.chain.order + "I").unpack_from
        data, length_at, extra, limit = (
            self.data.data,
            self.chain.length_at,
            self.chain.extra,
            self.limit,
        )
        while at <= limit and at not in until:
            out.append(at)
            stride = number(data, at + length_at)[0] + extra
            at += stride if stride > _LEAST_STRIDE else _LEAST_STRIDE
        return np.array(out, np.int64), at

    def places(self, at: int, lanes: int, landmark: Landmark) -> I64:
        """Return (m,) places where records seem to begin, rising, the first one `at` itself."""
        targets = np.linspace(at, self.limit, lanes, endpoint=False, dtype=np.int64)[1:]
        found = []
        for target in targets.tolist():
            window = self.data[target : target + _SEARCH].tobytes()
            hit = window.find(landmark.needle, landmark.needle_at)
            if hit >= 0:
                found.append(target + hit - landmark.needle_at)
        place = np.array(found, np.int64)
        place = place[place <= self.limit]
        place = place[self.plausible(place, landmark)]
        return np.unique(np.concatenate((np.array([at], np.int64), place)))

    def plausible(self, place: I64, landmark: Landmark) -> npt.NDArray[np.bool_]:
        """Which places have a possible length and, behind it, the landmark and a possible length again."""
        at, size = landmark.needle_at, len(landmark.needle)
        needle = np.frombuffer(landmark.needle, np.uint8)
        stride = self.lengths[place + self.chain.length_at].astype(np.int64) + self.chain.extra
        after = np.minimum(place + stride, self.limit)
        length = self.lengths[after + self.chain.length_at].astype(np.int64) + self.chain.extra
        marked = (headers(self.data, after + at, size) == needle).all(axis=1)
        good: npt.NDArray[np.bool_] = (stride <= landmark.most) & (
            (marked & (length <= landmark.most)) | (after == self.limit)
        )
        return good

    def lanes(self, starts: I64) -> I64:
        """Walk from all `starts` at once; return (steps, lanes): each lane's records, and what follows.

        A lane goes on into the next one's part until all lanes are through with theirs.
        """
        stops = np.append(starts[1:], self.limit + 1)
        lengths = self.lengths[self.chain.length_at :]
        steps = [starts]
        while len(steps) < _MOST_STEPS:
            for _ in range(8):
                stride = lengths[steps[-1]]
                if self.chain.extra < _LEAST_STRIDE:
                    np.maximum(stride, _LEAST_STRIDE, out=stride)
                at = steps[-1] + stride
                at += self.chain.extra
                steps.append(np.minimum(at, self.limit + 1, out=at))
            if (at >= stops).all():
                break
        return np.array(steps)

    def joined(self, at: int, starts: I64, path: I64) -> list[I64]:
        """Return the records from `at` to the end: lanes where they prove right, single steps elsewhere."""
        stops = np.append(starts[1:], self.limit + 1)
        count = (path < stops).sum(axis=0)
        reached = path[np.minimum(count, len(path) - 1), np.arange(len(starts))]
        if (reached == stops).all():
            return [path.T[(path < stops).T]]
        parts = []
        for lane, start in enumerate(starts.tolist()):
            if at < start:  # the lane before did not end here
                part, at = self.one_by_one(at, frozenset(starts[lane:].tolist()))
                parts.append(part)
            if at == start:
                parts.append(path[: count[lane], lane])
                at = int(reached[lane])
        parts.append(self.one_by_one(at)[0])
        return parts
