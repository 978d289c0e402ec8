"""Which sessions are one call: the legs of a B2BUA, and what a transfer joins (DESIGN 4).

Surest first: a header that names the other leg or is the same on both (correlation.py), Replaces
and REFER, one media address for two legs, and, where a PBX shows nothing of that, timing: two legs
through one host that name the same person and are answered together, when no third could be meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from vittne.capture.calls import (
    ANSWER_TOGETHER_NS,
    CERTAIN,
    LIKELY,
    Call,
    Link,
    merge,
    overlap,
    relayed_by,
    reseat,
    users,
)
from vittne.capture.columns import SECOND
from vittne.capture.persons import Party, party_of
from vittne.capture.sip.session import CALLEE, CALLER, Refer, Session
from vittne.capture.sip.siprec import Recorded
from vittne.capture.sip.tracker import SessionTracker

T = TypeVar("T")

_LEG_WITHIN_NS: Final = 30 * SECOND
_REFER_WITHIN_NS: Final = 60 * SECOND
_AMBIGUOUS: Final = 64  # a name that so many sessions bear says nothing
_MOST_OWNERS: Final = 16
_MOST_SESSIONS: Final = 32  # in one call


class Linker:
    """Finds links and makes calls one. calls (by the call's id) and call_of (by Call-ID) are the book's own."""

    def __init__(self, tracker: SessionTracker, calls: dict[str, Call], call_of: dict[str, Call]) -> None:
        self._tracker = tracker
        self._calls = calls
        self._call_of = call_of
        self._key_owner: dict[str, list[Session]] = {}
        self._merged: list[tuple[str, str]] = []
        self._by_user: dict[str, dict[str, Session]] = {}  # user part -> Call-ID -> session
        self._refers: dict[str, list[tuple[Session, Refer]]] = {}  # by target user, and by the Call-ID to be replaced

    def take_merged(self) -> list[tuple[str, str]]:
        """Return the calls that became one since the last time: the id that is kept, and the other."""
        merged, self._merged = self._merged, []
        return merged

    def begin(self, session: Session) -> None:
        """Take in a new session, and link it when it says itself what it belongs to."""
        for user in users(session):
            self._by_user.setdefault(user, {})[session.call_id] = session
        session.keys.add(f"call-id {session.call_id}")
        if session.replaces is not None:
            self._link_replacing(session, session.replaces)
        else:
            self._link_referred(session)

    def forget(self, session: Session) -> None:
        """Drop a session from every index."""
        for user in users(session):
            bearers = self._by_user.get(user, {})
            bearers.pop(session.call_id, None)
            if not bearers:
                self._by_user.pop(user, None)
        for key in session.keys:
            owners = [s for s in self._key_owner.get(key, ()) if s is not session]
            _put(self._key_owner, key, owners)
        for refer in session.refers:
            for name in (refer.target, refer.replaced):
                _put(self._refers, name, [r for r in self._refers.get(name, ()) if r[0] is not session])

    def about(self, recorded: Recorded) -> list[Session]:
        """Return the sessions that a recording session is about: by Session-ID, else by two parties' names."""
        found = {s.call_id: s for one in recorded.session_ids for s in self._key_owner.get(f"session-id {one}", ())}
        if not found:
            named = [self._by_user.get(user, {}) for user in sorted(recorded.users)]
            for number, bearers in enumerate(named):
                for others in named[number + 1 :]:
                    found |= {call_id: bearers[call_id] for call_id in bearers.keys() & others.keys()}
        return [session for session in found.values() if session.recorded is None and session.is_live]

    def named(self, user: str) -> list[Session]:
        """Return the sessions that name a user: as caller, as callee or in the first request's address."""
        return list(self._by_user.get(user, {}).values())

    def link(
        self,
        first: Session,
        second: Session,
        evidence: str,
        confidence: str,
        seats: tuple[int, int] | None = None,
        persons: Sequence[tuple[Party, Party]] | None = None,
    ) -> None:
        """Make the calls of two sessions one; recordings that both exist already are only related.

        seats: where those that sit as caller and callee in the second session's call sit in the first one's.
        persons: parties of both that are one person; without it who sits in the same seats.
        """
        kept, other = self._call_of.get(first.call_id), self._call_of.get(second.call_id)
        if kept is None or other is None:
            return  # nobody signalled it, or it was given up
        if kept is other or kept.closed or other.closed:
            return
        kept.persons.take(other.persons)
        for one, same in _seated_alike(kept, first, other, second) if persons is None else persons:
            kept.persons.join(one, same)
        other.persons = kept.persons
        if kept.opened and other.opened:
            if other.id not in kept.related:
                kept.related.append(other.id)
                other.related.append(kept.id)
            return
        if len(kept.sessions) + len(other.sessions) > _MOST_SESSIONS:
            self._tracker.count("sip link refused: too many sessions in a call")
            return
        if seats is not None:
            reseat(other, seats)
        if other.opened or (not kept.opened and other.first.first_mono < kept.first.first_mono):
            kept, other = other, kept
        merge(kept, other, Link(first.call_id, second.call_id, evidence, confidence))
        self._merged.append((kept.id, other.id))
        self._calls.pop(other.id, None)
        for session in kept.sessions:
            self._call_of[session.call_id] = kept

    def share_keys(self, session: Session) -> None:
        """Session-ID, correlation headers and another leg's Call-ID (correlation.py)."""
        session.keys_shared = len(session.keys)
        for key in session.keys:
            owners = self._key_owner.setdefault(key, [])
            if session in owners:
                continue
            for other in owners:
                if overlap(session, other):
                    self.link(other, session, key.split(" ")[0], CERTAIN)
            if len(owners) < _MOST_OWNERS:
                owners.append(session)

    # Transfers

    def refer(self, session: Session, refer: Refer) -> None:
        """Remember a REFER until the call that it asks for is seen."""
        for name in {refer.target, refer.replaced} - {""}:
            waiting = self._refers.setdefault(name, [])
            waiting.append((session, refer))
            del waiting[:-_AMBIGUOUS]

    def refer_accepted(self, session: Session, refer: Refer) -> None:
        """An attended transfer that a PBX makes inside shows no INVITE: its two calls become one now."""
        other = self._tracker.get(refer.replaced)
        if other is not None and other is not session and other.call_id in self._call_of:
            seat = self._call_of[session.call_id].seat(session, refer.side)
            asks = session.call_id, refer.side
            name = (session.caller, session.callee)[refer.side].user
            side = CALLEE if name and name == other.callee.user else CALLER
            self.link(session, other, "refer with replaces", LIKELY, (seat, seat), [(asks, (other.call_id, side))])

    def _link_replacing(self, session: Session, replaces: tuple[str, str, str]) -> None:
        """Replaces names the dialog whose party the new session's caller becomes (RFC 3891)."""
        old = self._tracker.get(replaces[0])
        if old is None or old is session or old.call_id not in self._call_of:
            return
        # RFC 3891 section 3: to-tag is the local tag of whoever gets the INVITE; that party stays.
        stays = CALLER if replaces[1] in old.caller_tags else CALLEE
        persons = [((old.call_id, stays), (session.call_id, CALLEE))]
        for other, refer in list(self._refers.get(old.call_id, ())):
            if other is not old and other.call_id in self._call_of:
                # Whoever is asked in a consultation sits with who asked.
                seat = self._call_of[other.call_id].seat(other, refer.side)
                asks = [((other.call_id, refer.side), (old.call_id, 1 - stays))]
                self.link(other, old, "refer with replaces", CERTAIN, (seat, seat), asks)
                persons.append(((other.call_id, 1 - refer.side), (session.call_id, CALLER)))
        call = self._call_of[old.call_id]
        taken = call.seat_of_user(session.caller.user)
        if taken is not None and len(persons) == 1:
            persons += [(party_of(one), (session.call_id, CALLER)) for one in call.parties(taken, session.caller.user)]
        seats = (call.seat(old, 1 - stays) if taken is None else taken, call.seat(old, stays))
        self.link(old, session, "replaces", CERTAIN, seats, persons)

    def _link_referred(self, session: Session) -> None:
        for user in users(session):
            for other, refer in self._refers.get(user, ()):
                call = self._call_of.get(other.call_id)
                late = session.first_mono - refer.mono_ns > _REFER_WITHIN_NS
                if call is None or late or other is session or not _plays(other, 1 - refer.side, session):
                    continue
                seats = (call.seat(other, 1 - refer.side), call.seat(other, refer.side))
                moved = [((other.call_id, 1 - refer.side), (session.call_id, CALLER))]
                self.link(other, session, "refer", LIKELY, seats, moved)
                return

    # Legs through one host

    def answered(self, session: Session) -> None:
        """Link the other leg when only one session can be it: a name in common, one host between, answered together."""
        together = [other for other in self._named_like(session) if self._is_other_leg(session, other)]
        exact = [o for o in together if (o.caller.user, o.callee.user) == (session.caller.user, session.callee.user)]
        chosen = exact if len(exact) == 1 else together
        if len(chosen) == 1:
            older, newer = sorted((session, chosen[0]), key=lambda s: s.first_mono)
            self.link(older, newer, "one host in the middle, a name in common, answered together", LIKELY)

    def _named_like(self, session: Session) -> list[Session]:
        found: dict[str, Session] = {}
        for user in users(session):
            bearers = self._by_user.get(user, {})
            if len(bearers) <= _AMBIGUOUS:
                found |= bearers
        found.pop(session.call_id, None)
        return list(found.values())

    def _is_other_leg(self, session: Session, other: Session) -> bool:
        call, own = self._call_of.get(other.call_id), self._call_of[session.call_id]
        if call is None or call.closed or call is own or not other.is_live or not other.was_answered:
            return False
        if abs(other.answered_mono - session.answered_mono) >= ANSWER_TOGETHER_NS:
            return False
        if abs(other.first_mono - session.first_mono) >= _LEG_WITHIN_NS or not relayed_by(session, other):
            return False
        near, far = (session, other) if session.hop[2] == other.hop[0] else (other, session)
        taken = [s for s in self._call_of[near.call_id].sessions if s is not near and s.hop[0] == near.hop[2]]
        taken += [s for s in self._call_of[far.call_id].sessions if s is not far and s.hop[2] == far.hop[0]]
        return not taken  # else that leg has its other one already


def _seated_alike(kept: Call, first: Session, other: Call, second: Session) -> list[tuple[Party, Party]]:
    """Return who of two legs of one call is one person: who sits in the same seat."""
    return [
        ((first.call_id, one), (second.call_id, same))
        for one in (CALLER, CALLEE)
        for same in (CALLER, CALLEE)
        if kept.seat(first, one) == other.seat(second, same)
    ]


def _plays(old: Session, side: int, new: Session) -> bool:
    """Whether the caller of a new session is a party of an old one, by name or by host."""
    party = (old.caller, old.callee)[side]
    host = old.hop[0] if side == CALLER else old.hop[2]
    return bool(party.user and party.user == new.caller.user) or host == new.hop[0] or bool(new.referred_by)


def _put(index: dict[str, list[T]], name: str, values: list[T]) -> None:
    if values:
        index[name] = values
    else:
        index.pop(name, None)
