"""Calls made of RTP that no signalling explains: for those who want them recorded.

Two opposite flows between two places are one call; who is heard first is the caller. Such a call has
one session that nobody signalled, without a Call-ID, up from its first packet to its last.
"""

from __future__ import annotations

from typing import Final

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call, new_call
from vittne.capture.media import Place
from vittne.capture.sip.message import NameAddr
from vittne.capture.sip.session import ANSWERED, CALLEE, CALLER, Dialog, Session

_MOST_AT_ONCE: Final = 1000  # such calls; a flood of RTP is not worth more
_LEAST_PACKETS: Final = 3  # that follow one another: a random datagram looks like RTP once in four times


def is_voice(count: int, first_seq: int, last_seq: int) -> bool:
    """Whether packets of a flow, by number and sequence, look like a sender of RTP."""
    return count >= _LEAST_PACKETS and (last_seq - first_seq) & 0xFFFF < 2 * count + 16


class Unsignalled:
    """Finds and makes the calls; they live in the book like others."""

    def __init__(self, book: CallBook) -> None:
        self._book = book
        self._calls: dict[frozenset[Place], Call] = {}

    def call_for(self, src: Place, dst: Place, names: tuple[str, str], at_ns: int, mono_ns: int) -> Call | None:
        """Return the call of a flow between two places, a new one when there is none; None when there are too many.

        names: how source and destination are written; at_ns, mono_ns: of the packet that asks.
        """
        ends = frozenset((src, dst))
        call = self._calls.get(ends)
        if call is not None and call.is_live and not call.closed:
            return call
        if len(self._calls) >= _MOST_AT_ONCE:
            self._calls = {place: one for place, one in self._calls.items() if not one.closed}
        if len(self._calls) >= _MOST_AT_ONCE:
            return None
        session = _session(src, dst, names, at_ns, mono_ns)
        call = self._calls[ends] = new_call(session)
        self._book.calls[call.id] = call
        return call


def sender_of(call: Call, src: Place) -> int:
    """Return which party of such a call sends from a place."""
    return CALLER if call.first.hop[:2] == src else CALLEE


def _session(src: Place, dst: Place, names: tuple[str, str], at_ns: int, mono_ns: int) -> Session:
    session = Session(
        "",
        NameAddr("", names[0]),
        NameAddr("", names[1]),
        "",
        at_ns,
        mono_ns,
        (*src, *dst),
        "rtp",
        state=ANSWERED,
        answered_at=at_ns,
        answered_mono=mono_ns,
        last_mono=mono_ns,
    )
    session.dialogs[""] = Dialog("", answered_at=at_ns)
    return session
