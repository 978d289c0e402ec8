"""What every Call-ID is doing: dialogs, offers and answers, as a tap sees them.

A tap hears every hop of a request, or only one direction of it, or joins in the middle. So
nothing here waits for a well-formed exchange: a fact is taken from whichever message shows it
first. Sources: RFC 3261 sections 12 to 15, RFC 3264, RFC 3311, RFC 3891, RFC 4028, RFC 7989.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from vittne.capture.columns import SECOND
from vittne.capture.errors import Malformed
from vittne.capture.sip.correlation import correlation_keys, refer_target, replaced_dialog
from vittne.capture.sip.message import Message
from vittne.capture.sip.session import (
    ANSWERED,
    CALLER,
    EARLY,
    FAILED,
    SIDE_NAMES,
    TRYING,
    Dialog,
    DialogAnswered,
    Event,
    Hop,
    MediaDescribed,
    OfferAccepted,
    OfferRefused,
    Refer,
    Referred,
    Session,
    SessionEnded,
)
from vittne.capture.sip.stream import Heard

_NEGOTIATES: Final = frozenset({"INVITE", "ACK", "UPDATE", "PRACK"})
_SETS_UP: Final = frozenset({"INVITE", "UPDATE"})
_IN_DIALOG: Final = _NEGOTIATES | {"BYE", "CANCEL", "INFO", "REFER", "NOTIFY", "MESSAGE"}
_KNOWN: Final = frozenset({"OPTIONS", "REGISTER", "SUBSCRIBE", "PUBLISH"}) | _IN_DIALOG
_AFTER_FAILURE_NS: Final = 32 * SECOND  # RFC 3261 timer B: a new attempt or another branch may still answer
_UNANSWERED_NS: Final = 600 * SECOND

# What one session may hold; a call has a few of each.
_MOST_TAGS: Final = 64
_MOST_INVITES: Final = 32
_MOST_KEYS: Final = 32
_MOST_REFERS: Final = 8
_MOST_BYES: Final = 1024


class SessionTracker:
    """Sessions by Call-ID.

    limit: sessions known at once; beyond it new ones are not taken. pending_limit, pending_bytes: sessions
    that were never answered, and what their messages may hold; beyond either the oldest are given up,
    refused ones first: a flood of attempts costs other attempts, never a call. given_up holds them until
    somebody takes them out.
    """

    def __init__(self, limit: int = 100_000, pending_limit: int = 20_000, pending_bytes: int = 64 << 20) -> None:
        self._sessions: dict[str, Session] = {}
        self._trying: OrderedDict[str, Session] = OrderedDict()  # not answered, oldest first
        self._failed: OrderedDict[str, Session] = OrderedDict()
        self._size: dict[str, int] = {}  # bytes of messages of those
        self._size_bytes = 0
        self._byes: OrderedDict[str, Heard] = OrderedDict()  # of calls that nothing else was seen of
        self._limit = limit
        self._pending_limit = pending_limit
        self._pending_bytes = pending_bytes
        self.given_up: list[Session] = []
        self.counters: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def get(self, call_id: str) -> Session | None:
        """Return the session of a Call-ID."""
        return self._sessions.get(call_id)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a counter."""
        self.counters[what] = self.counters.get(what, 0) + number

    def forget(self, session: Session) -> None:
        """Drop a session; its Call-ID is unknown from now on."""
        if self._sessions.get(session.call_id) is session:
            del self._sessions[session.call_id]
            self._settle(session)

    def feed(self, heard: Heard) -> tuple[Session | None, list[Event]]:
        """Take in a message. Returns the session it belongs to (None: to none) and what it changed."""
        message = heard.message
        if isinstance(message, Malformed):
            self.count(message.reason)
            return None, []
        if message.method not in _IN_DIALOG:
            self.count(f"sip {message.method}" if message.method in _KNOWN else "sip other method")
            return None, []
        session = self._sessions.get(message.call_id)
        if session is None:
            return self._feed_unknown(message, heard)
        session.last_mono = heard.mono_ns
        session.after_hole |= heard.after_hole
        if not session.answered_at:
            self._weigh(session, len(message.raw))
        if message.method in _SETS_UP and len(session.keys) < _MOST_KEYS:
            session.keys |= correlation_keys(message)
        state = session.state
        events = self._take(session, message, heard)
        if session.state != state:
            self._settle(session)
        return session, events

    def _take(self, session: Session, message: Message, heard: Heard) -> list[Event]:
        if message.is_request:
            return self._request(session, message, heard)
        return self._response(session, message, heard)

    # Beginning

    def _feed_unknown(self, message: Message, heard: Heard) -> tuple[Session | None, list[Event]]:
        events: list[Event] = []
        if message.method == "BYE":
            session = self._begin_at_bye(message, heard, events)
        else:
            session = self._begin(message, heard, events)
        if session is None:
            self.count(f"sip {message.method} outside a known call")
            return None, []
        session.after_hole |= heard.after_hole
        session.keys |= correlation_keys(message)
        self._weigh(session, len(message.raw))
        self._settle(session)
        events += self._take(session, message, heard)
        self._settle(session)
        return session, events

    def _begin(self, message: Message, heard: Heard, events: list[Event]) -> Session | None:
        """Open a session at the first message that shows one: an INVITE, or whatever we joined at."""
        in_dialog = bool(message.to.tag)
        if message.is_request:
            opens = message.method == "INVITE" or (message.method in ("UPDATE", "ACK") and bool(message.body))
        else:
            opens = message.method == "INVITE" and 101 <= message.status < 300
        session = self._new(message, heard) if opens else None
        if session is not None and message.is_request and in_dialog and message.method != "ACK":
            # Its INVITE is in the past: a call joined in the middle counts as answered at first sight.
            events += self._answer(session, message.to.tag, heard)
        return session

    def _begin_at_bye(self, message: Message, heard: Heard, events: list[Event]) -> Session | None:
        """A BYE that the other end takes (2xx) ends a dialog that was answered before anything was seen of it."""
        if message.is_request:
            if message.to.tag and message.from_.tag:
                self._byes.setdefault(message.call_id, heard)
                while len(self._byes) > _MOST_BYES:
                    self._byes.popitem(last=False)
            return None
        bye = self._byes.pop(message.call_id, None)
        if bye is None or isinstance(bye.message, Malformed) or not 200 <= message.status < 300:
            return None
        if heard.mono_ns - bye.mono_ns > _AFTER_FAILURE_NS or bye.message.cseq != message.cseq:
            return None
        session = self._new(bye.message, bye)
        if session is not None:
            events += self._answer(session, message.to.tag, bye)
            events += self._hang_up(session, message.to.tag, bye, f"bye-{SIDE_NAMES[CALLER]}")
        return session

    def _new(self, message: Message, heard: Heard) -> Session | None:
        if not self._make_room():
            return None
        hop = (heard.src, heard.sport, heard.dst, heard.dport)
        if not message.is_request:
            hop = (heard.dst, heard.dport, heard.src, heard.sport)
        session = Session(
            message.call_id,
            message.from_,
            message.to,
            message.request_uri,
            heard.at_ns,
            heard.mono_ns,
            hop,
            heard.transport,
            joined_midway=bool(message.to.tag) or not message.is_request,
            last_mono=heard.mono_ns,
        )
        session.caller_tags.add(message.from_.tag)
        if message.to.tag:
            session.callee_tags.add(message.to.tag)
        self._sessions[message.call_id] = session
        return session

    # Bounds

    def _make_room(self) -> bool:
        """Give up attempts until a session more can be taken; return whether it can."""
        while len(self._size) >= self._pending_limit or len(self._sessions) >= self._limit:
            if not self._give_up_oldest():
                self.count("sip session refused: too many calls at once")
                return False
        return True

    def _give_up_oldest(self) -> bool:
        table = self._failed or self._trying
        if not table:
            return False
        self._give_up(next(iter(table.values())))
        self.count("sip attempt given up: too many at once")
        return True

    def _give_up(self, session: Session) -> None:
        self.forget(session)
        if session.is_live:
            at_ns = session.first_at + session.last_mono - session.first_mono
            session.finish(at_ns, session.last_mono, session.end_reason or "no-answer-seen")
        self.given_up.append(session)

    def _weigh(self, session: Session, size: int) -> None:
        """Count a message's bytes against a session that is not answered."""
        self._size[session.call_id] = self._size.get(session.call_id, 0) + size
        self._size_bytes += size
        while self._size_bytes > self._pending_bytes and len(self._size) > 1:
            self._give_up_oldest()

    def _settle(self, session: Session) -> None:
        """Put a session into the queue that its state asks for; one that was answered or forgotten into none."""
        call_id = session.call_id
        if session.was_answered or self._sessions.get(call_id) is not session:
            self._trying.pop(call_id, None)
            self._failed.pop(call_id, None)
            self._size_bytes -= self._size.pop(call_id, 0)
            return
        here, there = (self._trying, self._failed) if session.is_live else (self._failed, self._trying)
        there.pop(call_id, None)
        here.setdefault(call_id, session)

    # Requests

    def _request(self, session: Session, message: Message, heard: Heard) -> list[Event]:
        side = session.side_of(message)
        events: list[Event] = []
        match message.method:
            case "INVITE":
                events += self._invite(session, message, heard, side)
            case "BYE":
                return self._bye(session, message, heard, side)
            case "CANCEL":
                if session.state in (TRYING, EARLY):
                    session.end_reason = "cancelled"
                return []
            case "REFER":
                return self._refer(session, message, heard, side)
            case "ACK":
                events += self._ack(session, message, heard)
        if message.method in _NEGOTIATES and message.body:
            # An ACK finishes what a 2xx began: nobody can refuse it any more.
            pending = (message.cseq, message.from_.tag) if message.method in ("INVITE", "UPDATE") else None
            initial = message.method == "INVITE" and not message.to.tag
            tag = "" if initial else session.callee_tag_of(message)
            hop = (heard.src, heard.dst)
            events += self._describe(session, message, side, tag, hop, None if initial else pending)
        return events

    def _invite(self, session: Session, message: Message, heard: Heard, side: int) -> list[Event]:
        initial = not message.to.tag
        key = (message.cseq, message.from_.tag)
        session.invites.setdefault(key, (message.branch, initial, bool(message.body)))
        while len(session.invites) > _MOST_INVITES:
            del session.invites[next(iter(session.invites))]
        if not initial:
            _remember(session.caller_tags if side == CALLER else session.callee_tags, message.from_.tag)
            if not session.was_answered and session.state != EARLY:
                return self._answer(session, session.callee_tag_of(message), heard)
            return []
        _remember(session.caller_tags, message.from_.tag)
        if session.state == FAILED:  # challenged, redirected or refused, and tried again
            session.state = TRYING
            session.final_status = session.ended_at = session.ended_mono = 0
            session.end_reason = ""
        session.replaces = session.replaces or replaced_dialog(message.get("replaces"))
        session.referred_by = session.referred_by or (message.get("referred-by") or "")
        return []

    def _ack(self, session: Session, message: Message, heard: Heard) -> list[Event]:
        """A mirror of one direction shows no 2xx; the ACK to one has a branch of its own (RFC 3261 17.1.1.3)."""
        if session.state not in (TRYING, EARLY) or not message.to.tag or not session.knows(message):
            return []
        known = session.invites.get((message.cseq, message.from_.tag))
        if known is not None and known[0] == message.branch:
            return []
        return self._answer(session, message.to.tag, heard)

    def _refer(self, session: Session, message: Message, heard: Heard, side: int) -> list[Event]:
        target = refer_target(message)
        if target is None or len(session.refers) >= _MOST_REFERS:
            return []
        refer = Refer(side, *target, heard.mono_ns)
        session.refers.append(refer)
        return [Referred(session, refer, False)]

    def _bye(self, session: Session, message: Message, heard: Heard, side: int) -> list[Event]:
        if session.was_answered and not session.knows(message):
            self.count("sip BYE with tags of no dialog")
            return []
        return self._hang_up(session, session.callee_tag_of(message), heard, f"bye-{SIDE_NAMES[side]}")

    # Responses

    def _response(self, session: Session, message: Message, heard: Heard) -> list[Event]:
        side = session.side_of(message)
        if message.method == "BYE":
            return self._bye(session, message, heard, 1 - side) if 200 <= message.status < 300 else []
        if message.method == "REFER" and session.refers and 200 <= message.status < 300:
            return [Referred(session, session.refers[-1], True)]
        if message.method not in _NEGOTIATES or message.status == 100:
            return []
        key = (message.cseq, message.from_.tag)
        known = session.invites.get(key)
        first = known[1] if known is not None else not session.was_answered
        if message.status >= 300:
            return self._refused(session, message, heard, key, first)
        tag = session.callee_tag_of(message)
        hop = (heard.src, heard.dst)
        if message.status < 200:
            if message.method == "INVITE" and first:
                self._ring(session, tag, heard)
            return self._describe(session, message, side, tag, hop, None)
        events: list[Event] = []
        if message.method == "INVITE" and (first or not session.was_answered):
            events += self._answer(session, tag, heard)
        if message.method in ("INVITE", "UPDATE"):
            _take_timer(session, message, heard)
        events += self._describe(session, message, side, tag, hop, None)
        return [*events, OfferAccepted(session, key)] if not first else events

    def _ring(self, session: Session, callee_tag: str, heard: Heard) -> None:
        dialog = self._dialog(session, callee_tag)
        if dialog is not None:
            dialog.early_at = dialog.early_at or heard.at_ns
        if session.state == TRYING:
            session.state = EARLY

    def _dialog(self, session: Session, callee_tag: str) -> Dialog | None:
        """Return the dialog with a callee's tag, a new one when there is room for it."""
        dialog = session.dialogs.get(callee_tag)
        if dialog is None and len(session.dialogs) < _MOST_TAGS:
            dialog = session.dialogs[callee_tag] = Dialog(callee_tag)
            _remember(session.callee_tags, callee_tag)
        if dialog is None:
            self.count("sip too many dialogs in a call")
        return dialog

    def _answer(self, session: Session, callee_tag: str, heard: Heard) -> list[Event]:
        dialog = self._dialog(session, callee_tag)
        if dialog is None or dialog.answered_at:
            return []
        dialog.answered_at = heard.at_ns
        if session.ended_at and session.was_answered:
            dialog.ended_at = heard.at_ns  # a 2xx that crossed the BYE
            return []
        if not session.answered_at:
            session.answered_at, session.answered_mono = heard.at_ns, heard.mono_ns
        session.state = ANSWERED
        session.ended_at = session.ended_mono = session.final_status = 0
        session.end_reason = ""
        return [DialogAnswered(session, dialog)]

    def _refused(
        self, session: Session, message: Message, heard: Heard, key: tuple[int, str], first: bool
    ) -> list[Event]:
        if message.method != "INVITE" or not first or session.was_answered:
            return [OfferRefused(session, key)]
        if session.state in (TRYING, EARLY):
            session.state = FAILED
            session.final_status = message.status
            session.ended_at, session.ended_mono = heard.at_ns, heard.mono_ns
            session.end_reason = "cancelled" if message.status == 487 else f"refused-{message.status}"
        return []

    # Ending

    def _hang_up(self, session: Session, callee_tag: str, heard: Heard, reason: str) -> list[Event]:
        if not session.is_live:
            return []
        still_up = [d for d in session.dialogs.values() if d.answered_at and not d.ended_at]
        named = session.dialogs.get(callee_tag)
        if named is not None and any(d is not named for d in still_up):
            named.ended_at = named.ended_at or heard.at_ns
            return []  # another dialog of the fork is up
        session.finish(heard.at_ns, heard.mono_ns, reason)
        return [SessionEnded(session, reason)]

    def _describe(
        self,
        session: Session,
        message: Message,
        side: int,
        callee_tag: str,
        hop: Hop,
        pending: tuple[int, str] | None,
    ) -> list[Event]:
        if not message.body:
            return []
        description = message.sdp()
        if description is None:
            return []
        if isinstance(description, Malformed):
            self.count(description.reason)
            return []
        return [MediaDescribed(session, side, callee_tag, hop, description, pending)]

    def expire(self, before_mono: int) -> list[Session]:
        """Return sessions that were never answered and will not be any more, ended and forgotten here."""
        for session in (*self._failed.values(), *self._trying.values()):
            quiet = before_mono - session.last_mono
            if quiet > (_UNANSWERED_NS if session.is_live else _AFTER_FAILURE_NS):
                self._give_up(session)
        return self.take_given_up()

    def take_given_up(self) -> list[Session]:
        """Return sessions that were given up since the last time, ended and forgotten here."""
        done, self.given_up = self.given_up, []
        return done


def _remember(tags: set[str], tag: str) -> None:
    if len(tags) < _MOST_TAGS:
        tags.add(tag)


def _take_timer(session: Session, message: Message, heard: Heard) -> None:
    """RFC 4028: every 2xx to INVITE or UPDATE sets when the session is over unless refreshed."""
    value = (message.get("session-expires") or "").split(";")[0].strip()
    if value.isdecimal() and value.isascii() and len(value) < 9:
        session.expires_s = int(value)
    if session.expires_s:
        session.expires_mono = heard.mono_ns + session.expires_s * SECOND
