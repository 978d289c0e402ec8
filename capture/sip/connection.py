"""One TCP connection: both directions put in order, judged, and cut into messages.

Times are those of the segment that made a message complete. Source for what opens and closes: RFC 9293.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from vittne.capture.bytestream import ByteStream, Run
from vittne.capture.errors import Malformed
from vittne.capture.sip.framing import Framed, SipFramer
from vittne.capture.sip.judge import Verdict, judge
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.startline import looks_like_sip
from vittne.capture.sip.websocket import Agreement, WebSocketReader

FIN: Final = 1
SYN: Final = 2
RST: Final = 4

MAX_NONSENSE: Final = 1 << 20  # bytes passed over in one direction without a message, then it is not SIP

Direction = tuple[int, int, int, int]  # src, sport, dst, dport


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, or why there is none, with where and when."""

    src: int
    sport: int
    dst: int
    dport: int
    at_ns: int
    mono_ns: int
    transport: str  # "tcp" or "ws"
    message: Message | Malformed
    after_hole: bool  # bytes in it or right before it were not seen


class Half:
    """One direction of a connection."""

    __slots__ = ("fin", "first", "has_ended", "judged_to", "reader", "stream")

    def __init__(self) -> None:
        self.stream = ByteStream()
        self.reader: SipFramer | WebSocketReader | None = None
        self.first: list[Run] = []  # what came before the connection was judged; a new run after every hole
        self.judged_to = 0  # bytes of the last of them that were judged
        self.fin: tuple[int, int, int] | None = None  # seq, at_ns, mono_ns of a FIN
        self.has_ended = False

    @property
    def size(self) -> int:
        """Bytes held."""
        held = self.reader.size if self.reader else sum(len(run.data) for run in self.first)
        return held + self.stream.waiting_bytes


class Connection:
    """Both directions, and what they carry. Verdict.OTHER: of no interest, feed it no more."""

    __slots__ = ("_counters", "agreement", "halves", "is_closed", "last_ns", "name", "verdict")

    def __init__(self, name: int, counters: Counter[str]) -> None:
        self.name = name  # its connection_hash
        self.verdict = Verdict.OPEN
        self.agreement = Agreement()
        self.halves: dict[Direction, Half] = {}
        self.last_ns = 0  # mono_ns of the last segment
        self.is_closed = False
        self._counters = counters

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of its two ends."""
        _, sport, _, dport = next(iter(self.halves))
        return sport, dport

    @property
    def first_bytes(self) -> bytes:
        """What came first of a connection that is not read, as long as it is held."""
        return next((bytes(half.first[0].data) for half in self.halves.values() if half.first), b"")

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(half.size for half in self.halves.values())

    @property
    def is_waiting(self) -> bool:
        """Whether skip_holes may have something to do later."""
        return any(
            half.stream.waiting_since_ns is not None or (half.fin and not half.has_ended)
            for half in self.halves.values()
        )

    def is_other(self, direction: Direction, syn_seq: int) -> bool:
        """Say whether a SYN begins another connection; a repeated SYN has the same number."""
        half = self.halves.get(direction)
        if half is None or half.stream.next_seq is None:
            return False
        return half.stream.start_seq != (syn_seq + 1) & 0xFFFFFFFF

    def feed(self, direction: Direction, seq: int, flags: int, payload: bytes, at_ns: int, mono_ns: int) -> list[Heard]:
        """Take one segment; return the messages that it completes."""
        self.last_ns = max(self.last_ns, mono_ns)
        half = self.halves.setdefault(direction, Half())
        if flags & SYN:
            seq = (seq + 1) & 0xFFFFFFFF  # a SYN takes a number of its own
            if half.stream.next_seq is None:
                half.stream.open(seq)
        heard: list[Heard] = []
        if payload:
            heard += self._read(direction, half, half.stream.push(seq, payload, at_ns, mono_ns))
        if flags & FIN:
            half.fin = ((seq + len(payload)) & 0xFFFFFFFF, at_ns, mono_ns)
        heard += self._end_halves()
        if flags & RST:
            heard += self._reset(half, seq, at_ns, mono_ns)
        return heard

    def skip_holes(self, before_ns: int) -> list[Heard]:
        """Give up holes, and bytes missing before a FIN, that have been waited for since before a time."""
        heard: list[Heard] = []
        for direction, half in self.halves.items():
            since = half.stream.waiting_since_ns
            while since is not None and since <= before_ns:
                heard += self._read(direction, half, half.stream.skip_hole())
                since = half.stream.waiting_since_ns
        return heard + self._end_halves(before_ns)

    def _read(self, direction: Direction, half: Half, runs: list[Run]) -> list[Heard]:
        """Hand bytes in order to whoever reads this direction."""
        heard: list[Heard] = []
        for run in runs:
            if run.after_hole:
                self._counters["tcp: holes"] += 1
            if self.verdict is Verdict.OPEN:
                heard += self._judge(half, run)
            elif self.verdict is not Verdict.OTHER:
                heard += self._frame(direction, half, run)
        return heard

    def _judge(self, half: Half, run: Run) -> list[Heard]:
        """Look at one more run of an unjudged connection; once it is known, read all that came."""
        if half.first and not run.after_hole:
            before = half.first.pop()
            run = Run(before.data + run.data, run.at_ns, run.mono_ns, before.after_hole)
        else:
            half.judged_to = 0
        half.first.append(run)
        from_start = half.stream.start_seq is not None and len(half.first) == 1
        self.verdict = judge(run.data, from_start=from_start, new_from=half.judged_to)
        half.judged_to = len(run.data)
        if self.verdict in {Verdict.OPEN, Verdict.OTHER}:
            return []
        heard: list[Heard] = []
        for direction, each in self.halves.items():
            for early in each.first:
                heard += self._frame(direction, each, early)
            each.first = []
        return heard

    def _frame(self, direction: Direction, half: Half, run: Run) -> list[Heard]:
        """Cut a run into messages and parse them."""
        if half.reader is None:
            in_step = half.stream.start_seq is not None and not run.after_hole
            if self.verdict is Verdict.SIP:
                half.reader = SipFramer(self._counters, in_step or looks_like_sip(run.data))
            else:
                in_step = in_step or run.data[:5] in {b"GET /", b"HTTP/"}
                half.reader = WebSocketReader(self._counters, self.agreement, in_step)
        framed = half.reader.feed(run.data, run.after_hole)
        heard = self._heard(direction, framed, run.at_ns, run.mono_ns)
        if half.reader.skipped > MAX_NONSENSE or self.agreement.is_refused:
            self.verdict = Verdict.OTHER
        return heard

    def _heard(self, direction: Direction, framed: list[Framed], at_ns: int, mono_ns: int) -> list[Heard]:
        """Return framed messages, parsed and counted."""
        transport = "ws" if self.verdict is Verdict.WEBSOCKET else "tcp"
        heard: list[Heard] = []
        for one in framed:
            message = parse(one.message) if isinstance(one.message, bytes) else one.message
            if isinstance(message, Malformed):
                self._counters[message.reason] += 1
            else:
                self._counters[f"sip {transport}: messages"] += 1
            heard.append(Heard(*direction, at_ns, mono_ns, transport, message, one.after_hole))
        return heard

    def _end_halves(self, before_ns: int | None = None) -> list[Heard]:
        """End the directions whose FIN has its turn, or was waited for since before a time (RFC 9293 3.6)."""
        heard: list[Heard] = []
        for direction, half in self.halves.items():
            if half.fin is None or half.has_ended or half.stream.waiting_bytes:
                continue
            seq, at_ns, mono_ns = half.fin
            if half.stream.expects(seq) or (before_ns is not None and mono_ns <= before_ns):
                half.has_ended = True
                heard += self._finish(direction, half, at_ns, mono_ns)
        if len(self.halves) > 1 and all(half.has_ended for half in self.halves.values()):
            self.is_closed = True
        return heard

    def _reset(self, half: Half, seq: int, at_ns: int, mono_ns: int) -> list[Heard]:
        """End both directions at a RST."""
        if not half.stream.expects(seq):
            # Forged or late: the receiver would not obey it either (RFC 9293 3.10.7.4).
            self._counters["tcp: resets out of place"] += 1
            return []
        self.is_closed = True
        heard: list[Heard] = []
        for direction, each in self.halves.items():
            while each.stream.waiting_bytes:
                heard += self._read(direction, each, each.stream.skip_hole())
            heard += self._finish(direction, each, at_ns, mono_ns)
        return heard

    def _finish(self, direction: Direction, half: Half, at_ns: int, mono_ns: int) -> list[Heard]:
        """Return what a direction leaves behind: a message whose body is not all there."""
        return self._heard(direction, half.reader.finish(), at_ns, mono_ns) if half.reader else []
