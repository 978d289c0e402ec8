"""From signalling to calls: opens them, keeps the table of expected media true, links what belongs together."""

from __future__ import annotations

import json
from collections import deque
from typing import Final

from vittne.capture import record
from vittne.capture.addresses import AddressBook
from vittne.capture.calls import CERTAIN, Call, new_call, overlap, relayed_by
from vittne.capture.columns import SECOND
from vittne.capture.errors import Malformed
from vittne.capture.links import Linker
from vittne.capture.media import FOREVER, Expected, Match, MediaTable, Place
from vittne.capture.pause import Pause
from vittne.capture.sip.mask import masked
from vittne.capture.sip.sdp import Media
from vittne.capture.sip.session import (
    CALLEE,
    SIDE_NAMES,
    DialogAnswered,
    Event,
    MediaDescribed,
    OfferAccepted,
    OfferRefused,
    Referred,
    Session,
    SessionEnded,
)
from vittne.capture.sip.stream import Heard
from vittne.capture.sip.tracker import SessionTracker

_KEPT_AFTER_END_NS: Final = 64 * SECOND
_CANDIDATES: Final = 8
_MOST_MEDIA: Final = 16  # m= lines of one description that are looked at
_MOST_LINES: Final = 256  # m= lines of one session, over all hops and forks
_MOST_OPEN: Final = 256  # places of one session where media is expected at once
_MOST_WAYS: Final = 8192  # address pairs whose text is remembered
_MOST_UNANSWERED: Final = 20_000  # attempts waiting to be reported
_NOWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 (an SDP address, nothing is bound)

Line = tuple[int, frozenset[int], int, str]  # side, hop either way, number of the m= line, callee's tag


class CallBook:
    """All calls that are up or not yet written out.

    feed() takes one message; what it learned stands in `calls` and in `table`. Nothing here waits.
    lead_ns: how far before its first SDP a call joined in the middle may claim media.
    """

    def __init__(self, addresses: AddressBook, lead_ns: int) -> None:
        self.tracker = SessionTracker()
        self.table = MediaTable()
        self.calls: dict[str, Call] = {}  # by the call's id
        self.unanswered: deque[Call] = deque()  # given up by the tracker, for the pipeline to report
        self._call_of: dict[str, Call] = {}  # by Call-ID
        self._entries: dict[str, list[Expected]] = {}  # by Call-ID, all that are valid and some that were
        self._current: dict[str, dict[Line, list[Expected]]] = {}
        self.links = Linker(self.tracker, self.calls, self._call_of)
        self._ways: dict[tuple[str, Place, Place], bytes] = {}
        self._addresses = addresses
        self._lead_ns = lead_ns

    def call_of(self, session: Session) -> Call | None:
        """Return the call a session is part of now; None when it was forgotten."""
        return self._call_of.get(session.call_id)

    def call_with(self, call_id: str) -> Call | None:
        """Return the call that a SIP Call-ID is part of now."""
        return self._call_of.get(call_id)

    def calls_of(self, pause: Pause) -> list[Call]:
        """Return the calls that a pause is on, also those that became part of another or are related."""
        found: dict[str, Call] = {}
        for call in [self.calls.get(name) for name in pause.calls] + [self._call_of.get(n) for n in pause.call_ids]:
            if call is None or call.closed:
                continue
            found[call.id] = call
            found |= {other.id: other for name in call.related if (other := self.calls.get(name)) is not None}
        return list(found.values())

    def feed(self, heard: Heard) -> tuple[Call, Session] | None:
        """Take in one message; return the call and the session it belongs to."""
        message = heard.message
        session, events = self.tracker.feed(heard)
        if self.tracker.given_up:
            self._give_up(self.tracker.take_given_up(), heard.mono_ns)
        if session is None or isinstance(message, Malformed) or self.tracker.get(session.call_id) is not session:
            return None
        call = self._call_of.get(session.call_id)
        if call is None:
            self._begin(session)
        elif call.closed:
            return None
        if len(session.keys) > session.keys_shared:
            self.links.share_keys(session)
        for event in events:
            self._apply(event, heard)
        call = self._call_of[session.call_id]
        self._note(call, heard, message.raw)
        return call, session

    def _begin(self, session: Session) -> None:
        call = new_call(session)
        self.calls[call.id] = call
        self._call_of[session.call_id] = call
        self._entries[session.call_id] = []
        self._current[session.call_id] = {}
        self.links.begin(session)

    def _note(self, call: Call, heard: Heard, raw: bytes) -> None:
        """Keep a message for the recording: where it went, and what it said without its secrets."""
        where = self.ends((heard.src, heard.sport), (heard.dst, heard.dport), heard.transport)
        call.note(heard.at_ns, heard.mono_ns, record.SIP, where + masked(raw))

    def ends(self, src: Place, dst: Place, transport: str = "") -> bytes:
        """Return the line of JSON in front of a recorded packet, where it went; the same few again and again."""
        way = (transport, src, dst)
        line = self._ways.get(way)
        if line is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            text = self._addresses.text
            where = {"source": place_text(text(src[0]), src[1]), "destination": place_text(text(dst[0]), dst[1])}
            if transport:
                where["transport"] = transport
            line = self._ways[way] = json.dumps(where, separators=(",", ":")).encode() + b"\n"
        return line

    def _apply(self, event: Event, heard: Heard) -> None:
        match event:
            case MediaDescribed():
                self._describe(event, heard)
            case OfferRefused():
                self._settle(event.session, event.pending, heard.mono_ns, accepted=False)
            case OfferAccepted():
                self._settle(event.session, event.pending, heard.mono_ns, accepted=True)
            case DialogAnswered():
                self._answered(event, heard)
            case Referred(session, refer, accepted):
                (self.links.refer_accepted if accepted else self.links.refer)(session, refer)
            case SessionEnded():
                self._ended(event.session, heard.mono_ns)

    def _describe(self, event: MediaDescribed, heard: Heard) -> None:
        session = event.session
        hop = frozenset(event.hop)
        tag = event.callee_tag if event.side == CALLEE else ""
        call = self._call_of[session.call_id]
        lines = self._current[session.call_id]
        for number, media in enumerate(event.description.media[:_MOST_MEDIA]):
            line: Line = (event.side, hop, number, tag)
            self._hold(call, session, event.side, media, heard, number)
            places = self._places(media)
            current = lines.get(line, [])
            if [e.place for e in current] == places and all(_same_media(e.media, media) for e in current):
                continue
            if line not in lines and len(lines) >= _MOST_LINES:
                self.tracker.count("sdp too many media in a call")
                continue
            fresh = self._expect(event, media, places, heard.mono_ns, is_first=not current)
            if event.pending is None:
                _close(self.table, current, heard.mono_ns)
            for entry in fresh:
                entry.replaced = current if event.pending is not None else []
            if fresh or event.pending is None:
                lines[line] = fresh
            self._share_place(session, fresh)

    def _expect(
        self, event: MediaDescribed, media: Media, places: list[Place], mono: int, is_first: bool
    ) -> list[Expected]:
        """Enter a media line's places into the table."""
        session = event.session
        since = mono - (self._lead_ns if session.joined_midway and is_first else 0)
        until = max(session.ended_mono, since) if session.ended_mono and session.was_answered else FOREVER
        entries = self._entries[session.call_id]
        if len(entries) + len(places) > _MOST_OPEN:
            entries[:] = [e for e in entries if e.to_mono == FOREVER]
            if len(entries) + len(places) > _MOST_OPEN:
                self.tracker.count("sdp too many media in a call")
                return []
        fresh = [
            Expected(
                place, session, event.side, event.callee_tag, event.hop, media, since, until, pending=event.pending
            )
            for place in places
        ]
        for entry in fresh:
            if self.table.add(entry, self._control_place(entry.place, media)):
                entries.append(entry)
            else:
                self.tracker.count("sdp too many calls at one port")
        return fresh

    def _control_place(self, place: Place, media: Media) -> Place:
        if media.rtcp_mux:
            return place
        address = self._addresses.key(media.rtcp_address) if media.rtcp_address else None
        return (place[0] if address is None else address, media.rtcp_port or place[1] + 1)

    def _places(self, media: Media) -> list[Place]:
        places: list[Place] = []
        if media.port and media.address not in _NOWHERE:
            key = self._addresses.key(media.address)
            if key is not None:
                places.append((key, media.port))
        for address, port, component in media.candidates[:_CANDIDATES]:
            key = self._addresses.key(address)
            if key is not None and component == 1 and port and (key, port) not in places:
                places.append((key, port))
        return places

    def _hold(self, call: Call, session: Session, side: int, media: Media, heard: Heard, number: int) -> None:
        if media.kind != "audio" or media.is_rejected:
            return
        line = session.call_id, side, number
        if media.is_held != (line in call.holds):
            call.holds ^= {line}
            what = "held" if media.is_held else "retrieved"
            call.event(heard.at_ns, heard.mono_ns, what, by=SIDE_NAMES[call.seat(session, side) & 1])

    def _settle(self, session: Session, pending: tuple[int, str], mono: int, accepted: bool) -> None:
        for line, current in list(self._current[session.call_id].items()):
            mine = [e for e in current if e.pending == pending]
            if not mine:
                continue
            before = mine[0].replaced
            for entry in mine:
                entry.pending, entry.replaced = None, []
            if accepted:
                _close(self.table, before, mono)
            else:
                _close(self.table, mine, mono)
                self._current[session.call_id][line] = before

    def _answered(self, event: DialogAnswered, heard: Heard) -> None:
        """One fork won: the early media of the others is over."""
        session = event.session
        self.links.answered(session)
        for line, current in self._current[session.call_id].items():
            if line[3] and line[3] != event.dialog.callee_tag and not self._is_answered(session, line[3]):
                _close(self.table, current, heard.mono_ns)

    @staticmethod
    def _is_answered(session: Session, tag: str) -> bool:
        dialog = session.dialogs.get(tag)
        return dialog is not None and dialog.answered_at > 0

    def _ended(self, session: Session, mono: int) -> None:
        _close(self.table, self._entries.get(session.call_id, []), mono)

    def end(self, session: Session, mono: int, at_ns: int, reason: str) -> None:
        """End a session that nobody was heard to hang up."""
        session.finish(at_ns, mono, reason)
        self._ended(session, mono)

    def expire(self, before_mono: int) -> None:
        """Give up sessions that were never answered, and forget what is past in the table."""
        self._give_up(self.tracker.expire(before_mono), before_mono)
        self.table.forget(before_mono)

    def _give_up(self, sessions: list[Session], mono: int) -> None:
        for session in sessions:
            call = self._call_of.get(session.call_id)
            if call is None:
                continue
            self._ended(session, mono)
            self._forget(session)
            if call.closed or call.answered or call.is_live:
                continue
            if not call.opened:
                call.signals.clear()  # nothing will ever be written of it
            if len(self.unanswered) < _MOST_UNANSWERED:
                self.unanswered.append(call)
            else:
                self.tracker.count("sip attempt not listed")
                call.closed = True
                self.drop(call)

    def drop(self, call: Call) -> None:
        """Forget a call that was reported; late messages of it are still known for a while."""
        self.calls.pop(call.id, None)

    def retire(self, before_mono: int) -> None:
        """Forget the sessions of calls that are closed, once their retransmissions must be over."""
        for session in self.tracker:
            call = self._call_of.get(session.call_id)
            if call is None or (call.closed and before_mono - session.last_mono > _KEPT_AFTER_END_NS):
                self._forget(session)

    def _forget(self, session: Session) -> None:
        self.tracker.forget(session)
        self.links.forget(session)
        self._call_of.pop(session.call_id, None)
        self._entries.pop(session.call_id, None)
        self._current.pop(session.call_id, None)

    def media_of(self, session: Session, side: int, like: Expected) -> Media | None:
        """Return what a party last said of the m= line that an entry of the other party stands for."""
        best: Expected | None = None
        for (line_side, hop, _number, _), current in self._current.get(session.call_id, {}).items():
            if line_side != side or not current or current[0].media.kind != like.media.kind:
                continue
            same_hop = hop == frozenset(like.hop)
            if best is None or same_hop or current[0].from_mono > best.from_mono:
                best = current[0]
                if same_hop:
                    break
        return best.media if best is not None else None

    def described(self, match: Match) -> tuple[Media, Media | None]:
        """Return what the receiver and the sender of a voice said of it."""
        if match.towards is not None:
            return match.towards.media, self.media_of(match.session, match.sender, match.towards)
        assert match.source is not None
        sender = match.source.media
        return self.media_of(match.session, 1 - match.sender, match.source) or sender, sender

    def entries(self, session: Session) -> list[Expected]:
        """Return what a session expects, and some of what it expected."""
        return self._entries.get(session.call_id, [])

    def own_places(self, session: Session, side: int) -> set[Place]:
        """Return where a party said it receives, and so most likely sends from."""
        return {
            e.place
            for line, current in self._current.get(session.call_id, {}).items()
            if line[0] == side
            for e in current
        }

    def _share_place(self, session: Session, entries: list[Expected]) -> None:
        """Two sessions that name the same place for the same ear at the same time are legs of one call."""
        for entry in entries:
            for other in self.table.at(entry.place):
                if other.session is session or other.session.call_id not in self._call_of:
                    continue
                live = other.to_mono == FOREVER and other.session.is_live and session.is_live
                if live and overlap(session, other.session) and relayed_by(session, other.session):
                    self.links.link(other.session, session, "same media address", CERTAIN)


def place_text(address: str, port: int) -> str:
    """Return address:port, [address]:port for IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _same_media(old: Media, new: Media) -> bool:
    return old.payloads == new.payloads and old.cryptos == new.cryptos and old.kind == new.kind


def _close(table: MediaTable, entries: list[Expected], mono: int) -> None:
    for entry in entries:
        if entry.to_mono > mono:
            entry.to_mono = max(mono, entry.from_mono)
            table.touch(entry)
