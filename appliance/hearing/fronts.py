"""Many voices to frames at once: the steps that one voice needs (front.py), made for all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import BINS, F32, HOP, WINDOW, Frames, Front, Stretch, frames_in, power
from vittne.appliance.hearing.guard import Guard
from vittne.capture.columns import I64
from vittne.codecs.base import I16

_TOGETHER: Final = 1600  # frames, about: a bound of memory, and little more would be gained
_MOST_KEPT: Final = 2 * _TOGETHER

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Runs:
    """Frames of voices, one behind the other: each run is a part of the arrays. A voice may have several.

    power: (n, BINS), present: (n,), mono_ns: (n,) as in Frames. begins: where each run does, and the end.
    """

    each: list[Frames]
    power: F32
    present: F32
    mono_ns: I64
    begins: list[int]

    @property
    def frame(self) -> I64:
        """(n,) The number of each frame."""
        counts = np.diff(self.begins)
        first = np.array([run.first for run in self.each], np.int64) - self.begins[:-1]
        return np.repeat(first, counts) + np.arange(len(self.power))

    @staticmethod
    def of(each: Sequence[Frames]) -> Runs:
        """Return frames as runs; those of one are not copied."""
        begins = [0, *np.cumsum([len(one.power) for one in each]).tolist()]
        if len(each) == 1:
            return Runs(list(each), each[0].power, each[0].present, each[0].mono_ns, begins)
        power_, present = np.concatenate([one.power for one in each]), np.concatenate([one.present for one in each])
        return Runs(list(each), power_, present, np.concatenate([one.mono_ns for one in each]), begins)


@dataclass(frozen=True, slots=True)
class Packets:
    """n packets, all of a voice together: as in Sound."""

    number: npt.NDArray[np.int32]
    begin: I64
    length: I64
    at: I64
    mono_ns: I64

    def part(self, which: slice | Places) -> Packets:
        times = self.at[which], self.mono_ns[which]
        return Packets(self.number[which], self.begin[which], self.length[which], *times)

    def starts(self) -> Places:
        """Return where each voice begins, and the end."""
        edges = np.flatnonzero(self.number[1:] != self.number[:-1]) + 1
        return np.concatenate(([0], edges, [len(self.number)]))

    def is_odd(self, starts: Places) -> npt.NDArray[np.bool_]:
        """Return which voices are not one piece of sound, each packet behind the one before, in order of arrival."""
        odd = np.zeros(len(self.number), np.bool_)
        odd[1:] = self.at[1:] != self.at[:-1] + self.length[:-1]
        odd[1:] |= self.begin[1:] != self.begin[:-1] + self.length[:-1]
        odd[1:] |= self.mono_ns[1:] < self.mono_ns[:-1]
        odd[starts[:-1]] = False
        return np.asarray(np.logical_or.reduceat(odd, starts[:-1]))


@dataclass(slots=True)
class _Plain:
    """A voice whose packets follow what was fed before. samples: of the packets."""

    front: Front
    samples: I16
    first_packet: int
    last_packet: int

    @property
    def stretch(self) -> Stretch:
        count = frames_in(len(self.front.samples) + len(self.samples))
        parts = (self.front.samples, self.samples)
        return Stretch(self.front.number, self.front.frame, parts, np.ones(count, np.float32), _NOT_YET)


_NOT_YET: Final = np.zeros(0, np.int64)


class Fronts:
    """All voices' ways to frames."""

    def __init__(self) -> None:
        self._fronts: dict[int, Front] = {}
        self._line = np.zeros(_MOST_KEPT * HOP, np.float32)  # memory that is new each time costs as much as the work
        self._power = np.empty((_MOST_KEPT, BINS), np.float32)

    def feed(self, samples: I16, packets: Packets, guard: Guard) -> Iterator[Runs]:
        """Yield the frames that end in these packets, some voices at a time: good until the next ones are asked for."""
        if not len(packets.number):
            return
        starts = packets.starts()
        odd = packets.is_odd(starts).tolist()
        before = np.cumsum(packets.length) - packets.length
        group = (before[starts[:-1]] // (_TOGETHER * HOP)).tolist()
        edges = starts.tolist()
        first = 0
        for last in range(1, len(odd) + 1):
            if last == len(odd) or group[last] != group[first]:
                some = packets.part(slice(edges[first], edges[last]))
                bounds = [edge - edges[first] for edge in edges[first : last + 1]]
                runs = self._group(samples, some, bounds, odd[first:last], guard)
                if runs is not None:
                    yield runs
                first = last

    def forget(self, number: int) -> bool:
        """Forget a voice; whether it was known."""
        return self._fronts.pop(number, None) is not None

    def _group(self, samples: I16, packets: Packets, bounds: list[int], odd: list[bool], guard: Guard) -> Runs | None:
        found: list[Stretch | _Plain] = []
        numbers, ats = packets.number[bounds[:-1]].tolist(), packets.at[bounds[:-1]].tolist()
        monos, begins = packets.mono_ns[bounds[:-1]].tolist(), packets.begin[bounds[:-1]].tolist()
        sizes = np.add.reduceat(packets.length, bounds[:-1]).tolist()
        for voice, number in enumerate(numbers):
            front = self._fronts.get(number)
            if front is None:
                front = self._fronts[number] = Front(number)
            begin, end = bounds[voice], bounds[voice + 1]
            if not odd[voice] and front.came is None and ats[voice] == front.end and monos[voice] >= front.mono_ns:
                found.append(_Plain(front, samples[begins[voice] : begins[voice] + sizes[voice]], begin, end))
                continue
            some = packets.part(slice(begin, end))
            with guard.of(number):
                found += front.stretches(samples, some.begin, some.length, some.at, some.mono_ns)
        return self._made(found, packets) if found else None

    def _made(self, found: list[Stretch | _Plain], packets: Packets) -> Runs | None:
        """Return frames of all that was found, if there are any, and move the fronts of those that are plain."""
        stretches = [one.stretch if isinstance(one, _Plain) else one for one in found]
        sizes = [sum(len(part) for part in one.parts) for one in stretches]
        rows = np.array([-(-size // HOP) for size in sizes], np.intp)  # of HOP samples, that each takes
        row = np.cumsum(rows) - rows
        count = max(WINDOW // HOP + 1, int(rows.sum()))
        line = self._line[: count * HOP] if count <= _MOST_KEPT else np.zeros(count * HOP, np.float32)
        for begin, one in zip((row * HOP).tolist(), stretches, strict=True):
            at = begin
            for part in one.parts:
                line[at : at + len(part)] = part
                at += len(part)
        counts = np.array([len(one.present) for one in stretches], np.intp)
        begins = [0, *np.cumsum(counts).tolist()]
        which = np.repeat(row - begins[:-1], counts) + np.arange(begins[-1])
        mono_ns = _arrivals(found, packets, row * HOP, which, counts)
        out = self._power[: begins[-1]] if begins[-1] <= _MOST_KEPT else None
        found_power, present = power(line, which, out), np.concatenate([one.present for one in stretches])
        each = []
        for one, begin, end in zip(stretches, begins[:-1], begins[1:], strict=True):
            if end > begin:
                which_ = slice(begin, end)
                each.append(Frames(one.number, one.first, found_power[which_], present[which_], mono_ns[which_]))
        for voice, begin, size, more in zip(found, (row * HOP).tolist(), sizes, counts.tolist(), strict=True):
            if isinstance(voice, _Plain):
                front = voice.front
                front.samples = line[begin + more * HOP : begin + size].copy()
                front.frame += more
                front.mono_ns = int(packets.mono_ns[voice.last_packet - 1])
        return Runs(each, found_power, present, mono_ns, sorted(set(begins))) if each else None


def _arrivals(found: list[Stretch | _Plain], packets: Packets, at: Places, which: Places, counts: Places) -> I64:
    """Return (n,) the arrival of each frame. at: where each begins in the line; which: frames of the line."""
    mono_ns = np.empty(len(which), np.int64)
    is_plain = np.zeros(len(found), np.bool_)
    ends: list[I64] = []
    arrived: list[I64] = []
    begin = 0
    for place, (one, count) in enumerate(zip(found, counts.tolist(), strict=True)):
        if isinstance(one, _Plain):
            is_plain[place] = True
            part = slice(one.first_packet, one.last_packet)
            ends.append(packets.at[part] + (packets.length[part] + (int(at[place]) - one.front.frame * HOP)))
            arrived.append(packets.mono_ns[part])
        else:
            mono_ns[begin : begin + count] = one.mono_ns
        begin += count
    if ends:
        mine = np.repeat(is_plain, counts)
        places = np.searchsorted(np.concatenate(ends), which[mine] * HOP + WINDOW)
        mono_ns[mine] = np.concatenate(arrived)[places]
    return mono_ns
