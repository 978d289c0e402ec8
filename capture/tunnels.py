"""Packets inside packets: IP in IP, GRE, ERSPAN, VXLAN, Geneve, GTP-U, EtherIP.

What comes on the UDP port of a tunnel and does not look like that tunnel stays what it is:
phones choose their ports, and some choose these.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.capture.columns import I64
from vittne.capture.gather import be16, headers
from vittne.capture.layers import Fate, Layer, Rows, handles
from vittne.capture.linklayers import ETHERTYPE, KNOWN, by_version

_CHECKSUM: Final = 0x8000  # RFC 2784 and RFC 2890: flags in the first 16 bits of GRE
_ROUTING: Final = 0x4000  # RFC 1701
_KEY: Final = 0x2000
_SEQUENCE: Final = 0x1000


def _inside(layer: Layer, following: Layer, size: int, name: str) -> None:
    """Enter a tunnel with a header of constant size, always with the same inside."""

    @handles(layer)
    def take(rows: Rows, i: I64) -> None:
        if size:
            i, _ = rows.header(i, size)
        i = rows.enter(i, name)
        rows.at[i] += size
        rows.next[i] = following


_inside(Layer.IPV4_INSIDE, Layer.IPV4, 0, "ip-in-ip")  # RFC 2003
_inside(Layer.IPV6_INSIDE, Layer.IPV6, 0, "ip-in-ip")  # RFC 2473, RFC 4213
_inside(Layer.MPLS_IN_IP, Layer.MPLS, 0, "mpls-in-ip")  # RFC 4023
_inside(Layer.ETHER_IP, Layer.ETHERNET, 2, "etherip")  # RFC 3378


@handles(Layer.GRE)
def _gre(rows: Rows, i: I64) -> None:
    """RFC 2784 with the optional fields of RFC 2890 and RFC 1701. Version 1 is PPTP and not ours."""
    i, h = rows.header(i, 4)
    (i,) = rows.keep(h[:, 1] & 7 == 0, Fate.OTHER_PROTOCOL, i)
    i = rows.enter(i, "gre")
    h = headers(rows.data, rows.at[i], 4)
    flags, protocol = be16(h, 0), be16(h, 2)
    size = 4 + 4 * (flags & (_CHECKSUM | _ROUTING) != 0) + 4 * (flags & _KEY != 0) + 4 * (flags & _SEQUENCE != 0)
    fits = rows.at[i] + size <= rows.end[i]
    i, flags, protocol, size = rows.keep(fits, None, i, flags, protocol, size)
    rows.at[i] += size
    following = ETHERTYPE[protocol]
    # ERSPAN type I has the protocol number of type II, and neither sequence number nor header.
    first_type = (protocol == 0x88BE) & (flags & _SEQUENCE == 0)
    following[first_type] = Layer.ETHERNET
    rows.note(i[first_type], "erspan")
    routed = flags & _ROUTING != 0
    rows.later[i[routed]] = protocol[routed]
    following[routed] = Layer.GRE_ROUTING
    rows.next[i] = following


@handles(Layer.GRE_ROUTING)
def _gre_routing(rows: Rows, i: I64) -> None:
    """RFC 1701: source route entries (family, offset, length, addresses); family and length zero is the end."""
    i, h = rows.header(i, 4)
    size = 4 + h[:, 3].astype(np.int64)
    i, h, size = rows.keep(rows.at[i] + size <= rows.end[i], None, i, h, size)
    rows.at[i] += size
    last = (be16(h, 0) == 0) & (h[:, 3] == 0)
    rows.next[i[last]] = ETHERTYPE[rows.later[i[last]]]


@handles(Layer.ERSPAN_2)
def _erspan_2(rows: Rows, i: I64) -> None:
    """draft-foschiano-erspan section 4.2: 8 bytes, then the mirrored Ethernet frame."""
    i, _ = rows.header(i, 8)
    rows.at[i] += 8
    rows.next[i] = Layer.ETHERNET
    rows.note(i, "erspan")


@handles(Layer.ERSPAN_3)
def _erspan_3(rows: Rows, i: I64) -> None:
    """draft-foschiano-erspan section 4.3: 12 bytes, 8 more with the O bit; frame type 2 is IP."""
    i, h = rows.header(i, 12)
    size = 12 + 8 * (h[:, 11] & 1).astype(np.int64)
    i, h, size = rows.keep(rows.at[i] + size <= rows.end[i], None, i, h, size)
    rows.at[i] += size
    frame_type = h[:, 10] >> 2 & 31
    rows.next[i] = np.select([frame_type == 0, frame_type == 2], [Layer.ETHERNET, Layer.RAW], Fate.NOT_IP)
    rows.note(i, "erspan")


@handles(Layer.VXLAN)
def _vxlan(rows: Rows, i: I64) -> None:
    """RFC 7348 section 5, and group policy (draft-smith-vxlan-group-policy), which uses more of its bits."""
    i, h = rows.header(i, 8 + 14, short=Fate.UDP)
    policy = h[:, 0] == 0x88
    plain = (h[:, 0] == 0x08) & ~h[:, 1:4].any(axis=1)
    (i,) = rows.keep((policy | plain) & (h[:, 7] == 0), Fate.UDP, i)
    i = rows.enter(i, "vxlan")
    rows.at[i] += 8
    rows.next[i] = Layer.ETHERNET


@handles(Layer.GENEVE)
def _geneve(rows: Rows, i: I64) -> None:
    """RFC 8926 section 3.4: version 0, options in units of 4 bytes, a known protocol."""
    i, h = rows.header(i, 8, short=Fate.UDP)
    size = 8 + 4 * (h[:, 0] & 0x3F).astype(np.int64)
    following = ETHERTYPE[be16(h, 2)]
    good = (h[:, 0] >> 6 == 0) & (h[:, 7] == 0) & KNOWN[be16(h, 2)] & (rows.at[i] + size <= rows.end[i])
    i, size, following = rows.keep(good, Fate.UDP, i, size, following)
    rows.later[i] = following
    i_in = rows.enter(i, "geneve")
    rows.at[i] += size
    rows.next[i_in] = rows.later[i_in]


@handles(Layer.GTP)
def _gtp(rows: Rows, i: I64) -> None:
    """3GPP TS 29.281 section 5: version 1, protocol type GTP, message type G-PDU."""
    i, h = rows.header(i, 8, width=12, short=Fate.UDP)
    optional = h[:, 0] & 7 != 0
    size = 8 + 4 * optional.astype(np.int64)
    good = (h[:, 0] >> 4 == 3) & (h[:, 1] == 255) & (rows.at[i] + size <= rows.end[i])
    i, h, size = rows.keep(good, Fate.UDP, i, h, size)
    rows.at[i] += size
    extended = (h[:, 0] & 4 != 0) & (h[:, 11] != 0)
    rows.next[i] = np.where(extended, Layer.GTP_EXTENSION, Layer.GTP_INSIDE)


@handles(Layer.GTP_EXTENSION)
def _gtp_extension(rows: Rows, i: I64) -> None:
    """TS 29.281 section 5.2.1: length in 4 bytes first, the type of the next extension last."""
    i, h = rows.header(i, 4)
    size = 4 * h[:, 0].astype(np.int64)
    fits = (size > 0) & (rows.at[i] + size <= rows.end[i])
    i, size = rows.keep(fits, Fate.BAD_HEADER, i, size)
    rows.at[i] += size
    last = rows.data[rows.at[i] - 1] == 0
    rows.next[i[last]] = Layer.GTP_INSIDE


@handles(Layer.GTP_INSIDE)
def _gtp_inside(rows: Rows, i: I64) -> None:
    """A T-PDU has no type: it is IP, or the datagram stays one."""
    has_one = rows.at[i] < rows.end[i]
    first = np.where(has_one, rows.data[np.minimum(rows.at[i], len(rows.data) - 1)], 0).astype(np.uint8)
    following = by_version(first, Fate.UDP)
    outside = i[following == Fate.UDP]
    rows.at[outside] = rows.payload[outside]
    rows.next[outside] = Fate.UDP
    i, following = i[following != Fate.UDP], following[following != Fate.UDP]
    rows.later[i] = following
    i = rows.enter(i, "gtp")
    rows.next[i] = rows.later[i]
