"""One voice on two legs: packets that enter a host and leave it again are one call's (DESIGN 4)."""

from __future__ import annotations

from typing import Final

from vittne.capture.callbook import CallBook
from vittne.capture.calls import CERTAIN, Stream, relayed_by, users
from vittne.capture.columns import SECOND
from vittne.capture.knownflows import KnownFlow, KnownFlows
from vittne.capture.sip.session import Session

_SAME_VOICE_NS: Final = SECOND
_SAME_VOICE_STEPS: Final = 50  # packets; a relay holds nothing longer
_MOST_ALIKE: Final = 64  # flows of one SSRC; more say nothing


def link_same_voice(known: KnownFlows, book: CallBook, flow: KnownFlow, stream: Stream) -> None:
    """Link calls by the SSRC and sequence of a flow that enters a host and of one that leaves it."""
    alike = known.alike(flow.ssrc)
    if len(alike) > _MOST_ALIKE:
        return
    others = [
        other
        for other in (known[number] for number in sorted(alike))
        if other is not flow and other.stream is not None and _goes_through(known, flow, stream, other, other.stream)
    ]
    own = next((o for o in others if o.stream is not None and o.stream.call is stream.call), None)
    if own is None:
        own = _only_leg(stream, others)
        if own is None or own.stream is None:
            return
        older, newer = sorted((own.stream.session, stream.session), key=lambda s: s.first_mono)
        book.links.link(older, newer, f"SSRC {flow.ssrc:08X} passes through", CERTAIN)
    if own.stream is not None and own.stream.call is stream.call:
        _same_seat(flow, stream, own, own.stream)


def _goes_through(known: KnownFlows, flow: KnownFlow, stream: Stream, other: KnownFlow, theirs: Stream) -> bool:
    """Whether two flows carry one voice, before and behind a host in the middle."""
    if theirs.call.closed or not _is_same_voice(known, flow, other):
        return False
    through = flow.src[0] == other.dst[0] or flow.dst[0] == other.src[0]
    if not through:
        return relayed_by(stream.session, theirs.session)
    return theirs.session is stream.session or not _has_its_own(known, flow, other)


def _only_leg(stream: Stream, others: list[KnownFlow]) -> KnownFlow | None:
    """Return the flow of the one other call it can be; of several, the one whose parties bear the same name."""
    calls = {id(o.stream.call): o for o in others if o.stream is not None}
    if len(calls) > 1:
        named = users(stream.session)
        calls = {key: o for key, o in calls.items() if o.stream is not None and named & users(o.stream.session)}
    return next(iter(calls.values())) if len(calls) == 1 else None


def _session(flow: KnownFlow) -> Session | None:
    return flow.stream.session if flow.stream is not None else None


def _has_its_own(known: KnownFlows, flow: KnownFlow, other: KnownFlow) -> bool:
    """Whether the host that flow and other share relays other within other's own session.

    A load generator plays one file in many calls: one SSRC, the same numbers at the same time, through one relay.
    """
    for number in known.alike(other.ssrc):
        third = known[number]
        if third is flow or third is other or _session(third) is not _session(other):
            continue
        leaves = flow.src[0] == other.dst[0] == third.src[0]
        enters = flow.dst[0] == other.src[0] == third.dst[0]
        if (leaves or enters) and _is_same_voice(known, third, other):
            return True
    return False


def _same_seat(flow: KnownFlow, stream: Stream, other: KnownFlow, theirs: Stream) -> None:
    """A copy sits where its voice sits; the one that enters the host is nearer to the mouth."""
    if flow.src[0] == other.dst[0]:
        stream.seat, stream.copy = theirs.seat, True
    elif flow.dst[0] == other.src[0]:
        theirs.seat, theirs.copy, theirs.announced = stream.seat, True, False


def _is_same_voice(known: KnownFlows, flow: KnownFlow, other: KnownFlow) -> bool:
    mono, seq = known.seen(other.number, flow.first_mono) or (other.first_mono, other.first_seq)
    if abs(flow.first_mono - mono) > _SAME_VOICE_NS:
        return False
    apart = (flow.first_seq - seq + 32_768) % 65_536 - 32_768
    return abs(apart) <= _SAME_VOICE_STEPS
