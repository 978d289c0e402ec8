"""Which of a commit's packets are stored, by the rules on what is recorded and by gates: around capture/gates.py.

The pipeline tells of messages, of packets that are due and of calls that end; what comes out is which rows are left
out, which wait in locked memory, what is to be written after all, and which recording has to go.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.addresses import AddressBook
from vittne.capture.assemble import Packets, encode
from vittne.capture.buffers import Buffers
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, Stream
from vittne.capture.digits import FeatureCode
from vittne.capture.facts import shown
from vittne.capture.gatebuffer import GateBuffer
from vittne.capture.gates import (
    BEFORE_GATE,
    BY_API,
    DISCARDED,
    EXCLUDED,
    GATE_LOST,
    LIMIT,
    NOT_OPENED,
    REFUSED,
    Decided,
    Refusal,
    State,
)
from vittne.capture.matching import Run
from vittne.capture.recordrules import RecordRule, RecordRules
from vittne.capture.rtp import RtpRows
from vittne.capture.ruling import Ruler
from vittne.capture.sip.message import Message
from vittne.capture.sip.session import SIDE_NAMES
from vittne.capture.sip.stream import Heard

Mask = npt.NDArray[np.bool_]

WRONG_SIDE: Final = "gate: announcement played by the other party"  # a counter, of calls
_MOST_DECIDED: Final = 100_000
_MOST_EXPECTED: Final = 20_000
_REASONS: Final[dict[State, str]] = {"excluded": EXCLUDED, "shut": DISCARDED, "closed": BEFORE_GATE}


class RecordKeeper:
    """Rules and gates of all calls. decide() may be called from a second thread."""

    def __init__(self, rules: RecordRules, book: CallBook, addresses: AddressBook, counters: Counter[str]) -> None:
        self.rules = rules
        self.buffer = GateBuffer(rules.limits)
        self._book = book
        self._ruler = Ruler(rules, book, addresses)
        self._counters = counters
        self._decided: deque[Call] = deque(maxlen=_MOST_DECIDED)
        self._expected: dict[str, list[Decided]] = {}  # by SIP Call-ID, of calls that were not heard of yet
        self._held: list[tuple[Call, Packets]] = []
        self._refused: deque[tuple[Call, Decided]] = deque(maxlen=_MOST_DECIDED)

    @property
    def is_idle(self) -> bool:
        """Whether everything is recorded, whatever it is."""
        return self._ruler.is_idle

    def revive(self) -> None:
        """Go on after a worker that died: what it held is gone, and its calls say so."""
        for call in self._book.calls.values():
            for stream in call.streams.values():
                if stream.held:
                    stream.drop(GATE_LOST, stream.held)
                    stream.held = 0
                    call.keeping.lost = True

    # What is heard

    def hear(self, call: Call, heard: Heard) -> None:
        """See whether a message changes what rules say of its call."""
        if not isinstance(heard.message, Message):
            return
        self._ruler.note_headers(call, heard.message)
        if not self.is_idle and self._ruler.rule(call, heard.at_ns, heard.mono_ns):
            self._decided.append(call)
        if self._expected and call.keeping.last is not None:
            for decided in self._expected.pop(heard.message.call_id, ()):
                self.decide(call, decided)

    def expect(self, call_id: str, decided: Decided) -> None:
        """Keep a decision for a call that was not heard of since the start."""
        if len(self._expected) < _MOST_EXPECTED:
            self._expected.setdefault(call_id, []).append(decided)

    def press(self, codes: Iterable[FeatureCode], offset: int) -> None:
        """See whether keys decide gates. offset: UTC less monotonic time."""
        for code in codes:
            last = code.call.keeping.last
            if last is None or code.seat < 0:
                continue
            keys = last.rule.keys
            answered = min((s.answered_mono for s in code.call.sessions if s.answered_mono), default=0)
            in_time = answered and answered <= code.at_mono <= answered + keys.within_ns
            if not in_time or keys.by not in ("either", SIDE_NAMES[code.seat & 1]):
                continue
            for symbol, decision in ((keys.consent, "agreed"), (keys.refuse, "refused")):
                if symbol and code.digits == symbol:
                    self.decide(
                        code.call, Decided(decision, "digits", last.rule.name, code.at_mono + offset, code.at_mono)
                    )

    def note_wrong_side(self, call: Call) -> None:
        """What would decide a call's gate was played by the other party; counted once a call."""
        if not call.keeping.was_wrong_side:
            call.keeping.was_wrong_side = True
            self._counters[WRONG_SIDE] += 1

    def decide(self, call: Call, decided: Decided) -> None:
        """Take in a decision on a call, and on what is related to it; may be asked from a second thread.

        No lock: a decision is appended, and its call noted behind it. Whatever a commit did before it saw the decision
        is looked at again with the note, at the next settling: nothing waits in vain, and what was written goes.
        """
        self._decide(call, decided)
        while call.merged_into is not None:  # it became part of another one meanwhile
            call = call.merged_into
            self._decide(call, decided)

    def concerned(self, call: Call) -> list[Call]:
        """Return the calls that a decision on a call is about."""
        related = (self._book.calls.get(name) for name in tuple(call.related))
        return [one for one in (call, *related) if one is not None and not one.closed]

    def _decide(self, call: Call, decided: Decided) -> None:
        for one in self.concerned(call):
            if one.keeping.decide(decided):
                one.event(decided.at_ns, decided.mono_ns, "gate", **_told(decided))
                self._decided.append(one)
                if decided.decision == REFUSED and decided.trigger != BY_API and one.keeping.shut_by == REFUSED:
                    self._refused.append((one, decided))

    def take_refused(self) -> list[Refusal]:
        """Return the calls that were refused since the last time; who asked over the API tells of it itself."""
        return [_refusal(*self._refused.popleft()) for _ in range(len(self._refused))]

    # What is due

    def sift(self, rows: RtpRows, runs: Sequence[Run], wanted: Mask) -> tuple[Mask, Mask | None]:
        """Return (rows to be stored, rows that wait), both of the wanted ones; calls are told what is left out."""
        hold: Mask | None = None
        if self.is_idle:
            return wanted, hold
        wanted = wanted.copy()
        for run in runs:
            stream = run.stream
            if stream is None or not stream.is_kept:
                continue
            if stream.call.keeping.last is None:  # no message told of it
                self._ruler.rule(stream.call, int(rows.at_ns[run.begin]), int(rows.mono_ns[run.begin]))
            if stream.call.keeping.is_plain:
                continue
            waits = self._sift(rows.mono_ns[run.begin : run.end], stream, wanted[run.begin : run.end])
            if waits is not None:
                hold = np.zeros(len(rows), np.bool_) if hold is None else hold
                hold[run.begin : run.end] = waits
                stream.held += int(np.count_nonzero(waits))
        return wanted, hold

    def _sift(self, mono: npt.NDArray[np.int64], stream: Stream, wanted: Mask) -> Mask | None:
        """Take rows of one stream out of wanted; return those that wait."""
        hold: Mask | None = None
        keeping = stream.call.keeping
        for ruling, begin, until, state in keeping.spans():
            mine = (mono >= begin) & (mono < until) & wanted
            reason = _REASONS.get(state, "")
            if state == "closed" and ruling.rule.keep_before:
                hold = mine if hold is None else hold | mine
                wanted &= ~mine
                continue
            if state == "open":
                by = keeping.opened(ruling)
                mine &= mono < (by.mono_ns if by is not None and not ruling.rule.keep_before else 0)
                reason = BEFORE_GATE
            number = int(np.count_nonzero(mine))
            if number:
                stream.drop(reason, number)
                wanted &= ~mine
        return hold

    def wait(self, held: list[tuple[Call, Packets]]) -> None:
        """Take in packets that wait for a gate, to be held() before their blocks go back."""
        self._held = held

    def take_waiting(self) -> list[tuple[Call, Packets]]:
        """Return the packets that wait() was told of."""
        held, self._held = self._held, []
        return held

    def hold(
        self, call: Call, descriptions: Sequence[bytes], packets: Packets, buffers: Buffers, now: tuple[int, int]
    ) -> bool:
        """Copy packets into locked memory, behind what describes their streams; at the limit the rule decides.

        now: UTC and monotonic ns. Returns whether they are to be written instead, behind what is released().
        """
        pieces: list[bytes | memoryview] = [*descriptions, *encode(packets, buffers)]
        if call.keeping.shut_by or self.buffer.hold(call.id, pieces):
            return False
        self._counters["gate: no more memory"] += 1
        last = call.keeping.last
        if last is not None and last.rule.at_limit == "keep":
            self.decide(call, Decided(LIMIT, "limit", last.rule.name, *now))
            if not _is_closed(call):
                return True
        else:
            call.keeping.shut_by = LIMIT
        # These packets found no room: they are gone either way.
        for number, count in zip(*np.unique(packets.stream, return_counts=True), strict=True):
            stream = next(s for s in call.streams.values() if s.number == number)
            stream.held -= int(count)
            stream.drop(DISCARDED if call.keeping.shut_by else GATE_LOST, int(count))
        call.keeping.lost |= not call.keeping.shut_by
        self._decided.append(call)
        return False

    # What was decided

    def take_decided(self) -> list[Call]:
        """Return the calls whose rulings or gates changed since the last time."""
        found: dict[str, Call] = {}
        while self._decided:
            call = self._decided.popleft()
            while call.merged_into is not None:
                call = call.merged_into
            found[call.id] = call
        return [call for call in found.values() if not call.closed]

    def released(self, call: Call) -> tuple[list[bytes], int]:
        """Return the records of a call that waited and may be written now, and how many packets; else nothing."""
        keeping = call.keeping
        if keeping.shut_by or not any(s.held for s in call.streams.values()):
            return [], 0
        if keeping.is_excluded:
            self._wipe(call, EXCLUDED)
            return [], 0
        if _is_closed(call):
            return [], 0
        pieces: list[bytes] = []
        for name in (*call.absorbed, call.id):
            pieces += self.buffer.release(name, keeping.renumbered.get(name))
        packets = 0
        for stream in call.streams.values():
            stream.stored += stream.held
            packets += stream.held
            stream.held = 0
        return pieces, packets

    def erase(self, call: Call) -> bool:
        """Wipe what is to go of a call; whether what was, or is about to be, written of it has to go as well."""
        keeping = call.keeping
        if not keeping.shut_by or keeping.is_erased:
            return False
        self._wipe(call, DISCARDED)
        if not keeping.erases_all:
            return False
        keeping.is_erased = True
        _unstore(call, DISCARDED)
        return True

    def finish(self, call: Call) -> bool:
        """End a call: a gate that was not opened stays shut. Whether what was written of it, if anything, may stay."""
        keeping = call.keeping
        if _is_closed(call):
            keeping.shut_by = keeping.shut_by or NOT_OPENED
        self._wipe(call, DISCARDED)
        if any(stream.stored for stream in call.streams.values()):
            _note_gaps(call)
        if keeping.is_excluded:
            _unstore(call, EXCLUDED)
        elif keeping.erases_all:
            _unstore(call, DISCARDED)
        return not (keeping.is_excluded or keeping.erases_all)

    def report(self, call: Call) -> tuple[str, list[str], dict[str, Any]]:
        """Return a call's site, its tags, and what its report says of rules and gates."""
        facts = self._ruler.facts(call)
        rule = call.keeping.last.rule if call.keeping.last is not None else RecordRule("")
        details = {"recording_rule": call.keeping.as_json(self.rules.version), "facts": shown(facts)}
        return rule.site or self.rules.site, list(rule.tags), details

    def _wipe(self, call: Call, reason: str) -> None:
        for name in (*call.absorbed, call.id):
            self.buffer.wipe(name)
        for stream in call.streams.values():
            if stream.held:
                stream.drop(reason, stream.held)
                stream.held = 0


def _refusal(call: Call, decided: Decided) -> Refusal:
    while call.merged_into is not None:
        call = call.merged_into
    call_ids = list(dict.fromkeys(session.call_id for session in call.sessions if session.call_id))
    erased = [call.id, *call.absorbed] if call.keeping.erases_all else []
    return Refusal(call.id, decided.trigger, decided.by, decided.at_ns, decided.mono_ns, call_ids, erased)


def _is_closed(call: Call) -> bool:
    """Whether some of a call waits for a decision."""
    return any(state == "closed" for _, _, _, state in call.keeping.spans())


def _note_gaps(call: Call) -> None:
    """Enter the times of a call that rules or a gate left out, so that what is stored keeps its length."""
    keeping, last = call.keeping, call.ended_at
    begin = call.answered_at or call.first.first_at
    for number, (ruling, _, _, state) in enumerate(keeping.spans()):
        following = keeping.rulings[number + 1 :]
        from_at, to_at = max(begin, ruling.from_at), following[0].from_at if following else last
        by = keeping.opened(ruling)
        if state == "open" and by is not None and not ruling.rule.keep_before:
            to_at, reason = min(to_at, by.at_ns), BEFORE_GATE
        elif state == "open" or from_at >= to_at:
            continue
        else:
            reason = EXCLUDED if state == "excluded" else DISCARDED
        if from_at < to_at:
            call.gap(from_at, to_at, reason)


def _unstore(call: Call, reason: str) -> None:
    for stream in call.streams.values():
        if stream.stored:
            stream.drop(reason, stream.stored)
            stream.stored = 0


def _told(decided: Decided) -> dict[str, str]:
    return {"decision": decided.decision, "trigger": decided.trigger, "by": decided.by}
