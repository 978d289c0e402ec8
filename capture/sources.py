"""The source that is believed: whose packets are a party's when several hosts send to its port (DESIGN 11.8)."""

from __future__ import annotations

from typing import Final

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, Stream
from vittne.capture.columns import SECOND
from vittne.capture.knownflows import KnownFlow, KnownFlows
from vittne.capture.media import Match
from vittne.capture.sip.session import CALLEE, CALLER, Session
from vittne.capture.streams import MAX_DROPOUT

_LOCK_SILENCE_NS: Final = 2 * SECOND
_HANDOVER_NS: Final = SECOND // 10  # packets on their way when a NAT chooses another port
_STRANGER, _ANSWERED_TO, _NAMED = range(3)  # how much a source is trusted
_MOST_STREAMS_OF_STRANGERS: Final = 64  # in one call; further ones only from addresses that belong to it
_MOST_STREAMS: Final = 2048


class Sources:
    """Says which streams are a stranger's."""

    def __init__(self, known: KnownFlows, book: CallBook) -> None:
        self._known = known
        self._book = book

    def has_room(self, call: Call, flow: KnownFlow) -> bool:
        """Whether a call takes a stream more: sprayed packets are kept as evidence, but not without end."""
        count = len(call.streams)
        if flow.number in call.streams or count < _MOST_STREAMS_OF_STRANGERS:
            return True
        return count < _MOST_STREAMS and any(self._trust(flow, self._hosts(session)) for session in call.sessions)

    def lock(self, flow: KnownFlow, stream: Stream, match: Match, mono: int) -> None:
        """Whom SDP names comes first, then whom the other side answers, then who was there first.

        While one source speaks another address is foreign, unless it goes on with the same stream (a NAT
        that chose a new port); after two seconds of silence the next one is taken.
        """
        rivals = [
            other
            for other in stream.call.streams.values()
            if other is not stream
            and other.session is stream.session
            and other.sender == stream.sender
            and other.destination == stream.destination
            and other.kind == stream.kind
            and not other.foreign
            and other.entry is (match.towards or match.source)
            and other.flow in self._known  # a full table may have taken its number
            and self._known[other.flow].src[0] != flow.src[0]
            and self.is_active(other.flow, mono)
        ]
        said = self._hosts(match.session, match.sender)
        trust = self._trust(flow, said)
        foreign = False
        for rival in rivals:
            theirs = self._trust(self._known[rival.flow], said)
            if self._continues(flow, self._known[rival.flow]):
                continue
            if trust > theirs:
                _set_foreign(rival, True)
            elif trust < _NAMED:
                foreign = True
        _set_foreign(stream, foreign)

    def _hosts(self, session: Session, side: int | None = None) -> set[int]:
        """Return the addresses that a session's SDP names, of one party or of both."""
        sides = (CALLER, CALLEE) if side is None else (side,)
        return {place[0] for one in sides for place in self._book.own_places(session, one)}

    def _trust(self, flow: KnownFlow, said: set[int]) -> int:
        """Say how a source is known: from SDP, by getting answers, or not at all."""
        if flow.src[0] in said:
            return _NAMED
        return _ANSWERED_TO if self._known.has_way(flow.dst, flow.src) else _STRANGER

    def is_active(self, number: int, mono: int) -> bool:
        """Whether a flow has a packet within two seconds of a time, as far as packets are in hand."""
        seen = self._known.seen(number, mono)
        if seen is not None and mono - seen[0] < _LOCK_SILENCE_NS:
            return True
        after = self._known.seen_after(number, mono)
        return after is not None and after - mono < _LOCK_SILENCE_NS

    def _continues(self, flow: KnownFlow, other: KnownFlow) -> bool:
        """Whether a flow goes on where another one stopped: the same SSRC from a new address."""
        seen = self._known.seen(other.number, flow.first_mono)
        if flow.ssrc != other.ssrc or seen is None:
            return False
        after = self._known.seen_after(other.number, flow.first_mono + _HANDOVER_NS)
        return after is None and 0 < ((flow.first_seq - seen[1]) & 0xFFFF) < MAX_DROPOUT


def _set_foreign(stream: Stream, foreign: bool) -> None:
    if stream.foreign != foreign:
        stream.foreign = foreign
        stream.announced = False
