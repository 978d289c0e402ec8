"""IP, UDP and TCP headers, many packets at a time (RFC 791, RFC 8200, RFC 768, RFC 9293).

An IP length decides where a packet ends: what Ethernet adds to short frames is no payload.
A length of zero is what a capture shows of a packet that the network card was to cut
(segmentation offload): the packet is then as long as what was captured.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.capture.columns import CUT_BY_SNAPLEN, I64, U8
from vittne.capture.gather import be16, be32
from vittne.capture.layers import Fate, Layer, Pieces, Rows, handles, rule

_FIN_SYN_RST: Final = 7
_MORE: Final = 0x2000  # RFC 791: flag "more fragments" beside the 13 bits of the offset

# IP protocol numbers and IPv6 next headers: one registry.
PROTOCOL: Final = rule(
    256,
    Fate.OTHER_PROTOCOL,
    {
        0: Layer.EXTENSION,  # hop-by-hop options
        4: Layer.IPV4_INSIDE,
        6: Layer.TCP,
        17: Layer.UDP,
        41: Layer.IPV6_INSIDE,
        43: Layer.EXTENSION,  # routing
        44: Layer.FRAGMENT_HEADER,
        47: Layer.GRE,
        50: Fate.ENCRYPTED,
        51: Layer.AUTHENTICATION,
        60: Layer.EXTENSION,  # destination options
        97: Layer.ETHER_IP,
        135: Layer.EXTENSION,  # mobility
        137: Layer.MPLS_IN_IP,
        139: Layer.EXTENSION,  # host identity
        140: Layer.EXTENSION,  # shim6
    },
)
# UDP destination ports of tunnels. What does not look like one stays a datagram.
TUNNEL_PORT: Final = rule(
    65_536,
    Fate.UDP,
    {2152: Layer.GTP, 4789: Layer.VXLAN, 6081: Layer.GENEVE, 8472: Layer.VXLAN},
)


def _go_on(rows: Rows, i: I64, protocol: U8) -> None:
    """Say what the packets of these rows carry, by IP protocol number or next header."""
    rows.next[i] = PROTOCOL[protocol]
    rows.note_unread(i, Fate.OTHER_PROTOCOL, "ip protocol", protocol.astype(np.int64))


def _limit(rows: Rows, i: I64, stop: I64) -> None:
    """End rows at `stop` where that is inside; note where the header claims more than is there."""
    over = stop > rows.end[i]
    if over.any():
        snapped = rows.snapped[i]
        rows.cut[i] |= over & snapped
        lies = int(np.count_nonzero(over & ~snapped))
        if lies:
            rows.counters["length behind the end of the frame"] += lies
    rows.end[i] = np.minimum(stop, rows.end[i])


@handles(Layer.IPV4)
def _ipv4(rows: Rows, i: I64) -> None:
    i, h = rows.header(i, 20)
    room = rows.end[i] - rows.at[i]
    header = (h[:, 0] & 15).astype(np.int64) * 4
    total = be16(h, 2)
    total = np.where(total == 0, room, total)
    good = (h[:, 0] >> 4 == 4) & (header >= 20) & (total >= header)
    i, h, room, header, total = rows.keep(good, Fate.BAD_HEADER, i, h, room, header, total)
    i, h, header, total = rows.keep(room >= header, None, i, h, header, total)
    _limit(rows, i, rows.at[i] + total)
    rows.src[i] = be32(h, 12)
    rows.dst[i] = be32(h, 16)
    rows.at[i] += header
    _go_on(rows, i, h[:, 9])
    fragment = be16(h, 6) & 0x3FFF
    part = np.flatnonzero(fragment)
    if len(part):
        _piece(rows, i[part], h[part, 9].astype(np.int64), be16(h, 4)[part], fragment[part], is_v6=False)


@handles(Layer.IPV6)
def _ipv6(rows: Rows, i: I64) -> None:
    i, h = rows.header(i, 40)
    i, h = rows.keep(h[:, 0] >> 4 == 6, Fate.BAD_HEADER, i, h)
    length = be16(h, 4)
    rows.at[i] += 40
    stop = rows.at[i] + length
    _limit(rows, i, np.where(length == 0, rows.end[i], stop))
    rows.src[i] = rows.book.learn_v6(h[:, 8:24])
    rows.dst[i] = rows.book.learn_v6(h[:, 24:40])
    _go_on(rows, i, h[:, 6])


@handles(Layer.EXTENSION)
def _extension(rows: Rows, i: I64) -> None:
    """RFC 8200 4.2 to 4.6, RFC 6275 6.1: next header, then length in 8 bytes, the first not counted."""
    _step_over(rows, i, 8, 8)


@handles(Layer.AUTHENTICATION)
def _authentication(rows: Rows, i: I64) -> None:
    """RFC 4302 section 2: length in 4 bytes, minus 2. What is authenticated is in clear."""
    _step_over(rows, i, 8, 4)


def _step_over(rows: Rows, i: I64, base: int, unit: int) -> None:
    i, h = rows.header(i, 8)
    length = base + h[:, 1].astype(np.int64) * unit
    i, h, length = rows.keep(rows.at[i] + length <= rows.end[i], None, i, h, length)
    rows.at[i] += length
    _go_on(rows, i, h[:, 0])


@handles(Layer.FRAGMENT_HEADER)
def _fragment_header(rows: Rows, i: I64) -> None:
    """RFC 8200 4.5; one that is whole in itself (RFC 6946) just goes on."""
    i, h = rows.header(i, 8)
    rows.at[i] += 8
    _go_on(rows, i, h[:, 0])
    field = be16(h, 2)
    fragment = field >> 3 | (field & 1) * _MORE
    part = np.flatnonzero(fragment)
    if len(part):
        _piece(rows, i[part], h[part, 0].astype(np.int64), be32(h, 4)[part], fragment[part], is_v6=True)


def _piece(rows: Rows, i: I64, protocol: I64, identification: I64, fragment: I64, is_v6: bool) -> None:
    """Lay fragments aside; `fragment` as in IPv4's header: flag and offset in units of 8 bytes."""
    rows.next[i] = Fate.FRAGMENT
    start, more = (fragment & 0x1FFF) * 8, fragment & _MORE != 0
    rows.pieces.append(Pieces(i, protocol, identification, start, more, is_v6))


@handles(Layer.UDP)
def _udp(rows: Rows, i: I64) -> None:
    i, h = rows.header(i, 8)
    room = rows.end[i] - rows.at[i]
    length = be16(h, 4)
    length = np.where(length == 0, room, length)
    i, h, room, length = rows.keep(length >= 8, Fate.BAD_LENGTH, i, h, room, length)
    over = length > room
    if over.any():
        snapped = rows.snapped[i]
        rows.flags[i[over & snapped]] |= CUT_BY_SNAPLEN
        lies = int(np.count_nonzero(over & ~snapped))
        if lies:
            rows.counters["udp length behind the end of the packet"] += lies
    rows.sport[i] = be16(h, 0)
    dport = be16(h, 2)
    rows.dport[i] = dport
    rows.end[i] = rows.at[i] + np.minimum(length, room)
    rows.at[i] += 8
    rows.payload[i] = rows.at[i]
    rows.next[i] = TUNNEL_PORT[dport]


@handles(Layer.TCP)
def _tcp(rows: Rows, i: I64) -> None:
    i, h = rows.header(i, 20)
    header = (h[:, 12] >> 4).astype(np.int64) * 4
    i, h, header = rows.keep(header >= 20, Fate.BAD_HEADER, i, h, header)
    i, h, header = rows.keep(rows.at[i] + header <= rows.end[i], None, i, h, header)
    rows.sport[i] = be16(h, 0)
    rows.dport[i] = be16(h, 2)
    rows.seq[i] = be32(h, 4)
    rows.tcp_flags[i] = h[:, 13]
    rows.at[i] += header
    rows.flags[i[rows.cut[i]]] |= CUT_BY_SNAPLEN
    says = (rows.end[i] > rows.at[i]) | (h[:, 13] & _FIN_SYN_RST != 0)
    rows.next[i] = np.where(says, Fate.TCP, Fate.TCP_ACK)
