"""Link layers, and labels and tags between them and IP.

Each function takes all rows that have come to one kind of header (layers.py). A mirror adds
tags of its own, and a carrier's network has labels and sessions around the same voice.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, U8
from vittne.capture.gather import be16
from vittne.capture.layers import Fate, Layer, Rows, handles, rule

# Ethertypes, and what GRE and Geneve write in their place.
ETHERTYPE: Final = rule(
    65_536,
    Fate.NOT_IP,
    {
        **dict.fromkeys(range(1536), Layer.LLC),
        0x0800: Layer.IPV4,
        0x0806: Fate.ARP,
        0x22EB: Layer.ERSPAN_3,
        0x6558: Layer.ETHERNET,
        0x8100: Layer.VLAN,
        0x86DD: Layer.IPV6,
        0x8847: Layer.MPLS,
        0x8848: Layer.MPLS,
        0x8864: Layer.PPPOE,
        0x880B: Layer.PPP,
        0x88A8: Layer.VLAN,
        0x88BE: Layer.ERSPAN_2,
        0x8903: Layer.FABRIC_PATH,
        0x8926: Layer.VN_TAG,
        0x9100: Layer.VLAN,
        0x9200: Layer.VLAN,
    },
)
KNOWN: Final[npt.NDArray[np.bool_]] = (ETHERTYPE != Fate.NOT_IP) & (ETHERTYPE != Layer.LLC)
_FAMILY: Final = rule(  # AF_INET, and AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS
    256,
    Fate.NOT_IP,
    {2: Layer.IPV4, 10: Layer.IPV6, 24: Layer.IPV6, 28: Layer.IPV6, 30: Layer.IPV6},
)


def _typed(layer: Layer, size: int, type_at: int, name: str = "") -> None:
    """Enter a header of constant size that has the ethertype of what follows at type_at."""

    @handles(layer)
    def take(rows: Rows, i: I64) -> None:
        i, h = rows.header(i, size)
        rows.at[i] += size
        kind = be16(h, type_at)
        rows.next[i] = ETHERTYPE[kind]
        rows.note_unread(i, Fate.NOT_IP, "ethertype", kind, 4)
        if name:
            rows.note(i, name)


_typed(Layer.ETHERNET, 14, 12)
_typed(Layer.VLAN, 4, 2, "vlan")  # 802.1Q, 802.1ad and its forerunners
_typed(Layer.VN_TAG, 6, 4, "vn-tag")  # 802.1BR's forerunner, Cisco
_typed(Layer.COOKED, 16, 14)  # LINKTYPE_LINUX_SLL
_typed(Layer.COOKED_2, 20, 0)  # LINKTYPE_LINUX_SLL2


@handles(Layer.LLC)
def _llc(rows: Rows, i: I64) -> None:
    """802.3 with a length instead of a type: only SNAP with an ethertype goes on (RFC 1042)."""
    i, h = rows.header(i, 8, short=Fate.NOT_IP)
    snap = (h[:, :6] == np.array([0xAA, 0xAA, 3, 0, 0, 0], np.uint8)).all(axis=1)
    following = ETHERTYPE[be16(h, 6)]
    rows.at[i] += 8
    rows.next[i] = np.where(snap & (following != Layer.LLC), following, Fate.NOT_IP)


@handles(Layer.FABRIC_PATH)
def _fabric_path(rows: Rows, i: I64) -> None:
    i, _ = rows.header(i, 2)
    rows.at[i] += 2
    rows.next[i] = Layer.ETHERNET
    rows.note(i, "fabricpath")


@handles(Layer.PPPOE)
def _pppoe(rows: Rows, i: I64) -> None:
    """RFC 2516 section 4: version 1, type 1, code 0 is session data."""
    i, h = rows.header(i, 6)
    i, h = rows.keep((h[:, 0] == 0x11) & (h[:, 1] == 0), Fate.NOT_IP, i, h)
    rows.at[i] += 6
    rows.end[i] = np.minimum(rows.end[i], rows.at[i] + be16(h, 4))
    rows.next[i] = Layer.PPP
    rows.note(i, "pppoe")


@handles(Layer.PPP)
def _ppp(rows: Rows, i: I64) -> None:
    """RFC 1661 2 and 6.5, RFC 1662 3.1: address and control may be left out, the protocol be one byte."""
    i, h = rows.header(i, 1, width=4)
    framed = (h[:, 0] == 0xFF) & (h[:, 1] == 0x03)
    first = np.where(framed, h[:, 2], h[:, 0]).astype(np.int64)
    second = np.where(framed, h[:, 3], h[:, 1]).astype(np.int64)
    short = first & 1 == 1
    protocol = np.where(short, first, first << 8 | second)
    rows.at[i] += 2 * framed + np.where(short, 1, 2)
    rows.next[i] = np.select(
        [protocol == 0x21, protocol == 0x57, (protocol == 0x281) | (protocol == 0x283)],
        [Layer.IPV4, Layer.IPV6, Layer.MPLS],
        Fate.NOT_IP,
    )


@handles(Layer.LOOPBACK)
def _loopback(rows: Rows, i: I64) -> None:
    """A 4-byte address family in the byte order of the host that captured."""
    i, h = rows.header(i, 4)
    little, big = h[:, 1:].any(axis=1) == 0, h[:, :3].any(axis=1) == 0
    family = np.where(little, h[:, 0], np.where(big, h[:, 3], 0))
    rows.at[i] += 4
    rows.next[i] = _FAMILY[family]


@handles(Layer.RAW)
def _raw(rows: Rows, i: I64) -> None:
    """An IP packet of either version."""
    i, h = rows.header(i, 1)
    rows.next[i] = by_version(h[:, 0], Fate.NOT_IP)


def by_version(first: U8, otherwise: int) -> U8:
    """Return which IP begins with these bytes (n,), or `otherwise`."""
    version = first >> 4
    following: U8 = np.select([version == 4, version == 6], [Layer.IPV4, Layer.IPV6], otherwise).astype(np.uint8)
    return following


@handles(Layer.MPLS)
def _mpls(rows: Rows, i: I64) -> None:
    """RFC 3032 2.1: one label; the bottom of the stack does not say what follows."""
    i, h = rows.header(i, 4)
    rows.at[i] += 4
    bottom = (h[:, 2] & 1).astype(np.bool_)
    rows.next[i[bottom]] = Layer.MPLS_INSIDE
    rows.note(i[bottom], "mpls")


@handles(Layer.MPLS_INSIDE)
def _mpls_inside(rows: Rows, i: I64) -> None:
    """Guess what the labels carry: IP if its length fits, else Ethernet, perhaps behind a control word.

    A MAC address may begin with the nibbles 4 and 6 and often begins with 0, as the control
    word of RFC 4385 does, so a known ethertype at the right place decides.
    """
    i, h = rows.header(i, 1, width=18)
    room = rows.end[i] - rows.at[i]
    fits = rows.snapped[i] | (be16(h, 2) <= room)
    is_v4 = (h[:, 0] >= 0x45) & (h[:, 0] <= 0x4F) & (be16(h, 2) >= 20) & fits
    is_v6 = (h[:, 0] >> 4 == 6) & (rows.snapped[i] | (be16(h, 4) + 40 <= room))
    is_ethernet = KNOWN[be16(h, 12)]
    controlled = (h[:, 0] >> 4 == 0) & KNOWN[be16(h, 16)] & ~is_ethernet
    rows.at[i] += np.where(controlled & ~is_v4 & ~is_v6, 4, 0)
    rows.next[i] = np.select(
        [is_v4, is_v6, is_ethernet | controlled], [Layer.IPV4, Layer.IPV6, Layer.ETHERNET], Fate.NOT_IP
    )
