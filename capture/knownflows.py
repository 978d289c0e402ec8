"""Flows that are known, by number, place and SSRC, and what was seen of them up to a time.

What was seen is in two places: counts of earlier commits in StreamStates, and the rows of the commit
at hand. A question about a time is answered from both, so that it does not matter where commits end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import place_text
from vittne.capture.calls import Call, Stream
from vittne.capture.flows import Flow
from vittne.capture.media import Place
from vittne.capture.rtp import FlowRows, RtpRows
from vittne.capture.streams import StreamStates


@dataclass(slots=True, eq=False)
class KnownFlow:
    """One flow's ends, and the answer that stands for it until due_mono."""

    number: int
    src: Place
    dst: Place
    ssrc: int
    payload_type: int
    first_mono: int
    first_seq: int
    stream: Stream | None = None
    owner: Call | None = None  # whose the packets are that were counted under this number
    due_mono: int = 0
    matched: bool = False
    was_signalled: bool = False  # the rest of a call that is over is not another call
    active: bool = True


class Batch:
    """The rows of a commit, flow by flow: put in order only when somebody asks."""

    def __init__(self, flow_of: Flow, rows: RtpRows | None) -> None:
        self._flow_of = flow_of
        self._rows = rows
        self._order: npt.NDArray[np.intp] | None = None

    @classmethod
    def empty(cls) -> Batch:
        """Return a batch without rows."""
        return cls(np.empty(0, np.int32), None)

    @property
    def last_mono(self) -> int:
        """When the last row came."""
        return int(self._rows.mono_ns.max()) if self._rows is not None else 0

    def at_ns(self, mono: int) -> int:
        """Return the time of day of the first row at or after a time."""
        assert self._rows is not None
        return int(self._rows.at_ns[self._rows.mono_ns >= mono].min())

    def before(self, flow: int, mono: int) -> tuple[int, int] | None:
        """Return time and sequence number of a flow's last row up to a time; None when there is none."""
        if self._rows is None:
            return None
        mine = self._rows_of(flow)
        place = int(np.searchsorted(self._rows.mono_ns[mine], mono, "right")) - 1
        if place < 0:
            return None
        row = mine[place]
        return int(self._rows.mono_ns[row]), int(self._rows.seq[row])

    def after(self, flow: int, mono: int) -> int | None:
        """Return the time of a flow's first row after a time; None when there is none."""
        if self._rows is None:
            return None
        mine = self._rows_of(flow)
        place = int(np.searchsorted(self._rows.mono_ns[mine], mono, "right"))
        return int(self._rows.mono_ns[mine[place]]) if place < len(mine) else None

    def sequence(self, flow: int) -> tuple[int, int, int]:
        """Return how many rows a flow has, and the sequence numbers of its first and last."""
        if self._rows is None:
            return 0, 0, 0
        mine = self._rows_of(flow)
        return len(mine), int(self._rows.seq[mine[0]]), int(self._rows.seq[mine[-1]])

    def _rows_of(self, flow: int) -> npt.NDArray[np.intp]:
        if self._order is None:
            self._order = np.argsort(self._flow_of, kind="stable")
            self._flow_of = self._flow_of[self._order]
        begin, end = np.searchsorted(self._flow_of, [flow, flow + 1]).tolist()
        return self._order[begin:end]


class KnownFlows:
    """All flows that were seen lately."""

    def __init__(self, states: StreamStates, addresses: AddressBook) -> None:
        self.batch = Batch.empty()
        self.moved: dict[int, int] = {}  # in this commit: flow number -> the one that took over
        self._came_from: dict[int, int] = {}  # the other way round
        self._states = states
        self._addresses = addresses
        self._flows: dict[int, KnownFlow] = {}
        self._at: dict[Place, set[int]] = {}
        self._by_ssrc: dict[int, set[int]] = {}
        self._between: dict[tuple[Place, Place], int] = {}  # source, destination -> flows

    def __contains__(self, number: int) -> bool:
        return number in self._flows

    def __getitem__(self, number: int) -> KnownFlow:
        return self._flows[number]

    def __iter__(self) -> Iterator[KnownFlow]:
        return iter(self._flows.values())

    def get(self, number: int) -> KnownFlow | None:
        """Return a flow, None when it is not known."""
        return self._flows.get(number)

    def now(self, number: int) -> KnownFlow:
        """Return the flow that rows with a number belong to."""
        return self._flows[self.moved.get(number, number)]

    def at(self, place: Place) -> set[int]:
        """Return the numbers of flows from or to a place."""
        return self._at.get(place, set())

    def has_way(self, src: Place, dst: Place) -> bool:
        """Whether any flow goes from one place to another."""
        return (src, dst) in self._between

    def alike(self, ssrc: int) -> set[int]:
        """Return the numbers of flows with an SSRC."""
        return self._by_ssrc.get(ssrc, set())

    def add_rows(
        self, numbers: npt.NDArray[np.intp], first: npt.NDArray[np.int64], rows: RtpRows, whose: FlowRows
    ) -> None:
        """Take in new flows; first: the row that each begins with."""
        columns = zip(
            numbers.tolist(),
            *(getattr(whose, name)[first].tolist() for name in ("src", "sport", "dst", "dport", "ssrc")),
            *(getattr(rows, name)[first].tolist() for name in ("payload_type", "mono_ns", "seq")),
            strict=True,
        )
        for number, src, sport, dst, dport, ssrc, payload_type, mono, seq in columns:
            self.add(KnownFlow(number, (src, sport), (dst, dport), ssrc, payload_type, mono, seq))

    def add(self, flow: KnownFlow) -> None:
        """Take in a flow."""
        self._flows[flow.number] = flow
        self._at.setdefault(flow.src, set()).add(flow.number)
        self._at.setdefault(flow.dst, set()).add(flow.number)
        self._by_ssrc.setdefault(flow.ssrc, set()).add(flow.number)
        way = flow.src, flow.dst
        self._between[way] = self._between.get(way, 0) + 1

    def forget(self, number: int) -> None:
        """Drop a flow, if it is known."""
        flow = self._flows.pop(number, None)
        if flow is None:
            return
        for index, key in ((self._at, flow.src), (self._at, flow.dst)):
            index.get(key, set()).discard(number)
            if not index.get(key):
                index.pop(key, None)
        self._by_ssrc.get(flow.ssrc, set()).discard(number)
        if not self._by_ssrc.get(flow.ssrc):
            self._by_ssrc.pop(flow.ssrc, None)
        way = flow.src, flow.dst
        self._between[way] -= 1
        if not self._between[way]:
            del self._between[way]

    def ends(self, flow: KnownFlow) -> tuple[str, str]:
        """Return how a flow's source and destination are written."""
        text = self._addresses.text
        return place_text(text(flow.src[0]), flow.src[1]), place_text(text(flow.dst[0]), flow.dst[1])

    def first_number(self, number: int) -> int:
        """Return the number that the rows of this commit bear, of a flow that may have moved since."""
        return self._came_from.get(number, number)

    def move(self, number: int, to: int) -> None:
        """Say that the rows of a flow belong to another number from now on."""
        first = self.first_number(number)
        self._came_from.pop(number, None)
        self.moved[first], self._came_from[to] = to, first

    def begin(self, batch: Batch) -> None:
        """Take in the rows of a commit."""
        self.batch = batch
        self.moved.clear()
        self._came_from.clear()

    def seen(self, number: int, mono: int) -> tuple[int, int] | None:
        """Return time and sequence number of a flow's last packet up to a time."""
        seen = self.batch.before(self.first_number(number), mono)
        if seen is None and self._states.packets_of(number):
            seen = self._states.last_mono(number), self._states.sequence_of(number)[1] & 0xFFFF
        return seen

    def seen_after(self, number: int, mono: int) -> int | None:
        """Return when a flow's next packet came after a time, as far as packets are in hand."""
        return self.batch.after(self.first_number(number), mono)
