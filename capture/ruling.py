"""Asking the recording rules about a call, when something new is known of it."""

from __future__ import annotations

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.conditions import Facts
from vittne.capture.facts import facts_of
from vittne.capture.recordrules import SETTLED_NS, RecordRule, RecordRules, Ruling
from vittne.capture.sip.message import Message


class Ruler:
    """Rules on calls of one book. Times: *_at ns UTC, *_mono ns monotonic."""

    def __init__(self, rules: RecordRules, book: CallBook, addresses: AddressBook) -> None:
        self.rules = rules
        self._book = book
        self._addresses = addresses

    @property
    def is_idle(self) -> bool:
        """Whether everything is recorded, whatever it is."""
        return not self.rules.rules

    def facts(self, call: Call) -> Facts:
        """Return what is known of a call now."""
        return facts_of(call, self.rules, self._book, self._addresses)

    def note_headers(self, call: Call, message: Message) -> None:
        """Remember which header conditions a message meets; rules at sealing ask for them, too."""
        for one in self.rules.headers:
            if one.name not in call.keeping.met and one.met_by(message.all(one.header)):
                call.keeping.met.add(one.name)

    def rule(self, call: Call, at_ns: int, mono_ns: int) -> bool:
        """Ask the rules about a call, at the time of what was heard; return whether they say something else now."""
        keeping, last = call.keeping, call.keeping.last
        if last is not None and not call.is_live:
            return False
        known = self._known(call)
        if keeping.asked == known:
            return False
        keeping.asked = known
        facts = self.facts(call)
        rule = self.rules.find(facts)
        excluded = rule.then == "exclude" or (rule.then == "percent" and not self._is_chosen(call, rule))
        if last is not None and (last.rule.name, last.excluded) == (rule.name, excluded):
            return False
        answered = min((s.answered_mono for s in call.sessions if s.answered_mono), default=mono_ns)
        is_first = last is None or mono_ns <= answered + SETTLED_NS
        begin = (0, call.first.first_at) if is_first else (mono_ns, at_ns)
        keeping.add(Ruling(*begin, rule, excluded, facts.direction == "outbound"), is_first)
        return last is not None

    def _known(self, call: Call) -> tuple[int, ...]:
        """Return counts that differ when any fact of a call may: few messages bring something new."""
        sessions = call.sessions
        return (
            len(sessions),
            sum(session.is_live for session in sessions),
            hash(tuple(session.agent for session in sessions)),
            sum(len(self._book.entries(session)) for session in sessions),
            len(call.keeping.met),
            len(call.related),
        )

    def _is_chosen(self, call: Call, rule: RecordRule) -> bool:
        """Whether percent takes a call: by the Call-ID that was seen first in it and in those related to it."""
        related = [other for other_id in call.related if (other := self._book.calls.get(other_id)) is not None]
        first = min((one.first for one in (call, *related)), key=lambda session: session.first_mono)
        return self.rules.is_chosen(rule, first.call_id or call.id)
