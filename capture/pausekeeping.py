"""What messages, digits and leases mean for pauses: between the pipeline's commits and the book of pauses.

It keeps no state of its own: calls know their notes, the book the pauses, the watch the digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vittne.capture.addresses import AddressBook
from vittne.capture.announcing import Announcing
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.columns import SECOND
from vittne.capture.digits import DigitWatch
from vittne.capture.gates import Decided
from vittne.capture.keeping import RecordKeeper
from vittne.capture.pause import Pause, PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.paused import REACH_NS
from vittne.capture.pausenotes import begin_note, end_notes, keyed_card, tell_mutes
from vittne.capture.rules import DECISIONS, Fired, Rule, do_rules, fired_by, left, may, resume_call
from vittne.capture.selecting import matches
from vittne.capture.sip.mask import has_digits, signals
from vittne.capture.sip.message import Message
from vittne.capture.sip.session import Session
from vittne.capture.sip.siprec import recorded_by, wanted_by
from vittne.capture.sip.stream import Heard

_PAUSE_KEPT_NS: Final = 60 * SECOND
_LONGEST_AGENT: Final = 128


@dataclass(frozen=True, slots=True)
class PauseRules:
    """What is configured of pauses."""

    pause: PauseSettings
    agent_headers: tuple[str, ...] = ()  # of SIP, that name who works on a call
    rules: tuple[Rule, ...] = ()


class PauseKeeper:
    """Follows signalling, digits and leases. Times: *_at ns UTC, *_mono ns monotonic."""

    def __init__(
        self, settings: PauseRules, book: CallBook, addresses: AddressBook, pauses: PauseBook, digits: DigitWatch
    ) -> None:
        self.settings = settings
        self.book = book
        self.addresses = addresses
        self.pauses = pauses
        self.digits = digits
        self.gates: RecordKeeper | None = None
        self.announcing: Announcing | None = None

    def hear(self, found: tuple[Call, Session] | None, heard: Heard) -> None:
        """Take in a message. found: whose it is."""
        self._adopt()
        if found is not None:
            self._about(*found, heard)

    def _adopt(self) -> None:
        for kept, absorbed in self.book.links.take_merged():
            self.pauses.adopt(kept, absorbed)

    def _about(self, call: Call, session: Session, heard: Heard) -> None:
        """What a message means for pauses."""
        message = heard.message
        assert isinstance(message, Message)
        for name in self.settings.agent_headers:
            session.agent = (message.get(name) or session.agent)[:_LONGEST_AGENT]
        if message.is_request and has_digits(message.raw):
            mark = message.method, message.cseq
            if self.digits.note(call, heard.mono_ns, heard.mono_ns, ("sip", session.call_id), mark):
                side = session.side_of(message)
                user, seat = (session.caller, session.callee)[side].user, call.seat(session, side)
                for symbol in signals(message.body) if self.digits.feature_codes else ():
                    self.digits.press(call, symbol, heard.src, user, heard.mono_ns, seat)
        if self.settings.rules:
            self._follow_rules(call, session, heard, message)
        if not len(self.pauses):
            return
        named = self.pauses.naming(session.call_id)
        selected = (p for p in self.pauses.waiting(heard.mono_ns) if matches(call, p.select, self.addresses))
        for pause in (*named, *selected):
            self.pauses.attach(pause, [call])

    def _follow_rules(self, call: Call, session: Session, heard: Heard, message: Message) -> None:
        rules, settings = self.settings.rules, self.settings.pause
        fired = fired_by(rules, message, self.addresses.text(heard.src), session)
        self.open_gates(fired, call, heard.at_ns, heard.mono_ns)
        do_rules(fired, call, self.pauses, settings, heard.at_ns, heard.mono_ns)
        self._follow_siprec(session, heard, message)
        if not session.is_live:
            for rule in left(rules, call, session):
                resume_call(rule.name, call, self.pauses, settings, heard.at_ns, heard.mono_ns)

    def _follow_siprec(self, session: Session, heard: Heard, message: Message) -> None:
        """A recording client on the wire pauses its server's recording of a call: ours is paused with it."""
        session.recorded = recorded_by(message) or session.recorded
        if session.recorded is None or not message.is_request or message.method not in ("INVITE", "UPDATE"):
            return
        then = wanted_by(message)
        source = self.addresses.text(heard.src)
        for rule in self.settings.rules:
            if rule.on != "siprec" or then is None or not may(rule, source, ""):
                continue
            for about in self.book.links.about(session.recorded):
                fired = Fired(rule, then, f"{session.call_id} {message.cseq} {about.call_id}")
                call = self.book.call_of(about)
                if call is not None and (then == "pause" or any(p.actor == rule.name for p in self.pauses.of(call))):
                    do_rules([fired], call, self.pauses, self.settings.pause, heard.at_ns, heard.mono_ns)

    def open_gates(self, fired: Sequence[Fired], call: Call, at_ns: int, mono_ns: int) -> None:
        """Tell the gates' keeper what rules decide."""
        for one in fired:
            decision = DECISIONS.get(one.then)
            if decision is not None and self.gates is not None:
                self.gates.decide(call, Decided(decision, "rule", one.rule.name, at_ns, mono_ns))

    def follow_codes(self, now_at: int, now_mono: int) -> None:
        """Do what feature codes ask for, if who keyed them may."""
        offset = now_at - now_mono
        codes = self.digits.take_codes()
        if self.gates is not None:
            self.gates.press(codes, offset)
        if self.announcing is not None:
            self.announcing.press(codes)
        for code in codes:
            source = self.addresses.text(code.source)
            fired = [
                Fired(rule, rule.then, f"{code.call.id} {code.at_mono}")
                for rule in self.settings.rules
                if rule.on == "digits" and rule.digits == code.digits and may(rule, source, code.user)
            ]
            at_ns = code.at_mono + offset
            self.open_gates(fired, code.call, at_ns, code.at_mono)
            do_rules(fired, code.call, self.pauses, self.settings.pause, at_ns, code.at_mono)

    def settle(self, now_at: int, now_mono: int) -> list[Pause]:
        """See what digits ask for and which leases ran out; enter what changed in calls.

        Returns the pauses that changed and that nobody was told of yet.
        """
        self._adopt()
        for call in self.digits.take_touched():
            pause = keyed_card(call, self.settings.pause, self.pauses, now_at - now_mono)
            if pause is not None:
                self.pauses.put(pause)
        self.pauses.expire(now_mono, self.book.calls)
        untold = []
        for pause, told in self.pauses.take_changes():
            for call in self.book.calls_of(pause):
                begin_note(call, pause, now_mono)
            if not told:
                untold.append(pause)
        return untold

    def left_out(self) -> Iterator[Call]:
        """Yield calls that pauses kept from having a recording: their signalling and the pauses are evidence."""
        for call in self.book.calls.values():
            if not call.opened and any(n.streams for n in call.pauses.values()) and call.keeping.may_store:
                yield call

    def end_gaps(self, horizon: int) -> None:
        """Write the gaps of pauses whose last packet is behind us."""
        for call in self.book.calls.values():
            if call.pauses:
                end_notes(call, horizon - REACH_NS)

    def finish(self, call: Call, now_at: int, now_mono: int) -> None:
        """Enter what is still open in a call that is closed."""
        self.pauses.call_closed(call, self.book.calls, call.ended_at, call.end_mono)
        for pause in self.pauses.of(call):
            begin_note(call, pause, now_mono)
        end_notes(call, None)
        tell_mutes(call, None, now_at - now_mono)

    def keep_house(self, horizon: int, offset: int) -> None:
        """Forget what is long over. offset: UTC less monotonic time, ns."""
        self.pauses.forget(horizon - _PAUSE_KEPT_NS)
        for call in self.book.calls.values():
            if call.mutes:
                tell_mutes(call, horizon - REACH_NS, offset)
