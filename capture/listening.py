"""Which voices are listened to, and how long: the first seconds of each, and on while a gate waits for what is said.

Nothing runs once a packet; each voice that is listened to is looked at once a turn. Not listened to: calls that rules
leave out, calls that were refused, and whatever lies in a pause: its packets are not handed over for it, and of those
that were (a pause may reach back) every finding is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, is_silent
from vittne.capture.columns import I64, SECOND
from vittne.capture.flows import Flow
from vittne.capture.heard import MOST_VOICES, NOT_ALL, Prompt, VoiceHeard
from vittne.capture.media import FOREVER
from vittne.capture.pausebook import PauseBook
from vittne.capture.sip.session import Session
from vittne.codecs.formats import Format

_TYPES: Final = 128
_RESTS: Final = 1  # as the end of a window: nothing is listened to now, and something may be later
_ONE_PACKET_NS: Final = 20_000_000
_MOST_STEP_NS: Final = 200_000_000  # between two packets of a voice that goes on
_UNTOLD_NS: Final = 5 * SECOND  # what was listened to so lately was not all told yet when a worker dies
_WAITING_GATES: Final = frozenset({"after-announcement", "after-consent"})
_NO_SOUND: Final = frozenset({"RTX", "ULPFEC", "FLEXFEC", "PARITYFEC", "1D-INTERLEAVED-PARITYFEC", "RAPTORFEC"})

LISTENED: Final = "voices listened to"  # a counter
TOO_LATE: Final = "too late"
NO_KEY: Final = "no key"
CODEC: Final = "codec"
EXCLUDED: Final = "excluded"
PAUSED: Final = "paused"
RESTARTED: Final = "restarted"
CHANGED: Final = "announcements changed"

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Heeded:
    """A voice that is listened to now, or may be again."""

    voice: VoiceHeard
    session: Session
    types: list[int]
    until_mono: int = 0  # of its own window
    is_spent: bool = False  # that is over


@dataclass(frozen=True, slots=True)
class Met:
    """A voice whose session is known. first_mono: its first packet's arrival; offset_ns: UTC less that."""

    number: int
    key: int
    ssrc: int
    session: Session
    sender: int
    first_mono: int
    offset_ns: int


class Listening:
    """See the module. window_ns: of each voice's beginning, and once more from its call's answer; 0: nothing."""

    def __init__(self, window_ns: int, book: CallBook, pauses: PauseBook, most_voices: int) -> None:
        self.voices = 0  # that were listened to since somebody took the count
        self.is_wanted = window_ns > 0
        self.is_awaited = False  # a gate waits for what is heard
        self.lacks = ""  # why announcements that count are not listened for now
        self.missing: tuple[Prompt, ...] = ()  # which these are, as far as it is known
        self.ended: list[int] = []  # numbers that are listened to no more, to be told
        self._window_ns = window_ns
        self._book = book
        self._pauses = pauses
        self._on: dict[int, _Heeded] = {}
        self._resting: dict[int, _Heeded] = {}
        self._voices: dict[int, VoiceHeard] = {}  # by number, of all whose findings may come
        self._paused: dict[int, list[tuple[int, int]]] = {}  # monotonic, from and until, of those that are on
        size = most_voices if self.is_wanted else 0
        self._types = np.zeros((size, _TYPES), np.bool_)
        self._until = np.zeros(size, np.int64)
        self._again_from = np.zeros(size, np.int64)  # the answer
        self._again_until = np.zeros(size, np.int64)

    # Which

    def meet(self, met: Met, formats: dict[int, Format], why: str = "") -> None:
        """A voice belongs to a call, or is described anew. why: what keeps it from being listened to at all."""
        call = self._book.call_of(met.session)
        if not self.is_wanted or call is None or call.closed:
            return
        was_on = met.number in self._on
        before = self._on.pop(met.number, None) or self._resting.pop(met.number, None)
        voice = call.heard.voices.get(met.key)
        if voice is None:
            if len(call.heard.voices) >= MOST_VOICES:
                call.heard.miss_one()
                return
            voice = VoiceHeard(met.key, met.session.call_id, met.sender, met.ssrc, met.first_mono, met.offset_ns)
            call.heard.voices[met.key] = voice
        voice.call_id, voice.sender = met.session.call_id, met.sender
        if before is not None and before.voice is not voice:
            self.ended.append(met.number)
        self._voices[met.number] = voice
        if why:
            voice.miss(why)
        self._types[met.number] = False
        heeded = _Heeded(voice, met.session, sorted(formats), voice.first_mono + self._window_ns)
        if before is not None and before.voice is voice:
            heeded.until_mono = max(heeded.until_mono, before.until_mono)
        if heeded.types:
            self._resting[met.number], self._until[met.number] = heeded, _RESTS
            self._wake(met.number, heeded, call)
        if was_on and met.number not in self._on and met.number not in self.ended:
            self.ended.append(met.number)

    def is_on(self, number: Flow) -> Mask:
        """Return (n,) bool: rows of voices that are listened to, or may be again; of whatever type they are."""
        return np.asarray(self._until[number] > 0)

    def hears(self, number: Flow, mono: I64, kind: npt.NDArray[np.uint8]) -> Mask:
        """Return (n,) bool: rows that are to be listened to. number, mono, kind: voice, arrival and payload type."""
        found: Mask = self._types[number, kind]
        if not found.any():
            return found
        again = (mono >= self._again_from[number]) & (mono < self._again_until[number])
        found &= (mono < self._until[number]) | again
        for one, spans in self._paused.items():
            for begin, end in spans:
                found &= ~((number == one) & (mono >= begin) & (mono < end))
        return found

    def extend(self, call: Call, until_mono: int) -> None:
        """Listen to a call on, until a time at least."""
        for number, heeded in self._on.items():
            if self._book.call_with(heeded.voice.call_id) is call:
                heeded.until_mono = max(heeded.until_mono, until_mono)
                self._until[number] = max(int(self._until[number]), until_mono)

    # Turns

    def prepare(self) -> None:
        """See what is to be listened to now, before rows are handed over."""
        for number, heeded in list(self._resting.items()):
            call = self._call_of(heeded)
            if call is None:
                del self._resting[number]
                self._until[number] = 0
            else:
                self._wake(number, heeded, call)
        self._paused.clear()
        self.is_awaited = False
        for number, heeded in self._on.items():
            call = self._call_of(heeded)
            if call is None or _is_shut(call):
                self._types[number] = False
                continue
            self._describe(number, heeded, call)
            self.is_awaited |= int(self._until[number]) >= FOREVER
            spans = self._pauses_on(call, heeded.voice) if len(self._pauses) else []
            if spans:
                self._paused[number] = spans
                heeded.voice.miss(PAUSED)
            for begin, end in spans:
                heeded.voice.cut(begin, end)

    def attend(self, now_mono: int) -> None:
        """See which voices are over, or have been listened to for long enough: rows up to now were handed over."""
        for number, heeded in list(self._on.items()):
            call = self._call_of(heeded)
            if call is None or not heeded.session.is_live:
                self._rest(number, heeded, comes_back=False)
            elif _is_shut(call):
                heeded.voice.miss(EXCLUDED)
                self._rest(number, heeded, comes_back=True)
            elif now_mono >= max(int(self._until[number]), int(self._again_until[number])):
                heeded.is_spent = True
                self._rest(number, heeded, comes_back=not _answered(call))

    def _pauses_on(self, call: Call, voice: VoiceHeard) -> list[tuple[int, int]]:
        party = voice.call_id, voice.sender
        seat = call.seats.get(voice.call_id, (0, 1))[voice.sender]
        pauses = self._pauses.of(call)
        return [(one.from_mono, one.to_mono) for one in pauses if call.is_paused_by(one, party, seat)]

    def _call_of(self, heeded: _Heeded) -> Call | None:
        call = self._book.call_with(heeded.voice.call_id)
        return None if call is None or call.closed else call

    def _wake(self, number: int, heeded: _Heeded, call: Call) -> None:
        """Begin to listen, if there is anything to listen to."""
        if _is_shut(call):
            heeded.voice.miss(EXCLUDED)
            return
        answered, to_mono = _answered(call), heeded.voice.to_mono + _MOST_STEP_NS
        has_more = not heeded.is_spent and to_mono < heeded.until_mono
        has_more = has_more or (answered > 0 and to_mono < answered + self._window_ns) or _waits(call)
        if not has_more:
            if answered:
                self._resting.pop(number, None)
                self._until[number] = 0
            return
        self._describe(number, heeded, call)
        self._resting.pop(number, None)
        self._on[number] = heeded
        self._types[number, heeded.types] = True

    def _describe(self, number: int, heeded: _Heeded, call: Call) -> None:
        """Enter from when to when a voice is listened to."""
        answered = _answered(call)
        self._until[number] = FOREVER if _waits(call) else heeded.until_mono
        self._again_from[number] = answered or FOREVER
        self._again_until[number] = answered + self._window_ns if answered else 0

    def _rest(self, number: int, heeded: _Heeded, *, comes_back: bool) -> None:
        self._types[number] = False
        self._until[number], self._again_until[number] = _RESTS if comes_back else 0, 0
        del self._on[number]
        self.ended.append(number)
        if comes_back:
            self._resting[number] = heeded

    # What became of it

    def listened(self, number: Flow, mono: I64) -> None:
        """Rows were handed over to be listened to."""
        order = np.argsort(number, kind="stable")
        number, mono = number[order], mono[order]
        starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
        steps = np.minimum(np.diff(mono, prepend=mono[:1]), _MOST_STEP_NS)
        steps[starts] = _ONE_PACKET_NS
        sums = np.add.reduceat(np.maximum(steps, 0), starts)
        firsts, lasts = mono[starts], mono[np.concatenate((starts[1:], [len(mono)])) - 1]
        columns = number[starts].tolist(), sums.tolist(), firsts.tolist(), lasts.tolist()
        for one, size, first, last in zip(*columns, strict=True):
            voice = self._voices.get(one)
            if voice is None or last <= voice.to_mono:  # given again, after a crash
                continue
            goes_on = voice.from_mono and first <= voice.to_mono
            voice.heard_ns += last - voice.to_mono if goes_on else size
            self.voices += not voice.from_mono
            voice.lack(self.lacks, self.missing)
            voice.from_mono = voice.from_mono or first
            voice.to_mono = last

    def missed(self, numbers: Iterable[int], why: str, lost_ns: int = 0) -> None:
        """Some of voices could not be listened to. lost_ns: how much of each, that was told as listened to."""
        for number in numbers:
            voice = self._voices.get(number)
            if voice is not None and (voice.to_mono or lost_ns == 0):
                voice.miss(why)
                voice.heard_ns = max(0, voice.heard_ns - lost_ns)

    def lack(self, missing: Iterable[Prompt]) -> None:
        """These announcements count as well, and cannot be listened for."""
        self.missing = tuple(dict.fromkeys((*self.missing, *missing)))
        self.lacks = self.lacks or (NOT_ALL if self.missing else "")

    def voice_of(self, number: int, begin_mono: int, end_mono: int) -> tuple[Call, VoiceHeard] | None:
        """Return whose a voice is in which something was heard; None when it is nobody's, or not of that time."""
        voice = self._voices.get(number)
        call = self._book.call_with(voice.call_id) if voice is not None else None
        if voice is None or call is None or call.closed or _is_shut(call):
            return None
        is_of_it = begin_mono >= voice.first_mono - SECOND and end_mono <= voice.to_mono + SECOND
        return (call, voice) if is_of_it else None

    def without_paused(self, call: Call, voice: VoiceHeard) -> None:
        """Forget what was heard of a voice in pauses that are known now."""
        for begin, end in self._pauses_on(call, voice) if len(self._pauses) else ():
            voice.cut(begin, end)

    def restarted(self, since_mono: int) -> None:
        """Who listened is gone. since_mono: what is in hand, and given again, begins there."""
        self.ended.clear()
        for heeded in self._on.values():
            if heeded.voice.from_mono and heeded.voice.from_mono < since_mono:
                heeded.voice.miss(RESTARTED)

    def changed(self) -> None:
        """Other announcements count from here on: who listens begins anew with every voice that is on."""
        for heeded in self._on.values():
            if heeded.voice.from_mono:
                heeded.voice.miss(CHANGED)

    def revive(self, now_mono: int) -> None:
        """Go on after a worker that died, with what it knew at a time: what it was hearing then is lost."""
        for call in self._book.calls.values():
            for voice in call.heard.voices.values():
                if voice.from_mono and voice.to_mono > now_mono - _UNTOLD_NS:
                    voice.miss(RESTARTED)

    def refuse(self, number: int) -> None:
        """Listen to a voice no more: it broke who listened."""
        heeded = self._on.get(number)
        if heeded is not None:
            heeded.voice.miss(CODEC)
            self._rest(number, heeded, comes_back=False)
        self._resting.pop(number, None)

    def forget(self, numbers: Iterable[int]) -> None:
        """These numbers mean nobody any more."""
        for number in numbers if self.is_wanted else ():
            heeded = self._on.get(number)
            if heeded is not None:
                self._rest(number, heeded, comes_back=False)
            self._resting.pop(number, None)
            self._voices.pop(number, None)
            self._until[number] = 0

    @property
    def voices_on(self) -> int:
        """How many voices are listened to now."""
        return len(self._on)


def is_voice(format_: Format) -> bool:
    """Whether there is something to listen to in packets of a format."""
    return not is_silent(format_) and format_.encoding.upper() not in _NO_SOUND


def _answered(call: Call) -> int:
    return min((s.answered_mono for s in call.sessions if s.answered_mono), default=0)


def _waits(call: Call) -> bool:
    """Whether a call's gate waits for something that is said in it."""
    last = call.keeping.last
    if last is None or last.excluded or last.rule.gate not in _WAITING_GATES:
        return False
    return call.keeping.state_of(last) == "closed"


def _is_shut(call: Call) -> bool:
    """Whether nothing of a call is stored any more."""
    last = call.keeping.last
    return last is not None and call.keeping.state_of(last) in ("excluded", "shut")
