"""Packets of a call that goes on to stereo sound, the caller left and the callee right (DESIGN 4).

Values in, values out: how far time has gone is said by what comes in. Sound is held back a moment (reach_ns): packets
overtake each other, a digit is heard only once it sounds, and a pause begins a little before it was asked for. What
turns out within it to be something that nobody may hear becomes silence. The time line never shrinks: what did not
come is silence of its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import DIGIT
from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.analysis.voices import Voices
from vittne.appliance.live.messages import AUDIBLE, CALLEE_PAUSED, CALLER_PAUSED, SoundBlock, Told
from vittne.appliance.live.reorder import Reorder
from vittne.capture.columns import SECOND
from vittne.capture.digits import AFTER_NS, BEFORE_NS
from vittne.capture.pause import PAUSED
from vittne.capture.tap import Span
from vittne.codecs.base import I16

_TAKEN_OVER_NS: Final = SECOND // 5  # a seat's voice that is silent for so long leaves it to another one
_OFF_SAMPLES: Final = RATE // 10  # a voice that lies so far from where it arrives is laid anew
_LEAP_SAMPLES: Final = 2 * RATE  # at once
_WATCHED_SAMPLES: Final = 5 * RATE  # so much of it decides
_MOST_BLOCK: Final = RATE  # samples
_MOST_AHEAD: Final = 60 * RATE
_MOST_MISSED: Final = 5
_MOST_HELD: Final = 20_000  # packets
_TOLD_NS: Final = 2 * SECOND


@dataclass(slots=True)
class _Packet:
    """Samples that wait to be heard, from a place on the line on."""

    voice: int
    side: int
    mono_ns: int
    at: int
    samples: I16


@dataclass(slots=True)
class _Voice:
    """Where a voice lies. anchor: place on the line of its own first sample."""

    anchor: int
    end: int = 0
    watched: int = 0
    least_late: int = 1 << 40
    missed: int = 0  # packets that came too late, one after the other


@dataclass(slots=True)
class LiveSound:
    """One call as one person hears it. mute: sides that they may not hear."""

    reach_ns: int
    mute: tuple[bool, bool] = (False, False)
    late: int = 0  # packets that came too late to be heard
    _begin_mono: int = -1
    _sent: int = 0  # samples
    _voices: Voices = field(default_factory=lambda: Voices(lambda _: None))
    _tones: ToneListener = field(default_factory=ToneListener)
    _reorder: Reorder = field(default_factory=Reorder)
    _placed: dict[int, _Voice] = field(default_factory=dict)
    _owner: dict[int, tuple[int, int]] = field(default_factory=dict)  # seat -> voice, and when it was heard last
    _held: list[_Packet] = field(default_factory=list)
    _digits: list[tuple[int, int]] = field(default_factory=list)  # windows around them, monotonic
    _seats: dict[int, int] = field(default_factory=dict)
    _quiet: dict[int, list[Span]] = field(default_factory=dict)

    def feed(self, told: Told) -> list[SoundBlock]:
        """Take in a turn; return what can be heard now."""
        if self._begin_mono < 0:
            if told.state in ("ended", "unknown"):
                return []
            self._begin_mono = told.upto_mono
        self._seats |= told.seats
        self._quiet |= told.quiet
        for number in told.seats.keys() - told.quiet.keys():
            self._quiet.pop(number, None)
        if told.state != "open":
            self._held.clear()
            self._reorder = Reorder()
        elif told.rows is not None:
            self._describe(told)
            self._reorder.put(told.rows)
        due = self._reorder.due(told.upto_mono)
        if due is not None:
            sound, _ = self._voices.decode(due)
            self._note_digits(sound, told)
            self._place(sound)
        return list(self._blocks(told))

    def _describe(self, told: Told) -> None:
        assert told.rows is not None
        fresh = [voice.number for voice in told.rows.voices if voice.is_new]
        if fresh:
            self._tones.forget(np.array(fresh, np.int32))
            for number in fresh:
                self._placed.pop(number, None)
        self._voices.describe(told.rows.voices)

    def _note_digits(self, sound: Sound, told: Told) -> None:
        """A digit in one voice is silent in both: what is keyed is heard again as an echo."""
        found = self._tones.hear(sound) if told.is_masked else []
        windows = [(one.begin_mono - BEFORE_NS, one.end_mono + AFTER_NS) for one in found if one.kind == DIGIT]
        since = told.upto_mono - self.reach_ns - _TOLD_NS
        self._digits = [one for one in [*self._digits, *windows] if one[1] > since]

    # Where it lies

    def _place(self, sound: Sound) -> None:
        ends = sound.begin + sound.length
        columns = (sound.number, sound.mono_ns, sound.at, sound.begin, ends)
        for number, mono, at, begin, end in zip(*(column.tolist() for column in columns), strict=True):
            seat = self._seats.get(number)
            if seat is None or not self._has_seat(seat, number, mono) or begin == end:
                continue
            place = self._laid(number, at, mono, end - begin)
            samples = sound.samples[begin:end]
            if place + len(samples) <= self._sent or len(self._held) >= _MOST_HELD:
                self.late += 1
                self._placed[number].missed += 1
                continue
            self._placed[number].missed = 0
            self._held.append(_Packet(number, seat & 1, mono, place, samples))

    def _has_seat(self, seat: int, number: int, mono: int) -> bool:
        """One voice a seat: the same one is often seen on two legs."""
        owner, last = self._owner.get(seat, (number, mono))
        if owner != number and mono - last < _TAKEN_OVER_NS:
            return False
        self._owner[seat] = number, mono
        return True

    def _laid(self, number: int, at: int, mono: int, samples: int) -> int:
        """Return where a packet lies: behind the one before by its timestamp, and near where it arrived."""
        arrived = (mono - self._begin_mono) * RATE // SECOND
        voice = self._placed.get(number)
        if voice is None or abs(arrived - voice.anchor - at) > _LEAP_SAMPLES or voice.missed >= _MOST_MISSED:
            voice = self._placed[number] = _Voice(arrived - at)
        voice.least_late = min(voice.least_late, arrived - voice.anchor - at)
        voice.watched += samples
        if voice.watched > _WATCHED_SAMPLES:  # two clocks that drift apart
            if abs(voice.least_late) > _OFF_SAMPLES:
                voice.anchor += voice.least_late
            voice.watched, voice.least_late = 0, 1 << 40
        place = max(voice.anchor + at, voice.end)
        voice.end = place + samples
        return place

    # What is heard

    def _blocks(self, told: Told) -> Iterator[SoundBlock]:
        upto = (told.upto_mono - self.reach_ns - self._begin_mono) * RATE // SECOND
        while self._sent < upto:
            count = min(upto - self._sent, _MOST_BLOCK)
            samples = self._mixed(count)
            mono_ns = self._begin_mono + self._sent * SECOND // RATE
            flags = AUDIBLE if told.state == "open" else 0
            flags |= CALLER_PAUSED * self._is_paused(0, mono_ns) | CALLEE_PAUSED * self._is_paused(1, mono_ns)
            yield SoundBlock(self._sent, mono_ns, flags, samples.tobytes())
            self._sent += count

    def _mixed(self, count: int) -> npt.NDArray[np.int16]:
        """Return the next samples, (count, 2)."""
        begin, end = self._sent, self._sent + count
        sides = np.zeros((count, 2), np.int32)
        left: list[_Packet] = []
        for packet in self._held:
            if self._is_quiet(packet):
                continue
            first, last = packet.at, packet.at + len(packet.samples)
            if first < end and last > begin and not self.mute[packet.side]:
                low, high = max(first, begin), min(last, end)
                sides[low - begin : high - begin, packet.side] += packet.samples[low - first : high - first]
            if end < last < begin + _MOST_AHEAD:
                left.append(packet)
        self._held = left
        return np.clip(sides, -32768, 32767).astype("<i2")

    def _is_quiet(self, packet: _Packet) -> bool:
        spans = self._quiet.get(packet.voice, ())
        return any(begin <= packet.mono_ns < end for begin, end, _ in spans) or any(
            begin <= packet.mono_ns < end for begin, end in self._digits
        )

    def _is_paused(self, side: int, mono_ns: int) -> bool:
        return any(
            begin <= mono_ns < end
            for number, spans in self._quiet.items()
            if self._seats.get(number, 0) & 1 == side
            for begin, end, why in spans
            if why == PAUSED
        )
