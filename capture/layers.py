"""Headers around an IP packet, taken off layer by layer, many frames at a time.

Every row has a place in its frame and a number that says what begins there. A step takes
all rows with the same number at once; a frame with twelve headers takes twelve steps, and
ten thousand such frames take twelve steps too. Here is the loop and what a row is; what a
header looks like is in linklayers.py, ip.py and tunnels.py, which enter their functions here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import I64, TUNNELLED, U8, U16, U32, U64, Bytes
from vittne.capture.gather import headers
from vittne.capture.unread import count_numbers

MOST_STEPS: Final = 80
MOST_TUNNELS: Final = 8

Rule = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Fate(IntEnum):
    """What became of a frame. Every frame has exactly one; the counters add up to all frames."""

    UDP = 0
    TCP = auto()
    TCP_ACK = auto()
    FRAGMENT = auto()
    ARP = auto()
    NOT_IP = auto()
    OTHER_PROTOCOL = auto()
    ENCRYPTED = auto()
    TRUNCATED = auto()
    BAD_HEADER = auto()
    BAD_LENGTH = auto()
    TOO_MANY_LAYERS = auto()
    LINK_TYPE = auto()

    @property
    def words(self) -> str:
        """The name of its counter."""
        return _WORDS.get(self, self.name.lower().replace("_", " "))


_WORDS: Final = {
    Fate.TCP_ACK: "tcp without payload",
    Fate.OTHER_PROTOCOL: "other ip protocol",
    Fate.LINK_TYPE: "unknown link type",
}


class Layer(IntEnum):
    """What begins at a row's place. Numbers go on behind those of Fate: one column holds either."""

    ETHERNET = 32
    LLC = auto()
    VLAN = auto()
    VN_TAG = auto()
    FABRIC_PATH = auto()
    PPPOE = auto()
    PPP = auto()
    COOKED = auto()
    COOKED_2 = auto()
    LOOPBACK = auto()
    RAW = auto()
    MPLS = auto()
    MPLS_INSIDE = auto()
    IPV4 = auto()
    IPV6 = auto()
    EXTENSION = auto()
    AUTHENTICATION = auto()
    FRAGMENT_HEADER = auto()
    UDP = auto()
    TCP = auto()
    IPV4_INSIDE = auto()
    IPV6_INSIDE = auto()
    MPLS_IN_IP = auto()
    ETHER_IP = auto()
    GRE = auto()
    GRE_ROUTING = auto()
    ERSPAN_2 = auto()
    ERSPAN_3 = auto()
    VXLAN = auto()
    GENEVE = auto()
    GTP = auto()
    GTP_EXTENSION = auto()
    GTP_INSIDE = auto()


_KINDS: Final = max(Layer) + 1


@dataclass(frozen=True, slots=True)
class Pieces:
    """Rows that hold fragments: what the reassembler has to know besides the row. (n,) each."""

    row: I64  # index into Rows
    protocol: I64  # of the whole datagram
    identification: I64
    start: I64  # first byte in the datagram's payload
    more: Mask
    is_v6: bool


@dataclass(slots=True)
class Rows:
    """Frames on their way. All columns have n rows; a row's rest is data[at:end]."""

    data: Bytes
    book: AddressBook
    counters: Counter[str]
    frame: I64  # number of the frame in its block
    at: I64
    end: I64
    snapped: Mask  # the frame was longer on the wire than what was captured
    next: U8  # Layer, or Fate when the row is through
    src: U64
    dst: U64
    depth: U8  # IP packets around this one
    cut: Mask  # the IP packet was longer, and the snaplen is why
    flags: U8
    sport: U16
    dport: U16
    seq: U32
    tcp_flags: U8
    later: U16  # a protocol number that is needed a layer further on
    payload: I64  # where the payload of the last UDP header began
    pieces: list[Pieces] = field(default_factory=list)

    @classmethod
    def begin(
        cls, data: Bytes, book: AddressBook, counters: Counter[str], frame: I64, at: I64, end: I64, following: U8
    ) -> Rows:
        """Return rows that have not taken a step; `following` is what begins at `at`."""
        n = len(frame)
        return cls(
            data=data,
            book=book,
            counters=counters,
            frame=frame,
            at=at,
            end=end,
            snapped=np.zeros(n, np.bool_),
            next=following,
            src=np.zeros(n, np.uint64),
            dst=np.zeros(n, np.uint64),
            depth=np.zeros(n, np.uint8),
            cut=np.zeros(n, np.bool_),
            flags=np.zeros(n, np.uint8),
            sport=np.zeros(n, np.uint16),
            dport=np.zeros(n, np.uint16),
            seq=np.zeros(n, np.uint32),
            tcp_flags=np.zeros(n, np.uint8),
            later=np.zeros(n, np.uint16),
            payload=np.zeros(n, np.int64),
        )

    def header(self, i: I64, size: int, width: int = 0, short: Fate | None = None) -> tuple[I64, Bytes]:
        """Return the rows of i that have `size` bytes left, and (m, width) of what is there.

        Rows that are shorter end here: as `short`, or as cut by the snaplen, or as broken.
        Bytes between size and width may be another packet's.
        """
        (i,) = self.keep(self.end[i] - self.at[i] >= size, short, i)
        return i, headers(self.data, self.at[i], max(size, width))

    def keep(self, good: Mask, otherwise: Fate | None, i: I64, *columns: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return i and the columns without the rows that are not good; those end here, as for header()."""
        if good.all():
            return [i, *columns]
        lost = i[~good]
        if otherwise is not None:
            self.next[lost] = otherwise
        else:
            self.next[lost] = np.where(self.snapped[lost], Fate.TRUNCATED, Fate.BAD_LENGTH)
        return [i[good], *(column[good] for column in columns)]

    def enter(self, i: I64, name: str) -> I64:
        """Count rows that go into a tunnel inside IP, and return those that may."""
        self.note(i, name)
        self.depth[i] += 1
        self.flags[i] |= TUNNELLED
        (i,) = self.keep(self.depth[i] <= MOST_TUNNELS, Fate.TOO_MANY_LAYERS, i)
        return i

    def note_unread(self, i: I64, fate: Fate, what: str, numbers: I64, places: int = 0) -> None:
        """Count rows that end here with a number that nobody reads. numbers: (m,) of the rows of i."""
        which = self.next[i] == fate
        if which.any():
            count_numbers(self.counters, what, numbers[which], places)

    def note(self, i: I64, name: str) -> None:
        """Count rows that have an encapsulation."""
        if len(i):
            self.counters["encap " + name] += len(i)


Handler = Callable[[Rows, I64], None]
HANDLERS: Final[dict[int, Handler]] = {}


def handles(layer: Layer) -> Callable[[Handler], Handler]:
    """Enter a function as the one that takes rows whose `next` is `layer`, given as indices."""

    def enter(handler: Handler) -> Handler:
        HANDLERS[layer] = handler
        return handler

    return enter


def take_layers(rows: Rows) -> None:
    """Take layers off until every row has a fate."""
    for _ in range(MOST_STEPS):
        here = np.flatnonzero(np.bincount(rows.next, minlength=_KINDS)[Layer.ETHERNET :])
        if not len(here):
            return
        for layer in (here + Layer.ETHERNET).tolist():
            HANDLERS[layer](rows, np.flatnonzero(rows.next == layer))
    rows.next[rows.next >= Layer.ETHERNET] = Fate.TOO_MANY_LAYERS


def rule(size: int, default: int, entries: dict[int, int]) -> Rule:
    table = np.full(size, default, np.uint8)
    for number, following in entries.items():
        table[number] = following
    return table
