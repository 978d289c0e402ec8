"""Digits that are keyed in a call, seen as soon as they arrive, and what must not be stored around them.

A digit on any leg opens a mute window on every leg: its tone is also in the audio before the event is sent, and
comes back as an echo (COMPLIANCE 5). Windows are kept with the call, so that nothing of them is lost with a
worker. Only when digits were keyed is kept, never which. Sources: RFC 4733, RFC 6086 (INFO).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, Keyed, digit_types
from vittne.capture.columns import SECOND
from vittne.capture.rtp import RTP_HEADER_BYTES, FlowRows, RtpRows
from vittne.codecs.formats import STATIC

BEFORE_NS: Final = 120_000_000
AFTER_NS: Final = 600_000_000
_MERGE_NS: Final = 2 * SECOND
_ONE_TONE_NS: Final = 50_000_000
_MOST_WAITING: Final = 100_000
_CODE_PAUSE_NS: Final = 4 * SECOND  # between two digits of one feature code
_MOST_KEYING: Final = 10_000
_SYMBOLS: Final = "0123456789*#ABCD"  # RFC 4733 3.2
_EVENT_PACKET: Final = RTP_HEADER_BYTES + 4
_LONGEST: Final = 64
_MOST_WAYS: Final = 32  # of one call
_DISTINCT: Final = ("src", "sport", "dst", "dport", "ssrc", "timestamp", "payload_type")


@dataclass(frozen=True, slots=True)
class Burst:
    """Digits of one call that belong together. Monotonic ns of the first and the last."""

    first_mono: int
    last_mono: int
    count: int


@dataclass(slots=True)
class _Seen:
    """A packet that may be an event, and which digit of which flow it is part of."""

    mono_ns: int
    last_mono: int
    src: tuple[int, int]
    dst: tuple[int, int]
    ssrc: int
    timestamp: int
    payload_type: int
    event: int  # RFC 4733 3.2; never kept


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """A sequence of digits was keyed in a call by somebody."""

    call: Call
    digits: str
    source: int  # address key
    user: str  # of who keyed it
    at_mono: int
    seat: int = -1  # where who keyed it sits


class DigitWatch:
    """Finds digits among arriving packets and tells the calls."""

    def __init__(self, book: CallBook) -> None:
        self._book = book
        self._waiting: list[_Seen] = []
        self.touched: dict[str, Call] = {}  # calls with digits since somebody took them
        self.feature_codes: tuple[str, ...] = ()  # sequences to look for; without any, no digit's value is looked at
        self._keys: dict[tuple[object, ...], tuple[str, int]] = {}  # the last few of who may key such a sequence
        self._codes: list[FeatureCode] = []

    def __getstate__(self) -> dict[str, object]:
        """Leave out values of digits."""
        return {**self.__dict__, "_waiting": [], "_keys": {}, "_codes": []}

    def feed(
        self,
        rows: RtpRows,
        whose: FlowRows,
        first: npt.NDArray[np.uint8],
        event: npt.NDArray[np.uint8],
        counters: Counter[str],
    ) -> None:
        """Take in the RTP of a block. first: (n,) first byte of each header; event: first byte behind a plain one."""
        size = rows.length
        maybe = size == _EVENT_PACKET
        maybe |= (size > _EVENT_PACKET) & (size < _LONGEST) & ((first & 0x3F) != 0)  # padding, extension or CSRCs
        if not maybe.any():
            return
        which = np.flatnonzero(maybe)
        columns = {name: getattr(whose if hasattr(whose, name) else rows, name)[which] for name in _DISTINCT}
        one_each, last_each = _ends_of_each(columns)
        if len(self._waiting) + len(one_each) > _MOST_WAITING:
            counters["digits flood"] += len(one_each)
            return
        lists = [columns[name][one_each].tolist() for name in _DISTINCT]
        events = event[which[one_each]].tolist() if self.feature_codes else [0] * len(one_each)
        firsts, lasts = (rows.mono_ns[which[each]].tolist() for each in (one_each, last_each))
        for first_mono, last_mono, value, src, sport, dst, dport, ssrc, timestamp, payload_type in zip(
            firsts, lasts, events, *lists, strict=True
        ):
            self._waiting.append(
                _Seen(first_mono, last_mono, (src, sport), (dst, dport), ssrc, timestamp, payload_type, value)
            )

    def forget_waiting(self) -> None:
        """Drop packets whose calls are not known yet: they will be read again."""
        self._waiting = []

    def settle(self, horizon_mono: int) -> None:
        """Give digits to their calls; one whose call is not known by the time its packets are written is nobody's."""
        waiting, self._waiting = self._waiting, []
        for seen in waiting:
            call, is_digit, user, seat = _owner(self._book, seen)
            if call is None and seen.mono_ns > horizon_mono:
                self._waiting.append(seen)
            elif call is not None and is_digit:
                is_new = self.note(call, seen.mono_ns, seen.last_mono, ("rtp", seen.ssrc), seen.timestamp)
                if is_new and self.feature_codes and seen.event < len(_SYMBOLS):
                    self.press(call, _SYMBOLS[seen.event], seen.src[0], user, seen.mono_ns, seat)

    def press(self, call: Call, symbol: str, source: int, user: str, mono_ns: int, seat: int = -1) -> None:
        """Look whether a digit completes a feature code of who keyed it. Few are remembered, and in memory only."""
        who = call.id, source, user
        before, last = self._keys.get(who, ("", 0))
        keys = (before if mono_ns - last < _CODE_PAUSE_NS else "") + symbol
        codes = [code for code in self.feature_codes if keys.endswith(code)]
        self._codes += [FeatureCode(call, code, source, user, mono_ns, seat) for code in codes]
        longest = max(map(len, self.feature_codes))
        self._keys[who] = keys[-longest:], mono_ns
        while len(self._keys) > _MOST_KEYING:
            self._keys.pop(next(iter(self._keys)))

    def take_codes(self) -> list[FeatureCode]:
        """Return the feature codes that were keyed since the last time; and forget digits that none will follow."""
        codes, self._codes = self._codes, []
        return codes

    def note(self, call: Call, mono_ns: int, last_mono: int, way: tuple[object, ...], mark: object) -> bool:
        """Say that a digit was keyed, and until when; return whether it is a new one.

        way: how it came; mark: the same for all packets of one digit.
        """
        related = (self._book.calls.get(name) for name in call.related)
        for one in (call, *related):
            if one is not None:
                one.mute(mono_ns - BEFORE_NS, last_mono + AFTER_NS, _MERGE_NS)
        keyed = call.keyed.get(way)
        if keyed is None and len(call.keyed) < _MOST_WAYS:
            keyed = call.keyed[way] = Keyed()
        self.touched[call.id] = call
        if keyed is None or mark in keyed.marks:
            return False
        keyed.marks.append(mark)
        keyed.monos.append(mono_ns)
        keyed.count += 1
        return True

    def note_tone(self, call: Call, mono_ns: int, last_mono: int, ssrc: int) -> None:
        """Say that a digit was heard. After a crash it may be heard once more, by who began a little later."""
        way = "tone", ssrc
        keyed = call.keyed.get(way)
        known = (m for m in keyed.marks if isinstance(m, int) and abs(m - mono_ns) < _ONE_TONE_NS) if keyed else ()
        self.note(call, mono_ns, last_mono, way, next(iter(known), mono_ns))

    def take_touched(self) -> list[Call]:
        """Return the calls in which digits were keyed since the last time."""
        touched, self.touched = list(self.touched.values()), {}
        return touched


def _ends_of_each(
    columns: dict[str, npt.NDArray[np.generic]],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first and the last row of each distinct combination."""
    table = np.column_stack([column.astype(np.uint64) for column in columns.values()])
    _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    last = np.zeros(len(first), np.intp)
    np.maximum.at(last, inverse.reshape(-1), np.arange(len(table)))
    return first, last


def _owner(book: CallBook, seen: _Seen) -> tuple[Call | None, bool, str, int]:
    """Return a packet's call, whether it is a digit there (announced as one, or of no known type), whose, and seat."""
    for match in book.table.find(seen.src, seen.dst, seen.mono_ns, seen.payload_type, None):
        call = book.call_of(match.session)
        if call is None or call.closed:
            continue
        user = (match.session.caller, match.session.callee)[match.sender].user
        seat = call.seat(match.session, match.sender)
        announced = [e.media.payloads for e in book.entries(match.session) if e.covers(seen.mono_ns)]
        if digit_types(announced) >> seen.payload_type & 1:
            return call, True, user, seat
        known = seen.payload_type in STATIC or any(seen.payload_type in payloads for payloads in announced)
        return call, not known, user, seat
    return None, False, "", -1


def burst(call: Call, least: int, within_ns: int, not_before_mono: int) -> Burst | None:
    """Return the newest digits of a call that look like a number being keyed: so many in so short a time."""
    found = (_burst([m for m in k.monos if m >= not_before_mono], least, within_ns) for k in call.keyed.values())
    return max((one for one in found if one is not None), key=lambda one: one.last_mono, default=None)


def _burst(monos: list[int], least: int, within_ns: int) -> Burst | None:
    times = sorted(monos)
    for last in range(len(times) - 1, least - 2, -1):
        if times[last] - times[last - least + 1] <= within_ns:
            first = next(i for i in range(last + 1) if times[last] - times[i] <= within_ns)
            return Burst(times[first], times[last], last - first + 1)
    return None
