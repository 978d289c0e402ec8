"""Orders to pause, resume and extend, done at once, and the answer that names what they did.

An order is done when it stands in the pause book: every packet from its beginning on that was not being written
yet will be left out. What is answered comes from packets in hand, so that a first packet left out can be named
before its commit. May be called from a second thread; it only reads what belongs to the first one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from vittne.capture.calls import Call
from vittne.capture.columns import SECOND
from vittne.capture.media import FOREVER, Place
from vittne.capture.pause import BOTH, AtLeaseEnd, Pause
from vittne.capture.pipeline import Pipeline
from vittne.capture.rtp import FlowRows, RtpRows
from vittne.capture.selecting import select_calls
from vittne.capture.sip.session import SIDE_NAMES
from vittne.capture.times import rfc3339

PAUSED: Final = "paused"
ALREADY: Final = "already"
ARMED: Final = "armed"
NO_CALL: Final = "no-call"
SEVERAL: Final = "several"
NO_PARTY: Final = "no-party"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"
ENDED: Final = "ended"
RESUMED: Final = "resumed"
EXTENDED: Final = "extended"
FOUND: Final = "found"

API: Final = "api"  # triggers
CHANNEL_DOWN: Final = "channel-down"

_LISTED: Final = 20  # calls in an answer
_LOOK_ROWS: Final = 4096
_LOOK_NS: Final = 2 * SECOND  # within which a voice that is up sends something

Scope = Literal["call", "party", "agent"]


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """What somebody wants. *_at ns UTC, *_mono ns monotonic, both of the same moment.

    effective_at: 0 for now. scope: all of a call, the stream of the party that select names (or `party` does), or
    whatever calls match until resumed. wait_ns: how long to wait for a call that is not there yet. several: pause
    all when several match; else none is paused.
    """

    id: str
    trigger: str
    actor: str
    select: dict[str, str]
    asked_at: int
    asked_mono: int
    lease_ns: int
    effective_at: int = 0
    scope: Scope = "call"
    party: str = ""
    wait_ns: int = 0
    several: bool = False
    also: tuple[str, ...] = ()  # further SIP Call-IDs of the same call
    is_update: bool = False  # who asks names one pause by external_id, and may name more of its calls later
    at_lease_end: AtLeaseEnd = "stay"
    reason: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an order came to. state: one of the words above; calls: what was meant, or could have been."""

    state: str
    pause: Pause | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    more_calls: int = 0  # that are not listed


def new_id() -> str:
    """Return an id for a pause."""
    return str(uuid.uuid4())


def pause(pipeline: Pipeline, order: PauseOrder) -> Answer:
    """Do an order to pause."""
    book = pipeline.pauses
    known = book.get(order.id)
    if known is not None:
        return _answer(pipeline, ALREADY if known.is_live else ENDED, known)
    calls = _selected(pipeline, order)
    standing = order.scope == "agent"
    if len(calls) > 1 and not (order.several or standing):
        return Answer(SEVERAL, calls=[describe_call(c) for c in calls[:_LISTED]], more_calls=len(calls[_LISTED:]))
    if not calls and not order.wait_ns and not standing:
        return Answer(NO_CALL)
    meant = _parties(calls, order)
    if meant is None:
        return Answer(NO_PARTY, calls=[describe_call(call) for call in calls[:_LISTED]])
    with book.lock:
        same = _same(pipeline, order, calls, meant[0])
        if same is not None:
            same = book.attach(same, calls, order.also)
            if same.lease_mono < order.asked_mono + order.lease_ns:
                ends = order.asked_at + order.lease_ns, order.asked_mono + order.lease_ns
                same = book.extend(same, *ends)
    if same is not None:
        return _answer(pipeline, ALREADY, same)
    done = book.put(_made(pipeline, order, calls, meant, standing), told=True)
    if not done.is_live:
        return Answer(REFUSED, done)
    if not calls:  # one may have appeared meanwhile
        calls = _selected(pipeline, order)
        done = book.attach(done, calls)
    return _answer(pipeline, PAUSED if calls else ARMED, done)


def _selected(pipeline: Pipeline, order: PauseOrder) -> list[Call]:
    calls = select_calls(pipeline.book, order.select, pipeline.addresses)
    for call_id in order.also:
        call = pipeline.book.call_with(call_id)
        if call is not None and not call.closed and call not in calls:
            calls.append(call)
    return calls


def _made(
    pipeline: Pipeline, order: PauseOrder, calls: Sequence[Call], meant: tuple[int, list[str]], standing: bool
) -> Pause:
    waits = FOREVER if standing else order.asked_mono + order.wait_ns
    seat, parties = meant
    call_ids = (s.call_id for call in calls for s in call.sessions if s.call_id)
    return replace(
        ordered(order, pipeline.settings.pause.guard_ns),
        seat=seat,
        parties=tuple(parties),
        calls=tuple(call.id for call in calls),
        call_ids=tuple(dict.fromkeys([*call_ids, *order.also])),
        select=dict(order.select),
        armed_until_mono=waits if standing or not calls else 0,
        armed_until_at=order.asked_at + order.wait_ns if not standing and not calls else 0,
        ambiguous=len(calls) > 1 and not standing,
    )


def ordered(order: PauseOrder, guard_ns: int) -> Pause:
    """Return the pause that an order asks for, of no call yet."""
    back = guard_ns + (order.asked_at - order.effective_at if order.effective_at else 0)
    return Pause(
        order.id,
        order.trigger,
        order.actor,
        order.asked_at,
        order.asked_at - back,
        order.asked_mono - back,
        order.asked_at + order.lease_ns,
        order.asked_mono + order.lease_ns,
        order.at_lease_end,
        order.reason,
        order.external_id,
        order.scope,
    )


def _parties(calls: Sequence[Call], order: PauseOrder) -> tuple[int, list[str]] | None:
    """Return the seat that is to be paused, and who sits there; None when it cannot be told."""
    if order.scope != "party":
        return BOTH, []
    if order.party in SIDE_NAMES:
        seat = SIDE_NAMES.index(order.party)
        return seat, [one for call in calls for one in call.parties(seat)]
    user = order.select.get("extension") or order.select.get("number") or ""
    seats = {call.seat_of_user(user) for call in calls}
    found = seats.pop() if len(seats) == 1 else None
    return None if found is None else (found & 1, [one for call in calls for one in call.parties(found & 1, user)])


def _same(pipeline: Pipeline, order: PauseOrder, calls: Sequence[Call], seat: int) -> Pause | None:
    """Return the pause that lives and means just this: asked twice it is asked once."""
    wanted = {call.id for call in calls}
    for one in pipeline.pauses.live():
        if (one.trigger, one.actor, one.external_id, one.seat) != (
            order.trigger,
            order.actor,
            order.external_id,
            seat,
        ):
            continue
        if order.is_update and order.external_id:
            return one
        if wanted == set(one.calls) if wanted else (not one.calls and one.select == order.select):
            return one
    return None


def resume(pipeline: Pipeline, pause_id: str, asked_at: int, asked_mono: int, by: str) -> Answer:
    """End a pause as soon as its guard is over."""
    known = pipeline.pauses.get(pause_id)
    if known is None:
        return Answer(UNKNOWN)
    if not known.is_live:
        return _answer(pipeline, ENDED, known)
    guard_ns = pipeline.settings.pause.guard_ns
    done = pipeline.pauses.end(known, asked_at + guard_ns, asked_mono + guard_ns, by, told=True)
    return _answer(pipeline, RESUMED, done)


def extend(pipeline: Pipeline, pause_id: str, asked_at: int, asked_mono: int, lease_ns: int) -> Answer:
    """Give a pause a lease that ends later, counted from now."""
    known = pipeline.pauses.get(pause_id)
    if known is None:
        return Answer(UNKNOWN)
    if not known.is_live:
        return _answer(pipeline, ENDED, known)
    return _answer(pipeline, EXTENDED, pipeline.pauses.extend(known, asked_at + lease_ns, asked_mono + lease_ns))


def pauses_on(pipeline: Pipeline, select: dict[str, str], only: str = "") -> list[Pause]:
    """Return the pauses that live on the calls that are selected, or that wait with this very selection.

    only: those that this one asked for. Left out are those that end when a control channel is back.
    """
    calls = select_calls(pipeline.book, select, pipeline.addresses)
    found = {one.id: one for call in calls for one in pipeline.pauses.of(call) if one.is_live}
    found |= {one.id: one for one in pipeline.pauses.live() if one.armed_until_mono and one.select == select}
    return [one for one in found.values() if only in ("", one.actor) and one.trigger != CHANNEL_DOWN]


def status(pipeline: Pipeline, pause_id: str) -> Answer:
    """Return how a pause stands."""
    known = pipeline.pauses.get(pause_id)
    if known is None:
        return Answer(UNKNOWN)
    state = ENDED if not known.is_live else ARMED if known.is_armed else PAUSED
    return _answer(pipeline, state, known)


def _answer(pipeline: Pipeline, state: str, done: Pause) -> Answer:
    calls = pipeline.book.calls_of(done)
    described = [{**describe_call(call), "streams": _streams(pipeline, call, done)} for call in calls[:_LISTED]]
    return Answer(state, done, described, len(calls[_LISTED:]))


def describe_call(call: Call) -> dict[str, Any]:
    """Return what tells a call from others."""
    first = call.first
    return {
        "recording": call.id,
        "sip_call_ids": [s.call_id for s in call.sessions if s.call_id],
        "caller": first.caller.user or first.caller.uri,
        "callee": first.callee.user or first.callee.uri,
        "agent": next((s.agent for s in call.sessions if s.agent), ""),
        "started_at": rfc3339(first.first_at),
        "answered_at": rfc3339(call.answered_at),
    }


def _streams(pipeline: Pipeline, call: Call, done: Pause) -> list[dict[str, Any]]:
    """Return the streams of a call that a pause is on, each with the first packet left out, if one came already.

    What is written was entered by stream; what is in hand is not matched yet, and told by its addresses.
    """
    origin = call.answered_at or call.first.first_at
    noted = call.pauses.get(done.id)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for stream in list(call.streams.values()):
        if not call.is_paused_by(done, (stream.session.call_id, stream.sender), stream.seat):
            continue
        entry = found.setdefault((stream.ssrc, stream.party), _stream(stream.party, stream.ssrc))
        left_out = noted.streams.get(stream.number) if noted is not None else None
        if left_out is not None and entry["first_dropped"] is None:
            rate = stream.clock.rate if stream.clock is not None else 8000
            entry["first_dropped"] = _first(left_out.first_at, left_out.first_seq, origin, rate)
    for rows, whose, row in _first_rows(pipeline, call, done):
        told = _party(pipeline, call, done, rows, whose, row)
        if told is None:
            continue
        ssrc = int(whose.ssrc[row])
        entry = found.setdefault((ssrc, told[0]), _stream(told[0], ssrc))
        if entry["first_dropped"] is None:
            entry["first_dropped"] = _first(int(rows.at_ns[row]), int(rows.seq[row]), origin, told[1])
    return list(found.values())


def _stream(party: str, ssrc: int) -> dict[str, Any]:
    return {"party": party, "ssrc": f"{ssrc:08X}", "first_dropped": None}


def _first(at_ns: int, sequence: int, origin: int, rate: int) -> dict[str, Any]:
    """Return a packet as an answer names it. sample: on the recording's time line, that begins at the answer."""
    return {
        "at": rfc3339(at_ns),
        "sequence": sequence,
        "sample": (at_ns - origin) * rate // 1_000_000_000,
        "sample_rate": rate,
    }


def _party(
    pipeline: Pipeline, call: Call, done: Pause, rows: RtpRows, whose: FlowRows, row: int
) -> tuple[str, int] | None:
    """Return whose voice a packet in hand is in a call, and its clock rate; None when no pause of it is on that."""
    src, dst = (int(whose.src[row]), int(whose.sport[row])), (int(whose.dst[row]), int(whose.dport[row]))
    payload_type = int(rows.payload_type[row])
    for match in pipeline.book.table.find(src, dst, int(rows.mono_ns[row]), payload_type, None):
        if pipeline.book.call_of(match.session) is call:
            format_ = match.media.payloads.get(payload_type)
            rate = format_.clock_rate if format_ is not None else 8000
            seat = call.seat(match.session, match.sender)
            is_paused = call.is_paused_by(done, (match.session.call_id, match.sender), seat)
            return (SIDE_NAMES[seat & 1], rate) if is_paused else None
    return None


def _first_rows(pipeline: Pipeline, call: Call, done: Pause) -> Iterator[tuple[RtpRows, FlowRows, int]]:
    """Yield the first packet in hand of each flow at a call's places, from a pause's beginning on.

    Packets of a while are looked at, as many as it takes to see each place once.
    """
    places = {e.place for s in list(call.sessions) for e in list(pipeline.book.entries(s)) if e.to_mono == FOREVER}
    seen: set[tuple[int, ...]] = set()
    begin_mono = max(done.from_mono, pipeline.pauses.horizon_mono)
    until = min(done.to_mono, begin_mono + _LOOK_NS)
    for rows, whose in pipeline.in_hand():
        if rows.mono_ns[-1] < begin_mono:
            continue
        first, end = np.searchsorted(rows.mono_ns, [begin_mono, until], "left").tolist()
        for begin in range(first, end, _LOOK_ROWS):
            if len({flow[2:4] for flow in seen}) >= len(places):
                return
            part = slice(begin, min(begin + _LOOK_ROWS, end))
            for row, flow in _flows_at(whose, places, part):
                if flow not in seen:
                    seen.add(flow)
                    yield rows, whose, row


def _flows_at(whose: FlowRows, places: set[Place], part: slice) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (row, source, port, destination, port, SSRC) of rows that go to one of some places."""
    dst, dport = whose.dst[part], whose.dport[part]
    mine = np.zeros(len(dst), np.bool_)
    for address, port in places:
        mine |= (dport == port) & (dst == address)
    which = part.start + np.flatnonzero(mine)
    names = [getattr(whose, name)[which].tolist() for name in ("src", "sport", "dst", "dport", "ssrc")]
    yield from zip(which.tolist(), zip(*names, strict=True), strict=True)
