"""Calls that somebody hears while they last: of the packets that just came, those that may be heard now.

The hold-back is not waited for, so what is known now decides: packets in pauses and around digits that are known, of
calls that no rule records, behind a gate that is not open, or that a rule lets nobody hear live stay here. What is
heard goes on with the pauses that are known, so that who decodes it can still take back what it has in hand.

While nobody listens nothing here runs. It reads what the pipeline knows and changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vittne.capture.calls import Call, Stream, describe_stream, digit_types
from vittne.capture.columns import SECOND, U64
from vittne.capture.flows import Flow
from vittne.capture.handed import Piece, Voice
from vittne.capture.listening import is_voice
from vittne.capture.matching import Run
from vittne.capture.media import Match, Place
from vittne.capture.pause import MUTED, PAUSED
from vittne.capture.paused import mutes_of, quiet_rows
from vittne.capture.pipeline import Pipeline
from vittne.capture.rtp import FlowRows, RtpRows, join_rows
from vittne.capture.sip.session import Session
from vittne.capture.storing import digit_rows
from vittne.codecs.formats import STATIC

State = Literal["open", "waiting", "shut", "private", "ended", "unknown"]
Span = tuple[int, int, str]  # monotonic ns, from and until; why

_REACH_NS: Final = 5 * SECOND  # pauses that ended so long ago are told no more
_MOST_SPANS: Final = 64
_MOST_VOICES: Final = 64  # of one call
_MOST_ROWS: Final = 4096  # of one call in one turn: more are no voices
_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_STATES: Final[Mapping[str, State]] = {"open": "open", "closed": "waiting", "excluded": "shut", "shut": "shut"}
_SENT: Final = {number: format_ for number, format_ in STATIC.items() if is_voice(format_)}


@dataclass(slots=True)
class Tapped:
    """What a turn has for one who listens. Times are monotonic ns.

    upto_mono: every packet up to then was looked at. seats: of the voices, by number. quiet: when each must be silent,
    as far as is known by now. is_masked: tones in it mean digits that nobody may hear.
    """

    number: int
    state: State
    upto_mono: int
    piece: Piece | None = None
    seats: dict[int, int] = field(default_factory=dict)
    quiet: dict[int, list[Span]] = field(default_factory=dict)
    is_masked: bool = True


@dataclass(slots=True)
class _Voice:
    """A flow of a call that somebody hears. stream: one of ours; the call knows nothing of it."""

    number: int
    key: int
    stream: Stream
    last_mono: int
    told: set[int] = field(default_factory=set)  # who was told of it as it is now, by number
    met: set[int] = field(default_factory=set)  # who was told of it at all

    def described(self, is_new: bool) -> Voice:
        """Return what somebody must know to decode it."""
        stream = self.stream
        formats = {n: f for n, f in {**_SENT, **stream.formats}.items() if 0 <= n < 128 and is_voice(f)}
        return Voice(self.number, formats, (stream.crypto,) if stream.crypto else (), is_new)


class Tap:
    """Who listens to which call, and what they get."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._wanted: dict[int, str] = {}  # number of who listens -> recording
        self._voices: dict[int, _Voice] = {}  # by the flow's key
        self._numbers = 0

    @property
    def is_on(self) -> bool:
        """Whether anybody listens."""
        return bool(self._wanted)

    def listen(self, wanted: Mapping[int, str]) -> None:
        """Say who listens from now on, each by a number that is never used again, and to which recording's call."""
        gone = set(self._wanted) - set(wanted)
        self._wanted = dict(wanted)
        for voice in self._voices.values():
            voice.told -= gone
            voice.met -= gone
        if not wanted:
            self._voices.clear()

    def turn(self, batches: Sequence[tuple[RtpRows, FlowRows]], upto_mono: int) -> list[Tapped]:
        """Return what everybody gets who listens. batches: what came since the last turn, as the pipeline noted it."""
        calls = {number: self._call(recording) for number, recording in self._wanted.items()}
        pipeline = self._pipeline
        pipeline.digits.settle(pipeline.pauses.horizon_mono)  # digits that came with these packets count for them
        heard = self._heard({call.id: call for call in calls.values() if call is not None}, batches)
        self._forget(upto_mono)
        return [self._for(number, call, heard, upto_mono) for number, call in calls.items()]

    # Calls

    def _call(self, recording: str) -> Call | None:
        calls = self._pipeline.book.calls
        call = calls.get(recording) or next((one for one in calls.values() if recording in one.absorbed), None)
        while call is not None and call.merged_into is not None:
            call = call.merged_into
        return call

    def _state(self, call: Call | None) -> State:
        if call is None:
            return "unknown"
        if call.closed or not call.is_live:
            return "ended"
        last = call.keeping.last
        if last is None:
            return "open" if self._pipeline.recording.is_idle else "waiting"
        state = _STATES[call.keeping.state_of(last)]
        return "private" if state == "open" and not last.rule.live else state

    # Packets

    def _heard(
        self, calls: Mapping[str, Call], batches: Sequence[tuple[RtpRows, FlowRows]]
    ) -> tuple[RtpRows, list[tuple[_Voice, int, int]]]:
        """Return the rows that may be heard of some calls, voice by voice, and where each begins and ends."""
        some = [self._of_calls(calls, *batch) for batch in batches] if calls else []
        chosen = [one for one in some if one is not None]
        if not chosen:
            return _NONE, []
        rows, whose = join_rows([rows for rows, _ in chosen]), join_rows([whose for _, whose in chosen])
        order = np.argsort(whose.key, kind="stable")
        rows, whose = rows.take(order), whose.take(order)
        starts = np.flatnonzero(np.concatenate(([True], whose.key[1:] != whose.key[:-1]))).tolist()
        found: list[tuple[_Voice, int, int]] = []
        runs: list[Run] = []
        for begin, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            voice = self._resolve(rows, whose, begin, end, calls)
            stream = voice.stream if voice is not None else None
            if voice is None or stream is None:
                runs.append(Run(0, None, begin, end))
                continue
            found.append((voice, begin, end))
            types = stream.digit_types, stream.redundant_types, stream.known_types
            runs.append(Run(voice.number, stream, begin, end, *types))
        return self._without_quiet(rows, runs, found)

    def _without_quiet(
        self, rows: RtpRows, runs: Sequence[Run], found: Sequence[tuple[_Voice, int, int]]
    ) -> tuple[RtpRows, list[tuple[_Voice, int, int]]]:
        """Take out what nobody may hear: the one way for what is stored and what is heard."""
        pipeline = self._pipeline
        wanted = np.zeros(len(rows), np.bool_)
        for voice, begin, end in found:
            wanted[begin:end] = self._may_be_heard(voice.stream) and end - begin <= _MOST_ROWS
        number = np.array([run.end - run.begin for run in runs], np.int64)
        wanted &= ~digit_rows(rows, runs, number, wanted, pipeline.buffers)
        policy = pipeline.settings.pause.digit_policy
        wanted &= ~quiet_rows(rows, runs, wanted, pipeline.pauses, policy, pipeline.buffers, tells=False)
        place = np.concatenate(([0], np.cumsum(wanted)))
        kept = [(voice, int(place[begin]), int(place[end])) for voice, begin, end in found]
        return rows.take(wanted), [one for one in kept if one[1] < one[2]]

    def _may_be_heard(self, stream: Stream) -> bool:
        return stream.is_kept and not stream.foreign and self._state(stream.call) == "open"

    def _of_calls(self, calls: Mapping[str, Call], rows: RtpRows, whose: FlowRows) -> tuple[RtpRows, FlowRows] | None:
        """Return the rows that may be of some calls: from or to where their media is expected, or of known flows."""
        book = self._pipeline.book
        places = {entry.place for call in calls.values() for one in call.sessions for entry in book.entries(one)}
        known = [flow for call in calls.values() for flow in call.streams]
        keys = self._pipeline.flows.keys_of(np.array(known, np.int32)) if known else np.zeros(0, np.uint64)
        named = _mixed(*np.array([*places], np.uint64).reshape(-1, 2).T)
        which = np.isin(_mixed(whose.dst, whose.dport), named)
        which |= np.isin(_mixed(whose.src, whose.sport), named)
        which |= np.isin(whose.key, keys)
        return (rows.take(which), whose.take(which)) if which.any() else None

    # Whose

    def _resolve(
        self, rows: RtpRows, whose: FlowRows, begin: int, end: int, calls: Mapping[str, Call]
    ) -> _Voice | None:
        """Return the voice that rows of one flow are, described as things stand; None: of none of the calls."""
        book = self._pipeline.book
        key, mono = int(whose.key[begin]), int(rows.mono_ns[end - 1])
        voice = self._voices.get(key)
        known = self._stream_of(key)
        before = known or (voice.stream if voice is not None else None)
        src, dst = (int(whose.src[begin]), int(whose.sport[begin])), (int(whose.dst[begin]), int(whose.dport[begin]))
        session = before.session if before is not None else None
        match = self._match(src, dst, mono, int(rows.payload_type[begin]), session)
        call = book.call_of(match.session) if match is not None else known.call if known is not None else None
        if call is None or call.id not in calls:
            self._voices.pop(key, None)
            return None
        if voice is None or voice.stream.call is not call:
            of = match.session if match is not None else call.first
            sender = match.sender if match is not None else known.sender if known is not None else 0
            if sum(one.stream.call is call for one in self._voices.values()) >= _MOST_VOICES:
                return None
            self._numbers += 1
            stream = Stream(0, self._numbers, int(whose.ssrc[begin]), "", "", call, of, sender, call.seat(of, sender))
            voice = self._voices[key] = _Voice(self._numbers, key, stream, mono)
        stream = voice.stream
        voice.last_mono = mono
        if match is not None:
            self._describe(voice, match, call, mono)
        if known is not None:
            stream.foreign, stream.copy, stream.seat = known.foreign, known.copy, known.seat
            if match is None:
                stream.formats, stream.crypto, stream.encrypted = known.formats, known.crypto, known.encrypted
        return voice

    def _describe(self, voice: _Voice, match: Match, call: Call, mono: int) -> None:
        stream, book = voice.stream, self._pipeline.book
        stream.session, stream.sender = match.session, match.sender
        stream.seat = call.seat(match.session, match.sender)
        before = stream.formats, stream.crypto
        describe_stream(stream, *book.described(match))
        entries = book.entries(match.session)
        stream.digit_types |= digit_types(one.media.payloads for one in entries if one.covers(mono))
        if before != (stream.formats, stream.crypto):
            voice.told.clear()

    def _stream_of(self, key: int) -> Stream | None:
        """Return the stream that a flow was found to be when it was written last."""
        number: Flow = self._pipeline.flows.find(np.array([key], np.uint64))
        return self._pipeline.matcher.stream_of(int(number[0])) if int(number[0]) >= 0 else None

    def _match(self, src: Place, dst: Place, mono: int, kind: int, session: Session | None) -> Match | None:
        """Return the best reading.

        Nobody hears in by naming others' ports: among equals it is a call that was answered, and the one that was there
        first. Whose it really is, where the one before was not seen to end, is known when it is written first.
        """
        book = self._pipeline.book
        found = book.table.find(src, dst, mono, kind, session)
        found = [one for one in found if (call := book.call_of(one.session)) is not None and not call.closed]
        return max(found, key=lambda m: (m.score, m.session.was_answered, -m.session.first_mono), default=None)

    def _forget(self, upto_mono: int) -> None:
        old = [key for key, one in self._voices.items() if upto_mono - one.last_mono > _REACH_NS]
        for key in old:
            del self._voices[key]

    # What goes on

    def _for(
        self,
        number: int,
        call: Call | None,
        heard: tuple[RtpRows, list[tuple[_Voice, int, int]]],
        upto_mono: int,
    ) -> Tapped:
        policy = self._pipeline.settings.pause.digit_policy
        told = Tapped(number, self._state(call), upto_mono, is_masked=policy == "mask")
        mine = [voice for voice in self._voices.values() if voice.stream.call is call]
        for voice in mine:
            told.seats[voice.number] = voice.stream.seat
            told.quiet[voice.number] = self._spans(voice.stream, upto_mono)
        rows, found = heard
        pieces = [(voice, begin, end) for voice, begin, end in found if voice.stream.call is call]
        if told.state == "open" and pieces:
            fresh = [voice for voice, _, _ in pieces if number not in voice.told]
            told.piece = Piece(
                join_rows([rows.take(slice(begin, end)) for _, begin, end in pieces]),
                np.repeat([voice.number for voice, _, _ in pieces], [end - begin for _, begin, end in pieces]).astype(
                    np.int32
                ),
                [voice.described(is_new=number not in voice.met) for voice in fresh],
            )
            for voice in fresh:
                voice.told.add(number)
                voice.met.add(number)
        return told

    def _spans(self, stream: Stream, upto_mono: int) -> list[Span]:
        """Return when a voice must be silent, as far as it may matter to who decodes it."""
        call, book = stream.call, self._pipeline.pauses
        party = stream.session.call_id, stream.sender
        pauses = [one for one in book.of(call) if call.is_paused_by(one, party, stream.seat)] if len(book) else []
        mutes = mutes_of(call, self._pipeline.settings.pause.digit_policy, pauses) if call.mutes else []
        spans = [(one.from_mono, one.to_mono, PAUSED) for one in pauses]
        spans += [(begin, end, MUTED) for begin, end in mutes]
        return [one for one in spans if one[1] > upto_mono - _REACH_NS][-_MOST_SPANS:]

    def untold(self, tapped: Tapped) -> None:
        """What a turn had for somebody did not arrive: what it said of voices is said again."""
        numbers = {voice.number for voice in tapped.piece.voices} if tapped.piece is not None else set()
        for voice in self._voices.values():
            if voice.number in numbers:
                voice.told.discard(tapped.number)
                voice.met.discard(tapped.number)


_NO_NUMBERS: Final = np.zeros(0, np.int64)
_NONE: Final = RtpRows(
    *(_NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS),
    seq=np.zeros(0, np.uint16),
    timestamp=np.zeros(0, np.uint32),
    payload_type=np.zeros(0, np.uint8),
)


def _mixed(address: U64, port: npt.NDArray[np.unsignedinteger]) -> U64:
    """Return places as one column of numbers. Two may share one: what they name is looked at closer."""
    return np.asarray(address * _MIX + port, np.uint64)
