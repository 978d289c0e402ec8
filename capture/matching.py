"""Flows to streams: whose voice a flow is, since when, and whether it is who was expected.

A flow is looked at when it is new, when the table changed at one of its ends, and when an entry
it rests on begins or ends. In between its answer stands, so a commit costs one look-up a flow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, Stream, describe_stream, digit_types
from vittne.capture.columns import I64
from vittne.capture.flows import Flow, FlowTable
from vittne.capture.knownflows import Batch, KnownFlow, KnownFlows
from vittne.capture.media import FOREVER, Match
from vittne.capture.report import unsignalled_report
from vittne.capture.rtp import FlowRows, RtpRows
from vittne.capture.samevoice import link_same_voice
from vittne.capture.sip.session import CALLEE, Session
from vittne.capture.sources import Sources
from vittne.capture.streams import StreamStates, Tally
from vittne.capture.unsignalled import Unsignalled, is_voice, sender_of
from vittne.codecs.formats import STATIC

_PIECES: Final = 16  # answers of one flow in one commit


@dataclass(frozen=True, slots=True)
class Run:
    """Rows begin to end - 1 of a commit, grouped by flow, are one flow's and belong to one stream, or to nobody's.

    *_types: sets of payload types as they were announced at the time, an int with a bit for each.
    """

    flow: int
    stream: Stream | None
    begin: int
    end: int
    digit_types: int = 0
    redundant_types: int = 0
    known_types: int = 0


def _run(flow: KnownFlow, begin: int, end: int) -> Run:
    stream = flow.stream
    if stream is None:
        return Run(flow.number, None, begin, end)
    return Run(flow.number, stream, begin, end, stream.digit_types, stream.redundant_types, stream.known_types)


def _owner(flow: KnownFlow) -> Call | None:
    """Return the call that a flow's counts belong to by now."""
    while flow.owner is not None and flow.owner.merged_into is not None:
        flow.owner = flow.owner.merged_into
    return flow.owner


def _is_held(flow: KnownFlow) -> bool:
    """Whether a call that is up will still ask for a flow's counts."""
    owner = _owner(flow)
    return owner is not None and not owner.closed


class Matcher:
    """Answers for flows, by flow number. book.table is what it matches with."""

    def __init__(
        self,
        book: CallBook,
        states: StreamStates,
        addresses: AddressBook,
        table: FlowTable,
        unsignalled: Unsignalled | None = None,
    ) -> None:
        self._book = book
        self._states = states
        self._table = table
        self._unsignalled = unsignalled
        self._known = KnownFlows(states, addresses)
        self._sources = Sources(self._known, book)

    def clear(self, fresh: npt.NDArray[np.int32]) -> None:
        """Forget flows whose numbers were given anew."""
        for number in fresh.tolist():
            self.forget(number)

    def forget(self, number: int) -> None:
        """Drop a flow, if it is known."""
        self._known.forget(number)

    def release(self, number: int) -> None:
        """Say that the call of a flow is closed."""
        flow = self._known.get(number)
        if flow is not None:
            flow.stream, flow.due_mono = None, 0

    def stream_of(self, number: int) -> Stream | None:
        """Return the stream that a flow belongs to as far as is known now."""
        flow = self._known.get(number)
        return flow.stream if flow is not None else None

    def was_matched(self, number: int) -> bool:
        """Whether a flow was ever somebody's."""
        flow = self._known.get(number)
        return flow is None or flow.matched

    def idle(self, before_mono: int, everything: bool) -> list[int]:
        """Return flows that have been silent since a time and belong to no call that is up."""
        return [
            flow.number
            for flow in self._known
            if everything or (not _is_held(flow) and self._states.last_mono(flow.number) < before_mono)
        ]

    def match(
        self,
        flow_of: Flow,
        present: npt.NDArray[np.intp],
        first: npt.NDArray[np.int64],
        rows: RtpRows,
        whose: FlowRows,
    ) -> npt.NDArray[np.intp]:
        """Answer for the flows of a commit; return them with a call's flows side by side.

        flow_of: (n,) flow number of each row. present: the flow numbers in it; first: the first row of each.
        """
        self._known.begin(Batch(flow_of, rows))
        self.apply_changes()
        monos = rows.mono_ns[first].tolist()
        missing = [place for place, number in enumerate(present.tolist()) if number not in self._known]
        if missing:
            self._known.add_rows(present[missing], first[missing], rows, whose)
        for number, mono in zip(present.tolist(), monos, strict=True):
            flow = self._known[number]
            if mono >= flow.due_mono:
                self._answer(flow, mono)
        order: dict[int, int] = {}
        keys = []
        for number in present.tolist():  # calls may have become one meanwhile
            stream = self._known.now(number).stream
            keys.append(-1 if stream is None else order.setdefault(id(stream.call), len(order)))
        return present[np.argsort(np.array(keys), kind="stable")]

    def runs(self, heads: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], mono: I64) -> list[Run]:
        """Return what the rows of a commit are, grouped as match() said. Nearly always one run a flow.

        ends: the row after each group's last. mono: (n,) times of the rows.
        """
        lasts = mono[ends - 1].tolist()
        found: list[Run] = []
        begin = 0
        for number, end, last in zip(heads.tolist(), ends.tolist(), lasts, strict=True):
            flow = self._known.now(number)
            if last < flow.due_mono:
                found.append(_run(flow, begin, end))
            else:
                found += self._runs_of(flow, begin, mono[begin:end])
            begin = end
        self._known.batch = Batch.empty()
        return found

    def _runs_of(self, flow: KnownFlow, offset: int, mono: I64) -> list[Run]:
        """One flow whose answer may change within the commit."""
        found: list[Run] = []
        begin, last = 0, int(mono[-1])
        while begin < len(mono):
            if int(mono[begin]) >= flow.due_mono and len(found) < _PIECES:
                flow = self._answer(flow, int(mono[begin]))
            end = len(mono)
            if flow.due_mono <= last and len(found) < _PIECES:
                end = max(int(np.searchsorted(mono, flow.due_mono, "left")), begin + 1)
            run = _run(flow, offset + begin, offset + end)
            if found and replace(run, begin=found[-1].begin) == replace(found[-1], end=run.end):
                found[-1] = replace(found[-1], end=run.end)
            else:
                found.append(run)
            begin = end
        return found

    def apply_changes(self) -> None:
        """Have flows looked at again whose places are named anew; every commit, that none piles up."""
        table = self._book.table
        for place in table.changed:
            for number in self._known.at(place):
                self._known[number].due_mono = 0
        table.changed.clear()

    def _answer(self, flow: KnownFlow, mono: int) -> KnownFlow:
        """Say whose a flow is at a time. It gets another number when it goes from one call to another."""
        table = self._book.table
        current = flow.stream.session if flow.stream is not None else None
        due = table.next_change(flow.src, flow.dst, mono)
        for match in self._preferred(table.find(flow.src, flow.dst, mono, flow.payload_type, current), mono):
            call = self._book.call_of(match.session)
            if call is not None and not call.closed and self._sources.has_room(call, flow):
                flow = self._owned(flow, call)
                flow.due_mono, flow.matched = due, True
                flow.stream = self._stream(flow, match, call, mono)
                flow.owner = flow.stream.call
                return flow
        was_signalled = flow.was_signalled or (flow.owner is not None and not flow.owner.is_unsignalled)
        if self._unsignalled is not None and not was_signalled:
            call = self._unsignalled_call(flow, mono)
            if call is not None and self._sources.has_room(call, flow):
                flow = self._owned(flow, call)
                stream = call.streams.get(flow.number) or self._add_stream(
                    flow, call, call.first, sender_of(call, flow.src)
                )
                flow.due_mono, flow.stream, flow.owner, flow.matched = due, stream, call, True
                return flow
            due = min(due, self._known.batch.last_mono + 1)  # more packets may make it likelier
        flow = self._owned(flow, None)
        flow.due_mono, flow.stream = due, None
        return flow

    def _unsignalled_call(self, flow: KnownFlow, mono: int) -> Call | None:
        """The call of a voice that no signalling explains."""
        assert self._unsignalled is not None
        if flow.stream is None and not is_voice(*self._known.batch.sequence(self._known.first_number(flow.number))):
            return None
        return self._unsignalled.call_for(
            flow.src, flow.dst, self._known.ends(flow), self._known.batch.at_ns(mono), mono
        )

    def _owned(self, flow: KnownFlow, call: Call | None) -> KnownFlow:
        """Return the flow under a number whose counts are this call's alone."""
        owner = _owner(flow)
        if owner is None or owner is call:
            return flow
        number = self._table.renumber(flow.number)
        if number < 0:
            return flow  # the table is full: its counts go on under the old name
        self._states.clear(np.array([number], np.int32))
        self._known.move(flow.number, number)
        flow.due_mono = FOREVER
        fresh = replace(
            flow, number=number, stream=None, owner=None, matched=False, was_signalled=not owner.is_unsignalled
        )
        self._known.add(fresh)
        return fresh

    def _preferred(self, matches: list[Match], mono: int) -> list[Match]:
        """Of readings that fit equally well, one whose call talks, or is answered, comes before one that only says so.

        So nobody gets a call's media by naming its ports in an INVITE; who took over ports whose BYE was
        not seen is answered, and the call before is silent.
        """
        if len(matches) < 2 or matches[0].score != matches[1].score:
            return matches
        return sorted(matches, key=lambda m: (m.score, self._talks(m, mono), m.session.was_answered), reverse=True)

    def _talks(self, match: Match, mono: int) -> bool:
        call = self._book.call_of(match.session)
        return call is not None and any(
            stream.session is match.session
            and stream.sender == match.sender
            and self._sources.is_active(stream.flow, mono)
            for stream in call.streams.values()
        )

    def _stream(self, flow: KnownFlow, match: Match, call: Call, mono: int) -> Stream:
        entry = match.towards or match.source
        assert entry is not None
        stream = call.streams.get(flow.number)
        if stream is None:
            stream = self._new_stream(flow, match, call, mono)
        elif stream.session is not match.session or stream.sender != match.sender:
            stream.session, stream.sender, stream.announced = match.session, match.sender, False
            stream.seat = call.seat(match.session, match.sender)
        callee = next((e for e in (match.towards, match.source) if e is not None and e.side == CALLEE), None)
        stream.callee_tag = callee.callee_tag if callee is not None else ""
        receiver, sender = self._book.described(match)
        describe_stream(stream, receiver, sender)
        stream.digit_types |= self._digits_announced(match.session, mono)
        self._sources.lock(flow, stream, match, mono)
        stream.entry = entry
        format_ = stream.formats.get(flow.payload_type) or STATIC.get(flow.payload_type)
        if format_ is not None:
            self._states.set_clock_rate(flow.number, format_.clock_rate)
        return stream

    def _digits_announced(self, session: Session, mono: int) -> int:
        """Return the payload types that mean digits to either party, those that just changed included."""
        return digit_types(e.media.payloads for e in self._book.entries(session) if e.covers(mono))

    def _new_stream(self, flow: KnownFlow, match: Match, call: Call, mono: int) -> Stream:
        stream = self._add_stream(flow, call, match.session, match.sender)
        answered = match.session.answered_mono
        stream.early = not answered or mono < answered
        link_same_voice(self._known, self._book, flow, stream)
        return stream

    def _add_stream(self, flow: KnownFlow, call: Call, session: Session, sender: int) -> Stream:
        call.numbers_given += 1
        seat = call.seat(session, sender)
        stream = Stream(
            flow.number, call.numbers_given, flow.ssrc, *self._known.ends(flow), call, session, sender, seat
        )
        call.streams[flow.number] = stream
        return stream

    def unsignalled_report(self, number: int, tally: Tally) -> dict[str, Any]:
        """Return what is known of a flow that no signalling explains, as a stream of `vittne streams`."""
        flow = self._known[number]
        return unsignalled_report(flow.ssrc, *self._known.ends(flow), tally)
