"""Calls: the sessions and streams that a customer would call one, and which seat each voice has.

A call begins with a session (a Call-ID) and grows by links: a B2BUA's other leg, a transfer.
Every link is an entry with its evidence and how sure it is. Seat 0 is the caller and 1 the callee,
through every re-INVITE and transfer; who replaces a party takes its seat (DESIGN 4).
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from vittne.capture import record
from vittne.capture.columns import SECOND
from vittne.capture.gates import Keeping
from vittne.capture.heard import Heard
from vittne.capture.media import Expected
from vittne.capture.pause import BOTH, MediaClock, Pause, PausedStream, PauseNote
from vittne.capture.persons import Party, Persons, key, party_of
from vittne.capture.sip.sdp import Media
from vittne.capture.sip.session import CALLEE, CALLER, SIDE_NAMES, Session
from vittne.capture.times import rfc3339
from vittne.codecs.formats import STATIC, Format

CERTAIN: Final = "certain"
LIKELY: Final = "likely"

SIGNALS_KEPT: Final = 4000  # SIP messages in one recording; further ones are counted
SIGNAL_BYTES_KEPT: Final = 8 << 20
ANSWER_TOGETHER_NS: Final = 2 * SECOND
_DIGITS: Final = frozenset({"TELEPHONE-EVENT", "TONE"})  # RFC 4733
_REPAIR: Final = frozenset({"RTX", "ULPFEC", "FLEXFEC", "PARITYFEC", "1D-INTERLEAVED-PARITYFEC", "RAPTORFEC"})
_SILENT: Final = _DIGITS | {"CN"}
STATIC_TYPES: Final = sum(1 << number for number in STATIC)
_NOISE_TYPES: Final = sum(1 << number for number, f in STATIC.items() if f.encoding == "CN")
PLAIN_TYPES: Final = sum(1 << n for n, f in STATIC.items() if f.encoding in ("PCMU", "PCMA")) | _NOISE_TYPES


@dataclass(frozen=True, slots=True)
class Link:
    """Why two sessions are one call."""

    call_id: str
    other: str
    evidence: str
    confidence: str


@dataclass(slots=True, eq=False)
class Stream:
    """One flow inside a call. Counts of packets live in StreamStates; times are ns UTC."""

    flow: int
    number: int  # in its recording, from 1
    ssrc: int
    source: str
    destination: str
    call: Call
    session: Session
    sender: int
    seat: int
    kind: str = "audio"
    entry: Expected | None = None  # at the destination; the source's when nothing is known of it
    formats: dict[int, Format] = field(default_factory=dict)
    digit_types: int = 0  # payload types of digits now, a bit each
    redundant_types: int = 0  # RFC 2198
    known_types: int = STATIC_TYPES
    crypto: str = ""  # the sender's SDES key line; goes into the sealed part and nowhere else
    encrypted: bool = False  # SRTP without a key to be seen
    foreign: bool = False  # not the source that was locked on (DESIGN 11.8)
    copy: bool = False  # a voice that another stream of the call carries nearer to its mouth
    early: bool = False
    callee_tag: str = ""  # which dialog of a forked session; "" when not known
    stored: int = 0
    held: int = 0  # packets that wait for a gate
    dropped: dict[str, int] = field(default_factory=dict)
    announced: bool = False  # its STREAM record is written, and nothing changed since
    repair_types: int = 0  # RTX (RFC 4588) and parity (RFC 5109, 8627): what was sent before, once more
    clock: MediaClock | None = None  # of a paused stream
    plain_types: int = PLAIN_TYPES  # whose tones the worker itself looks for, or that have none; a bit each
    unheard: int = 0  # packets that were stored although nobody looked for tones in them
    unheard_gap: PausedStream | None = None  # packets that were not stored for that, not told yet

    @property
    def party(self) -> str:
        """The side a listener hears it on."""
        return SIDE_NAMES[self.seat]

    @property
    def is_kept(self) -> bool:
        """Whether its packets are stored: no video, and nothing that nobody can ever decrypt."""
        return self.kind == "audio" and not self.encrypted

    def drop(self, reason: str, packets: int) -> None:
        """Count packets that are not stored."""
        self.dropped[reason] = self.dropped.get(reason, 0) + packets

    def format_of(self, payload_type: int) -> Format | None:
        """Return what a payload type means in this stream."""
        return self.formats.get(payload_type) or STATIC.get(payload_type)


@dataclass(slots=True)
class Keyed:
    """When digits came one way: a flow, or the INFOs of a session. Which digits they were is never kept."""

    count: int = 0
    monos: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    marks: deque[object] = field(default_factory=lambda: deque(maxlen=16))  # tell packets of one digit from the next


@dataclass(slots=True, eq=False)
class Call:
    """Sessions and streams that belong together. *_mono are monotonic ns, 0 when not yet."""

    id: str
    sessions: list[Session]
    seats: dict[str, tuple[int, int]]  # Call-ID -> seat of its caller, seat of its callee
    persons: Persons = field(default_factory=Persons)  # shared with related calls
    links: list[Link] = field(default_factory=list)
    streams: dict[int, Stream] = field(default_factory=dict)  # by flow
    signals: deque[tuple[int, bytes]] = field(default_factory=deque)  # monotonic time, record
    signals_seen: int = 0
    signals_bytes: int = 0
    numbers_given: int = 0  # to streams
    merged_into: Call | None = None
    opened: bool = False  # its recording exists
    closed: bool = False
    last_media_mono: int = 0
    last_media_at: int = 0
    gaps: list[dict[str, Any]] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)  # why the recording is partial
    other_media: dict[str, int] = field(default_factory=dict)  # packets not kept, by kind
    related: list[str] = field(default_factory=list)  # ids of recordings linked too late to be one
    absorbed: list[str] = field(default_factory=list)  # ids of calls that became part of this one
    pauses: dict[str, PauseNote] = field(default_factory=dict)  # by the pause's id
    mutes: list[tuple[int, int]] = field(default_factory=list)  # monotonic, begin and end: around digits
    keyed: dict[tuple[object, ...], Keyed] = field(default_factory=dict)  # digits, by the way they came
    holds: set[tuple[str, int, int]] = field(default_factory=set)  # Call-ID, side, m= line that is held now
    keeping: Keeping = field(default_factory=Keeping)  # what rules say of it, and whether its gate is open
    heard: Heard = field(default_factory=Heard)  # announcements, speech, tones

    @property
    def first(self) -> Session:
        """The session that was seen first: its parties are the call's."""
        return self.sessions[0] if len(self.sessions) == 1 else min(self.sessions, key=lambda s: s.first_mono)

    @property
    def is_unsignalled(self) -> bool:
        """Whether it is RTP without any signalling, see unsignalled.py."""
        return not self.first.call_id

    @property
    def answered(self) -> bool:
        """Whether any session was."""
        return any(s.answered_at for s in self.sessions)

    @property
    def is_live(self) -> bool:
        """Whether media may still come."""
        for session in self.sessions:  # noqa: SIM110 - asked for every call at every commit
            if session.is_live:
                return True
        return False

    @property
    def _talked(self) -> list[Session]:
        """The sessions that were answered; all when none was. An attempt that failed does not prolong a call."""
        return [s for s in self.sessions if s.answered_at] or self.sessions

    @property
    def end_mono(self) -> int:
        """When the last session ended."""
        return max((s.ended_mono for s in self.sessions), default=0)

    @property
    def answered_at(self) -> int:
        """When the first answered session was answered; 0 when none was."""
        return min((s.answered_at for s in self.sessions if s.answered_at), default=0)

    @property
    def ended_at(self) -> int:
        """When the last session that was answered ended."""
        return max((s.ended_at for s in self._talked), default=0)

    @property
    def last_signal_mono(self) -> int:
        """When signalling was heard last."""
        return self.sessions[0].last_mono if len(self.sessions) == 1 else max(s.last_mono for s in self.sessions)

    def seat(self, session: Session, side: int) -> int:
        """Return the seat, CALLER or CALLEE, of a session's party."""
        return self.seats.get(session.call_id, (CALLER, CALLEE))[side]

    def seat_of_user(self, user: str) -> int | None:
        """Return the seat of who is known by a name; None when nobody is, or several are."""
        seats = {
            self.seat(session, side)
            for session in self.sessions
            for side, party in ((CALLER, session.caller), (CALLEE, session.callee))
            if user and party.user == user
        }
        return seats.pop() if len(seats) == 1 else None

    def parties(self, seat: int, user: str = "") -> list[str]:
        """Return the parties that sit in a seat now, as a pause names them; user: only who is known by this name."""
        sitting = [
            (session, side)
            for session in list(self.sessions)
            for side, party in ((CALLER, session.caller), (CALLEE, session.callee))
            if self.seat(session, side) & 1 == seat and user in ("", party.user)
        ]
        present = [(session, side) for session, side in sitting if session.is_live]
        return [key((session.call_id, side)) for session, side in present or sitting]

    def knows(self, party: str) -> bool:
        """Whether a party, as a pause names it, is of one of this call's sessions."""
        return party_of(party)[0] in self.seats

    def is_paused_by(self, pause: Pause, party: Party, seat: int) -> bool:
        """Whether a pause that is on this call is on the voice of a party, whose seat this is."""
        if pause.seat == BOTH:
            return True
        return self.persons.is_one_of(party, pause.parties) if pause.parties else pause.seat == seat & 1

    def note(self, at_ns: int, mono_ns: int, kind: int, body: bytes) -> None:
        """Keep a record for the recording, to be written when its time has passed the hold-back."""
        self.signals_seen += 1
        self.signals_bytes += len(body)
        if self.signals_seen > SIGNALS_KEPT or self.signals_bytes > SIGNAL_BYTES_KEPT:
            self.reasons.add("signalling-cut")
            return
        self.signals.append((mono_ns, record.encode(kind, at_ns, body)))

    def event(self, at_ns: int, mono_ns: int, what: str, **more: Any) -> None:
        """Keep an EVENT record for the recording."""
        line = record.encode_json(record.EVENT, at_ns, {"event": what, **more})
        self.signals.append((mono_ns, line))

    def gap(self, from_ns: int, to_ns: int, reason: str) -> None:
        """Keep a GAP record of all parties for the recording, and say so in the report. Times: ns UTC."""
        self.gaps.append({"from": rfc3339(from_ns), "to": rfc3339(to_ns), "reason": reason})
        line = record.encode_json(record.GAP, from_ns, {"reason": reason, "from_ns": from_ns, "to_ns": to_ns})
        self.signals.append((self.last_media_mono, line))

    @property
    def digits(self) -> int:
        """How many digits were keyed. Each leg of a call shows them again."""
        return max((keyed.count for keyed in self.keyed.values()), default=0)

    def mute(self, begin_mono: int, end_mono: int, merge_ns: int) -> None:
        """Leave out the audio of all legs from one time to another; windows nearer than merge_ns become one."""
        windows = sorted([*self.mutes, (begin_mono, end_mono)])
        joined = [windows[0]]
        for begin, end in windows[1:]:
            if begin - joined[-1][1] < merge_ns:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        self.mutes = joined

    def due(self, before_mono: int) -> Iterator[bytes]:
        """Yield and forget the records up to a time."""
        while self.signals and self.signals[0][0] <= before_mono:
            yield self.signals.popleft()[1]


def new_call(session: Session) -> Call:
    """Return a call that has one session."""
    return Call(str(uuid.uuid4()), [session], {session.call_id: (CALLER, CALLEE)})


def reseat(call: Call, seats: tuple[int, int]) -> None:
    """Move everybody: who sat as caller sits in the first seat from now on, who sat as callee in the second."""
    for call_id, own in call.seats.items():
        call.seats[call_id] = (seats[own[0]], seats[own[1]])
    for stream in call.streams.values():
        stream.seat, stream.announced = seats[stream.seat], False


def merge(kept: Call, other: Call, link: Link) -> None:
    """Put another call, that has no recording, into the one that is kept. Seats stay as they are."""
    kept.seats |= other.seats
    kept.persons.take(other.persons)
    kept.sessions += other.sessions
    kept.sessions.sort(key=lambda s: s.first_mono)
    kept.links += [*other.links, link]
    numbers: dict[int, int] = {}
    for flow, stream in other.streams.items():
        stream.call = kept
        kept.numbers_given += 1
        numbers[stream.number] = kept.numbers_given
        stream.number = kept.numbers_given
        stream.announced = False
        kept.streams[flow] = stream
    kept.signals = deque(sorted([*kept.signals, *other.signals], key=lambda item: item[0]))
    kept.signals_seen += other.signals_seen
    kept.signals_bytes += other.signals_bytes
    if other.last_media_mono > kept.last_media_mono:
        kept.last_media_mono, kept.last_media_at = other.last_media_mono, other.last_media_at
    kept.reasons |= other.reasons
    kept.related += other.related
    kept.absorbed += [other.id, *other.absorbed]
    kept.mutes = sorted([*kept.mutes, *other.mutes])
    kept.keyed = {**other.keyed, **kept.keyed}
    for pause_id, note in other.pauses.items():
        kept.pauses.setdefault(pause_id, note)
    kept.holds |= other.holds
    # First: a second thread may decide on the other call now. What it decides before take() reads it is taken along,
    # and behind that it sees here which call the other one has become (RecordKeeper.decide).
    other.merged_into = kept
    kept.keeping.take(other.keeping, other.id, numbers)
    kept.heard.take(other.heard)
    for kind, number in other.other_media.items():
        kept.other_media[kind] = kept.other_media.get(kind, 0) + number
    other.sessions, other.streams = [], {}
    other.signals = deque()


def describe_stream(stream: Stream, receiver: Media, sender: Media | None) -> None:
    """Set a stream's formats, digits' payload types and keys from what both parties said of it.

    The receiver names the payload types it wants (RFC 3264 5.1); the sender's own numbers fill in
    where senders use theirs instead. The key is the sender's (RFC 4568 section 5.1.1).
    """
    formats, crypto, encrypted = agreed(receiver, sender)
    digits = digit_types([formats])
    now = (formats, crypto, receiver.kind)
    if (stream.formats, stream.crypto, stream.kind) != now:
        stream.announced = False
    stream.formats, stream.crypto, stream.kind = now
    stream.digit_types, stream.encrypted = digits, encrypted
    stream.redundant_types = sum(1 << n for n, f in formats.items() if f.encoding.upper() == "RED")
    stream.repair_types = sum(1 << n for n, f in formats.items() if f.encoding.upper() in _REPAIR)
    stream.known_types = STATIC_TYPES | sum(1 << n for n in formats if n not in STATIC)
    stream.plain_types = plain_types(formats, crypto)


def agreed(receiver: Media, sender: Media | None) -> tuple[dict[int, Format], str, bool]:
    """Return the formats of a voice, its sender's key line, and whether it is SRTP whose key nobody told."""
    formats = {**(sender.payloads if sender is not None else {}), **receiver.payloads}
    crypto = _agreed_key(receiver, sender)
    return formats, crypto, "SAVP" in receiver.protocol.upper() and not crypto


def plain_types(formats: dict[int, Format], crypto: str) -> int:
    """Return the payload types, a bit each, that need no decoder to be searched for tones: G.711, and no voice at all.

    Of a voice that is sealed (SRTP) only those that are no voice.
    """
    bits = _NOISE_TYPES if crypto else PLAIN_TYPES
    for number, format_ in formats.items():
        is_plain = is_silent(format_) or (is_g711(format_) and not crypto)
        bits = bits & ~(1 << number) | is_plain << number
    return bits


def is_silent(format_: Format) -> bool:
    """Whether nothing said or keyed in sounds is in such packets: comfort noise, and digits as events."""
    return format_.encoding.upper() in _SILENT


def is_g711(format_: Format) -> bool:
    """Whether it is what tones.py listens to."""
    return format_.encoding.upper() in ("PCMU", "PCMA") and format_.clock_rate == 8000


def digit_types(announced: Iterable[dict[int, Format]]) -> int:
    """Return the payload types that mean digits in any of these, a bit each."""
    bits = 0
    for formats in announced:
        for number, format_ in formats.items():
            if format_.encoding.upper() in _DIGITS:
                bits |= 1 << number
    return bits


def _agreed_key(receiver: Media, sender: Media | None) -> str:
    if sender is None or not sender.cryptos:
        return ""
    answered = {c.tag for c in receiver.cryptos}
    both = [c for c in sender.cryptos if c.tag in answered]
    # The answer holds one line; of the offer's lines the one with its tag was taken.
    chosen = both if len(sender.cryptos) > 1 and len(receiver.cryptos) == 1 else list(sender.cryptos)
    return chosen[0].raw if chosen and chosen[0].key_salt else ""


def users(session: Session) -> frozenset[str]:
    """Return the user parts that a session names."""
    if not session.names:
        uri = session.request_uri
        uri_user = uri.partition(":")[2].partition("@")[0] if "@" in uri else ""
        session.names = frozenset({session.caller.user, session.callee.user, uri_user} - {""})
    return session.names


def relayed_by(first: Session, second: Session) -> bool:
    """Whether one session's INVITE went to the place that the other's came from: a host in the middle.

    On one host, where every address is the same, ports have to agree.
    """
    for left, right in ((first.hop, second.hop), (second.hop, first.hop)):
        if left[2] == right[0] and (left[2:4] == right[0:2] or (left[0] != left[2] and right[0] != right[2])):
            return True
    return False


def overlap(first: Session, second: Session) -> bool:
    """Whether two sessions lived at the same time."""
    ends = [s.ended_mono or (1 << 62) for s in (first, second)]
    return first.first_mono <= ends[1] and second.first_mono <= ends[0]
