"""One voice on two legs: packets that enter a host and leave it again are one call's (DESIGN 4)."""

from __future__ import annotations

from typing import Final

from vittne.capture.callbook import CallBook
from vittne.capture.calls import CERTAIN, Stream, relayed_by
from vittne.capture.columns import SECOND
from vittne.capture.knownflows import KnownFlow, KnownFlows

_SAME_VOICE_NS: Final = SECOND
_SAME_VOICE_STEPS: Final = 500
_MOST_ALIKE: Final = 64  # flows of one SSRC; more say nothing


def link_same_voice(known: KnownFlows, book: CallBook, flow: KnownFlow, stream: Stream) -> None:
    """Link calls by the SSRC and sequence of a flow that enters a host and of one that leaves it."""
    alike = known.alike(flow.ssrc)
    if len(alike) > _MOST_ALIKE:
        return
    for number in sorted(alike):
        other = known[number]
        theirs = other.stream
        if other is flow or theirs is None or theirs.call.closed or not _is_same_voice(known, flow, other):
            continue
        through = flow.src[0] == other.dst[0] or flow.dst[0] == other.src[0]
        if not through and not relayed_by(stream.session, theirs.session):
            continue
        if theirs.call is not stream.call:
            older, newer = sorted((theirs.session, stream.session), key=lambda s: s.first_mono)
            book.links.link(older, newer, f"SSRC {flow.ssrc:08X} passes through", CERTAIN)
        if theirs.call is stream.call:
            _same_seat(flow, stream, other, theirs)
        return


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
