"""Where media is expected, since when, and for whom: the table that packets are matched with.

The table has a memory (DESIGN 11.5). An entry is valid from the SDP that named it until a later
one moved it or its call ended, with two seconds of grace on either side, and a packet is held
against the entries of its own time. Both ends of a packet count: the destination is surest,
since NAT changes sources; both together settle a port pair that two calls use one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vittne.capture.columns import SECOND
from vittne.capture.sip.sdp import Media
from vittne.capture.sip.session import Session

FOREVER: Final = 1 << 62
GRACE_NS: Final = 2 * SECOND
ENTRIES_AT_ONE_PORT: Final = 64

Place = tuple[int, int]  # address key, port


@dataclass(slots=True, eq=False)
class Expected:
    """A party of a session receives media at a place. Times are monotonic ns; to_mono FOREVER while it lasts."""

    place: Place
    session: Session
    side: int
    callee_tag: str
    hop: tuple[int, int]
    media: Media
    from_mono: int
    to_mono: int = FOREVER
    pending: tuple[int, str] | None = None
    replaced: list[Expected] = field(default_factory=list)  # what comes back when a pending offer is refused

    def covers(self, mono: int) -> int:
        """Return 2 when valid at a time, 1 when within the grace around it, else 0."""
        if self.from_mono <= mono < self.to_mono:
            return 2
        return int(self.from_mono - GRACE_NS <= mono < self.to_mono + GRACE_NS)


@dataclass(frozen=True, slots=True)
class Match:
    """Whose voice a packet carries. towards is the entry at its destination, source the one at its origin."""

    session: Session
    sender: int  # CALLER or CALLEE
    towards: Expected | None
    source: Expected | None
    score: int

    @property
    def media(self) -> Media:
        entry = self.towards or self.source
        assert entry is not None
        return entry.media


class MediaTable:
    """Entries by place, and which places changed since somebody last asked."""

    def __init__(self) -> None:
        self._entries: dict[Place, list[Expected]] = {}
        self._control: dict[Place, list[Expected]] = {}  # where RTCP goes
        self.changed: set[Place] = set()  # until the next commit
        self.news: set[Place] = set()  # the same, until voices are handed over the next time
        self.has_keys = False  # some voice may be SRTP that can be opened

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def add(self, entry: Expected, control: Place | None) -> bool:
        """Enter an entry; control is where its RTCP goes.

        Returns False when the place is named by too many calls. Past entries leave first, then those of
        calls that nobody answered: whoever names somebody else's port cannot push its owner out.
        """
        entries = self._entries.setdefault(entry.place, [])
        if len(entries) >= ENTRIES_AT_ONE_PORT:
            weakest = min(entries, key=lambda e: (e.to_mono == FOREVER and e.session.was_answered, e.to_mono))
            if weakest.to_mono == FOREVER and weakest.session.was_answered:
                return False
            entries.remove(weakest)
        entries.append(entry)
        self.has_keys |= bool(entry.media.cryptos)
        if control is not None:
            others = self._control.setdefault(control, [])
            others.append(entry)
            del others[:-ENTRIES_AT_ONE_PORT]
        self.touch(entry)
        return True

    def at(self, place: Place) -> list[Expected]:
        """Return all entries at a place, past ones included."""
        return list(self._entries.get(place, ()))

    def touch(self, entry: Expected) -> None:
        """Say that an entry's times changed."""
        self.changed.add(entry.place)
        self.news.add(entry.place)

    def forget(self, before_mono: int) -> None:
        """Drop entries that ended, with their grace, before a time."""
        for table in (self._entries, self._control):
            for place in [
                p for p, entries in table.items() if any(e.to_mono + GRACE_NS < before_mono for e in entries)
            ]:
                left = [e for e in table[place] if e.to_mono + GRACE_NS >= before_mono]
                if left:
                    table[place] = left
                else:
                    del table[place]

    def find(self, src: Place, dst: Place, mono: int, payload_type: int, current: Session | None = None) -> list[Match]:
        """Return every reading of a packet, best first.

        A reading is a session and the party who speaks. Twice the points inside an entry's time as in
        its grace; both ends of one session outweigh one end of another. current: whose the flow was until
        now. It keeps it inside its time, so that naming somebody's port takes no media away, and inside
        its grace until both ends of another one are known.
        """
        readings: dict[tuple[int, int], list[Expected | None]] = {}
        for towards, place in ((True, dst), (False, src)):
            for entry in self._entries.get(place, ()):
                if not entry.covers(mono):
                    continue
                sender = 1 - entry.side if towards else entry.side
                pair = readings.setdefault((id(entry.session), sender), [None, None])
                held = pair[not towards]
                if held is None or (entry.covers(mono), entry.from_mono) >= (
                    held.covers(mono),
                    held.from_mono,
                ):
                    pair[not towards] = entry
        matches = []
        for (_, sender), (there, here) in readings.items():
            named = there or here
            assert named is not None
            score = 4 * sum(e.covers(mono) for e in (there, here) if e is not None)
            score += 8 if there is not None and here is not None else 0
            score += 2 if there is not None else 0
            score += 1 if payload_type in named.media.payloads else 0
            if named.session is current:
                score += 5
            matches.append(Match(named.session, sender, there, here, score))
        # The newer call wins a draw: a port is given again only after it was given up.
        matches.sort(key=lambda m: (m.score, m.session.first_mono), reverse=True)
        return matches

    def next_change(self, src: Place, dst: Place, mono: int) -> int:
        """Return the next time after mono at which find() might answer differently; FOREVER when never."""
        times = [
            time
            for place in (src, dst)
            for entry in self._entries.get(place, ())
            for time in (entry.from_mono - GRACE_NS, entry.from_mono, entry.to_mono, entry.to_mono + GRACE_NS)
            if time > mono
        ]
        return min(times, default=FOREVER)

    def find_control(self, src: Place, dst: Place, mono: int) -> Expected | None:
        """Return the entry that an RTCP packet belongs to; its side is the receiver's."""
        for table, place in (
            (self._control, dst),
            (self._entries, dst),
            (self._control, src),
            (self._entries, src),
        ):
            valid = [e for e in table.get(place, ()) if e.covers(mono)]
            if valid:
                return max(valid, key=lambda e: (e.covers(mono), e.from_mono))
        return None
