"""Voices that must be decoded before tones can be found in them: handed over as they arrive, and what came back.

Plain G.711 is searched here, at the commit (tones.py); every other voice of a known call is given at once to somebody
who can decode it, as rows, and must come back as an answer before those rows are written. Whether it did is known
of every row. A flow has a number of its own here, because rows wait for their commit before they get another.
Nothing runs once a packet; a flow is looked up when it is new and when what is expected at its ends changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, agreed, plain_types
from vittne.capture.columns import I64, U64
from vittne.capture.flows import Flow, FlowTable
from vittne.capture.handed import Piece, Tone, Voice
from vittne.capture.listening import Listening, Met, is_voice
from vittne.capture.matching import Run
from vittne.capture.media import Match, Place
from vittne.capture.pause import PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.rtp import FlowRows, RtpRows, join_rows
from vittne.capture.sip.session import Session
from vittne.codecs.formats import STATIC, Format

_MOST_VOICES: Final = 1 << 14
_MOST_LISTENED: Final = 1 << 16  # where every voice is looked at, G.711 too
_TYPES: Final = 128
_MOST_ROWS: Final = 16_384  # in one piece
_MOST_BYTES: Final = 4 << 20
_ONE_DIGIT_NS: Final = 60_000_000  # findings nearer than this are of one digit
_MOST_HOLES: Final = 256  # of a voice: beyond them one that is as long as all
_NO_PLAIN: Final = (np.arange(_TYPES) != 0) & (np.arange(_TYPES) != 8)

HEARD: Final = 0
LATE: Final = 1
NO_CODEC: Final = 2
NO_KEY: Final = 3
REASONS: Final = ("", "too late", "codec", "no key")

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit of a voice. key: the flow's; call: whose it is as far as is known from its ends."""

    begin_mono: int
    end_mono: int
    key: int
    ssrc: int
    call: Call | None


@dataclass(slots=True)
class _Known:
    """A flow, and what it is as far as is known."""

    src: Place
    dst: Place
    ssrc: int
    payload_type: int
    key: int
    first_mono: int
    offset_ns: int  # UTC less monotonic time
    is_new: bool = True  # nobody was told yet
    is_refused: bool = False
    session: Session | None = None
    sender: int = 0
    formats: dict[int, Format] = field(default_factory=dict)  # that are decoded for tones
    voiced: dict[int, Format] = field(default_factory=dict)  # that are listened to
    cryptos: tuple[str, ...] = field(default=(), repr=False)
    holes: list[tuple[int, int, int]] = field(default_factory=list)  # from, to, why
    digit: tuple[int, int] = (0, 0)  # the last one


@dataclass(slots=True)
class _Waiting:
    rows: RtpRows
    number: Flow
    present: Flow  # which numbers there are
    is_again: bool = False  # somebody had them before, and died


class Handover:
    """Everything that is to be decoded by somebody else. settings: which codecs are; window_ns: see Listening."""

    def __init__(
        self, book: CallBook, pauses: PauseBook, settings: PauseSettings, record_unsignalled: bool, window_ns: int = 0
    ) -> None:
        self._book = book
        self._settings = settings
        self._is_wanted = settings.digit_policy != "keep" and bool(settings.listen)
        self._record_unsignalled = record_unsignalled
        most = _MOST_LISTENED if window_ns else _MOST_VOICES
        self.listening = Listening(window_ns, book, pauses, most)
        self._table = FlowTable(most)
        self._known: dict[int, _Known] = {}
        self._at: dict[Place, set[int]] = {}
        self._due: set[int] = set()
        self._arrived: list[tuple[RtpRows, FlowRows]] = []
        self._waiting: deque[_Waiting] = deque()
        self._aside: list[_Waiting] = []  # only to be listened to, which has time
        self._told: set[int] = set()  # voices that were described
        self._resolved = np.zeros(most, np.bool_)
        self._types = np.zeros((most, _TYPES), np.bool_)  # which are handed over
        self._first_mono = np.zeros(most, np.int64)  # of the newest block
        self._last_mono = np.zeros(most, np.int64)
        self._done_mono = np.zeros(most, np.int64)  # up to when there are answers
        self._tones: list[Tone] = []

    # Arrival

    def feed(self, rows: RtpRows, whose: FlowRows) -> None:
        """Take in the RTP of a block. It is looked at when the signalling beside it was heard."""
        if (self._is_wanted or self.listening.is_wanted) and len(rows):
            self._arrived.append((rows, whose))

    @property
    def is_wanted(self) -> bool:
        """Whether anything is handed over at all."""
        return self._is_wanted or self.listening.is_wanted

    def _sort_in(self, rows: RtpRows, whose: FlowRows, *, is_again: bool = False) -> None:
        if not self._book.table.has_keys and not self.listening.is_wanted:
            some = np.flatnonzero(_NO_PLAIN[rows.payload_type])
            if not len(some):
                return
            if len(some) < len(rows):
                rows, whose = rows.take(some), whose.take(some)
        if self._table.is_crowded:
            self._forget([n for n in self._known if not self._resolved[n]])
        number, fresh = self._table.number(whose.key)
        if len(fresh):
            self._add(fresh, number, rows, whose)
        if not len(number) or int(number.min()) < 0:
            known = number >= 0
            rows, number = rows.take(known), number[known]
        if self.listening.is_wanted and len(number):  # nearly all rows are of nobody's interest
            wanted = ~self._resolved[number] | self._types[number, rows.payload_type] | self.listening.is_on(number)
            if not wanted.all():
                self._last_mono[number] = rows.mono_ns
                rows, number = rows.take(wanted), number[wanted]
        if len(number):
            self._first_mono[number[::-1]] = rows.mono_ns[::-1]
            np.maximum.at(self._last_mono, number, rows.mono_ns)
            present = np.flatnonzero(np.bincount(number)).astype(np.int32)
            self._waiting.append(_Waiting(rows, number, present, is_again))

    def _add(self, fresh: Flow, number: Flow, rows: RtpRows, whose: FlowRows) -> None:
        order = np.argsort(number, kind="stable")
        at = order[np.searchsorted(number[order], fresh)]
        names = ("src", "sport", "dst", "dport", "ssrc", "key")
        columns = [getattr(whose, name)[at].tolist() for name in names]
        monos, offsets = rows.mono_ns[at].tolist(), (rows.at_ns[at] - rows.mono_ns[at]).tolist()
        kinds = rows.payload_type[at].tolist()
        for one, src, sport, dst, dport, ssrc, key, kind, mono, offset in zip(
            fresh.tolist(), *columns, kinds, monos, offsets, strict=True
        ):
            flow = self._known[one] = _Known((src, sport), (dst, dport), ssrc, kind, key, mono, offset)
            for place in (flow.src, flow.dst):
                self._at.setdefault(place, set()).add(one)
        self._resolved[fresh] = False
        self._types[fresh] = False
        self._done_mono[fresh] = 0
        self._last_mono[fresh] = 0
        self._due.update(fresh.tolist())

    def follow(self, now_mono: int) -> None:
        """See whose voices flows are that are new, or at whose ends something else is expected now."""
        arrived, self._arrived = self._arrived, []
        for rows, whose in arrived:
            self._sort_in(rows, whose)
        for place in self._book.table.news:
            self._due |= self._at.get(place, set())
        self._book.table.news.clear()
        for number in self._due:
            self._resolve(number, self._known[number], now_mono)
        self._due.clear()

    def _resolve(self, number: int, flow: _Known, now_mono: int) -> None:
        """Look a flow up. A block of a file may span whole calls: at the times of its packets as well as now."""
        formats: dict[int, Format] = {}
        cryptos: list[str] = []
        found, is_sealed = None, False
        for mono in sorted({int(self._first_mono[number]), int(self._last_mono[number]), now_mono}):
            match = self._match(flow, mono)
            if match is None:
                continue
            found = match
            if match.media.kind == "audio":
                meant, crypto, encrypted = agreed(*self._book.described(match))
                is_sealed |= encrypted
                if not encrypted:
                    formats |= {**STATIC, **meant}
                    cryptos += [crypto] if crypto and crypto not in cryptos else []
        if found is None:
            if not self._record_unsignalled or flow.payload_type not in STATIC:
                return  # what it was stands, if it was anything
            formats = dict(STATIC)
        if flow.is_refused:
            formats = {}
        session = found.session if found is not None else None
        plain = plain_types(formats, "".join(cryptos))
        formats = {n: f for n, f in formats.items() if 0 <= n < _TYPES}
        wanted = {n: f for n, f in formats.items() if not plain >> n & 1 and self._listens_to(f)}
        voiced = {n: f for n, f in formats.items() if is_voice(f)} if self.listening.is_wanted and found else {}
        now = wanted, voiced, tuple(cryptos), session
        if self._resolved[number] and now == (flow.formats, flow.voiced, flow.cryptos, flow.session):
            return
        if session is not flow.session and flow.session is not None:  # another call's from here on
            flow.first_mono = int(self._first_mono[number])
        flow.formats, flow.voiced, flow.cryptos, flow.session = now
        self._types[number] = False
        self._types[number, list(wanted)] = True
        self._resolved[number] = True
        self._told.discard(number)
        if found is not None and found.media.kind == "audio":
            met = Met(number, flow.key, flow.ssrc, found.session, found.sender, flow.first_mono, flow.offset_ns)
            self.listening.meet(met, voiced, REASONS[NO_KEY] if is_sealed and not voiced else "")

    def _match(self, flow: _Known, mono: int) -> Match | None:
        for match in self._book.table.find(flow.src, flow.dst, mono, flow.payload_type, flow.session):
            call = self._book.call_of(match.session)
            if call is not None and not call.closed:
                return match
        return None

    def _listens_to(self, format_: Format) -> bool:
        if not self._is_wanted:
            return False
        return self._settings.listens_to(format_.encoding) or format_.encoding.upper() == "RED"

    # Over, and back

    def take(self, now_mono: int) -> Iterator[Piece]:
        """Yield what is to be decoded now for tones, oldest first, in pieces of bounded size."""
        self.follow(now_mono)
        self.listening.prepare()
        rows, numbers, listens = self._ready()
        if rows:
            yield from self._pieces(join_rows(rows), np.concatenate(numbers), np.concatenate(listens))

    def take_aside(self, now_mono: int) -> Iterator[Piece]:
        """Yield what is only to be listened to, likewise; call take() before. It can wait, and be left out."""
        aside, self._aside = self._aside, []
        if aside:
            rows, number = join_rows([one.rows for one in aside]), np.concatenate([one.number for one in aside])
            yield from self._pieces(rows, number, np.ones(len(number), np.bool_))
        self.listening.attend(now_mono)

    def _pieces(self, whole: RtpRows, number: Flow, listen: Mask) -> Iterator[Piece]:
        batch = np.maximum(np.cumsum(whole.length) // _MOST_BYTES, np.arange(len(number)) // _MOST_ROWS)
        cuts = (np.flatnonzero(batch[1:] != batch[:-1]) + 1).tolist()
        for begin, end in zip([0, *cuts], [*cuts, len(number)], strict=True):
            piece = slice(begin, end)
            yield Piece(whole.take(piece), number[piece], self._describe(number[piece]), listen[piece])

    def _ready(self) -> tuple[list[RtpRows], list[Flow], list[Mask]]:
        """Take the waiting rows of voices that are known; the others go on waiting.

        Returns those in which tones are searched; those that are only listened to go aside.
        """
        rows: list[RtpRows] = []
        numbers: list[Flow] = []
        listens: list[Mask] = []
        left: deque[_Waiting] = deque()
        for one in self._waiting:
            resolved = self._resolved[one.present]
            if not resolved.any():
                left.append(one)
                continue
            if not resolved.all():
                unknown = ~self._resolved[one.number]
                left.append(_Waiting(one.rows.take(unknown), one.number[unknown], one.present[~resolved], one.is_again))
            kind = one.rows.payload_type
            wanted = self._types[one.number, kind]
            if one.is_again:  # what was answered is given again only to those who follow a voice
                wanted &= one.rows.mono_ns > self._done_mono[one.number]
            if self.listening.is_wanted:
                heard = self.listening.hears(one.number, one.rows.mono_ns, kind)
                only = heard & ~wanted
                if only.any():
                    self._aside.append(_Waiting(one.rows.take(only), one.number[only], one.present))
            else:
                heard = np.zeros(len(wanted), np.bool_)
            if wanted.any():
                rows.append(one.rows if wanted.all() else one.rows.take(wanted))
                numbers.append(one.number[wanted])
                listens.append(heard[wanted])
        self._waiting = left
        return rows, numbers, listens

    def _describe(self, number: Flow) -> list[Voice]:
        voices = []
        for one in np.flatnonzero(np.bincount(number)).tolist():
            if one not in self._told:
                self._told.add(one)
                flow = self._known[one]
                voices.append(Voice(one, {**flow.voiced, **flow.formats}, flow.cryptos, flow.is_new))
                flow.is_new = False
        return voices

    def done(self, number: Flow, mono: I64) -> None:
        """Say that rows were listened to: the number and arrival of each."""
        np.maximum.at(self._done_mono, number, mono)

    def lost(self, number: Flow, mono: I64) -> None:
        """Say that nobody will listen to rows."""
        order = np.argsort(number, kind="stable")
        number, mono = number[order], mono[order]
        starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
        least, most = np.minimum.reduceat(mono, starts), np.maximum.reduceat(mono, starts)
        for one, begin, end in zip(number[starts].tolist(), least.tolist(), most.tolist(), strict=True):
            self.note_hole(one, begin, end, LATE)

    def note_hole(self, number: int, begin_mono: int, end_mono: int, why: int) -> None:
        """Say that packets of a voice that came from one time to another were not understood."""
        flow = self._known.get(number)
        if flow is None:
            return
        flow.holes.append((begin_mono, end_mono, why))
        if len(flow.holes) > _MOST_HOLES:
            flow.holes = [(min(h[0] for h in flow.holes), max(h[1] for h in flow.holes), why)]

    def note_tone(self, tone: Tone) -> None:
        """Take in a digit that was found."""
        if tone.number in self._known:
            self._tones.append(tone)

    def refuse(self, number: int) -> None:
        """Hand a voice over no more: it broke who listened."""
        flow = self._known.get(number)
        if flow is not None:
            flow.is_refused, flow.formats, flow.voiced = True, {}, {}
            self._types[number] = False
            self.listening.refuse(number)

    def tell_again(self, voices: Sequence[Voice]) -> None:
        """What was to be said of voices did not arrive."""
        for voice in voices:
            self._told.discard(voice.number)
            if voice.is_new and voice.number in self._known:
                self._known[voice.number].is_new = True

    def begin_again(self, in_hand: Sequence[tuple[RtpRows, FlowRows]]) -> None:
        """Who listened is gone, and somebody else begins: voices are described anew, what is in hand given again."""
        self._told.clear()
        for flow in self._known.values():
            flow.is_new = True
        self._waiting.clear()
        self._aside.clear()
        self._arrived.clear()
        self.listening.restarted(int(in_hand[0][0].mono_ns[0]) if in_hand else 1 << 62)
        for rows, whose in in_hand:
            self._sort_in(rows, whose, is_again=True)

    # Commit

    def take_digits(self) -> Iterator[Digit]:
        """Yield the digits found since the last time. One that was found in two pieces begins where the first did."""
        tones, self._tones = self._tones, []
        for tone in sorted(tones, key=lambda one: (one.number, one.begin_mono)):
            flow = self._known.get(tone.number)
            if flow is None:
                continue
            begin, end = flow.digit
            if begin <= tone.begin_mono <= end + _ONE_DIGIT_NS:
                flow.digit = begin, max(end, tone.end_mono)
            else:
                flow.digit = tone.begin_mono, tone.end_mono
            call = self._book.call_of(flow.session) if flow.session is not None else None
            yield Digit(*flow.digit, flow.key, flow.ssrc, call)

    def unheard(self, rows: RtpRows, runs: Sequence[Run], keys: U64) -> Codes | None:
        """Return (n,) why nobody looked for tones in each row, HEARD where somebody did; None when all were heard.

        runs: cover the rows in order. keys: (runs,) of their flows.
        """
        found: Codes | None = None
        plain = _plain_rows(rows, runs)
        if plain is None:
            return None
        numbers = self._table.find(keys).tolist()
        for run, number in zip(runs, numbers, strict=True):
            if run.stream is None or not run.stream.is_kept:
                continue
            piece = slice(run.begin, run.end)
            open_ = ~plain[piece]
            if not open_.any():
                continue
            if found is None:
                found = np.zeros(len(rows), np.uint8)
            found[piece] = np.where(open_, self._codes(number, rows.payload_type[piece], rows.mono_ns[piece]), HEARD)
        return found

    def _codes(self, number: int, kind: npt.NDArray[np.uint8], mono: I64) -> Codes:
        if not self._is_wanted:
            return np.full(len(mono), NO_CODEC, np.uint8)
        if number < 0 or number not in self._known:
            return np.full(len(mono), LATE, np.uint8)
        codes = np.where(mono > self._done_mono[number], np.uint8(LATE), np.uint8(HEARD))
        for begin, end, why in self._known[number].holes:
            codes[(mono >= begin) & (mono <= end)] = why
        if self._resolved[number]:
            codes[~self._types[number][kind]] = NO_CODEC
        return codes

    def forget(self, horizon: int) -> None:
        """Say that rows up to a time are written: their bytes may be others from now on."""
        left: deque[_Waiting] = deque()
        for one in self._waiting:  # all of them: those of several rings, and of fragments, overlap in time
            later = one.rows.mono_ns > horizon
            if later.all():
                left.append(one)
            elif later.any():
                left.append(_Waiting(one.rows.take(later), one.number[later], one.present, one.is_again))
        self._waiting = left
        for one in self._aside:  # nobody came for them
            late = one.rows.mono_ns <= horizon
            if late.any():
                self.listening.missed(np.unique(one.number[late]).tolist(), REASONS[LATE])
                one.rows, one.number = one.rows.take(~late), one.number[~late]
        self._aside = [one for one in self._aside if len(one.number)]

    def keep_house(self, horizon: int, idle_ns: int) -> None:
        """Forget voices that are silent, and what was missed before a time."""
        self._forget([n for n in self._known if int(self._last_mono[n]) < horizon - idle_ns])
        for flow in self._known.values():
            if flow.holes:
                flow.holes = [hole for hole in flow.holes if hole[1] >= horizon]

    def _forget(self, numbers: list[int]) -> None:
        gone = np.array(numbers, np.int32)
        if not len(gone):
            return
        for one in numbers:
            flow = self._known.pop(one)
            for place in (flow.src, flow.dst):
                self._at.get(place, set()).discard(one)
                if not self._at.get(place):
                    self._at.pop(place, None)
            self._table.forget(one)
            self._told.discard(one)
            self._due.discard(one)
        self.listening.forget(numbers)
        for queue in (self._waiting, self._aside):
            left = [found for one in queue if len((found := _without(one, gone)).number)]
            queue.clear()
            queue.extend(left)


def _without(one: _Waiting, gone: Flow) -> _Waiting:
    if not np.isin(one.present, gone).any():
        return one
    kept = ~np.isin(one.number, gone)
    return _Waiting(one.rows.take(kept), one.number[kept], one.present[~np.isin(one.present, gone)], one.is_again)


def _plain_rows(rows: RtpRows, runs: Sequence[Run]) -> Mask | None:
    """Return (n,) bool: rows that need no decoder; None when all are so."""
    types = {run.stream.plain_types for run in runs if run.stream is not None}
    if not types:
        return None
    if len(types) == 1:
        plain = _table(types.pop())[rows.payload_type]
        return None if plain.all() else plain
    plain = np.ones(len(rows), np.bool_)
    tables = {bits: _table(bits) for bits in types}
    for run in runs:
        if run.stream is not None:
            piece = slice(run.begin, run.end)
            plain[piece] = tables[run.stream.plain_types][rows.payload_type[piece]]
    return None if plain.all() else plain


def _table(bits: int) -> Mask:
    return np.array([bool(bits >> number & 1) for number in range(_TYPES)])
