"""Frames written by hand and by scapy, and blocks of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import (
    LINK_ETHERNET,
    LINK_LOOP,
    LINK_NULL,
    LINK_PPP,
    LINK_RAW,
    LINK_RAW_12,
    LINK_RAW_14,
    LINK_SLL,
    LINK_SLL2,
    Block,
    Datagrams,
)
from vittne.capture.link import LinkParser, Parsed

VOICE = bytes(range(160))
MAC = "02:00:00:00:00:01"


def inner(payload: bytes = VOICE, sport: int = 16_384, dport: int = 30_000) -> bytes:
    """Return the IPv4 packet that the tests look for."""
    return bytes(IP(src="192.0.2.1", dst="198.51.100.2", id=7) / UDP(sport=sport, dport=dport) / Raw(payload))


def inner_v6(payload: bytes = VOICE) -> bytes:
    return bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=16_384, dport=30_000) / Raw(payload))


def fragmented(packet: bytes, size: int = 1_000) -> list[bytes]:
    """Return the IPv4 fragments of a packet."""
    return [bytes(part) for part in fragment(IP(packet), size)]  # type: ignore[no-untyped-call]


def fragmented_v6(payload: bytes) -> list[bytes]:
    """Return the fragments of a datagram over IPv6."""
    packet = IPv6(inner_v6(payload))
    packet = IPv6(src=packet.src, dst=packet.dst) / IPv6ExtHdrFragment(id=99) / packet.payload
    return [bytes(part) for part in fragment6(packet, 1_280)]  # type: ignore[no-untyped-call]


def block_of(
    frames: Sequence[bytes],
    link_type: int | Sequence[int] = LINK_ETHERNET,
    at_ns: Sequence[int] | None = None,
    wire: Sequence[int] | None = None,
    tail: bytes = b"",
) -> Block:
    """Return frames as a block, one after the other in a buffer that ends with `tail`."""
    length = np.array([len(frame) for frame in frames], np.int64)
    times = np.array(at_ns if at_ns is not None else range(len(frames)), np.int64)
    return Block(
        data=np.frombuffer(b"".join(frames) + tail, np.uint8),
        offset=np.cumsum(length) - length,
        captured=length,
        wire=np.array(wire, np.int64) if wire is not None else length,
        at_ns=times,
        mono_ns=times,
        link_type=np.full(len(frames), link_type, np.uint16),
        interface=np.zeros(len(frames), np.uint16),
    )


@dataclass(frozen=True)
class Row:
    """A datagram as values, so that rows of different buffers can be compared."""

    src: str
    sport: int
    dst: str
    dport: int
    payload: bytes
    flags: int
    at_ns: int


def rows_of(datagrams: Datagrams, book: AddressBook) -> list[Row]:
    return [
        Row(
            book.text(int(datagrams.src[i])),
            int(datagrams.sport[i]),
            book.text(int(datagrams.dst[i])),
            int(datagrams.dport[i]),
            datagrams.data[datagrams.offset[i] : datagrams.offset[i] + datagrams.length[i]].tobytes(),
            int(datagrams.flags[i]),
            int(datagrams.at_ns[i]),
        )
        for i in range(len(datagrams))
    ]


def parse(block: Block, fast: bool = True) -> tuple[Parsed, LinkParser, AddressBook]:
    book = AddressBook()
    parser = LinkParser(book, fast=fast)
    return parser.feed(block), parser, book


def udp_of(frames: Sequence[bytes], link_type: int | Sequence[int] = LINK_ETHERNET) -> list[Row]:
    """Return all datagrams of the frames, those put together last."""
    parsed, _, book = parse(block_of(frames, link_type))
    return [row for datagrams in parsed.udp for row in rows_of(datagrams, book)]


def _ip(packet: bytes) -> Packet:
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


def _ethertype(packet: bytes) -> int:
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def ethernet(kind: int | None = None) -> Packet:
    return Ether(src=MAC, dst=MAC) if kind is None else Ether(src=MAC, dst=MAC, type=kind)


def ether(packet: bytes) -> bytes:
    return bytes(ethernet())[:12] + _ethertype(packet).to_bytes(2) + packet


def _outer(proto: int, rest: bytes) -> bytes:
    return bytes(IP(src="10.9.9.1", dst="10.9.9.2", proto=proto) / Raw(rest))


def _udp(port: int, rest: bytes) -> bytes:
    return bytes(IP(src="10.9.9.1", dst="10.9.9.2") / UDP(sport=55_555, dport=port) / Raw(rest))


def _udp_v6(port: int, rest: bytes) -> bytes:
    return bytes(IPv6(src="2001:db8:9::1", dst="2001:db8:9::2") / UDP(sport=55_555, dport=port) / Raw(rest))


def _gre_all(packet: bytes) -> bytes:
    flags = 0x8000 | 0x2000 | 0x1000
    return _outer(47, struct.pack(">HHHHII", flags, _ethertype(packet), 0, 0, 1234, 99) + packet)


def _gre_routed(packet: bytes) -> bytes:
    routes = struct.pack(">HBB8s", 0x0800, 0, 8, bytes(8)) + bytes(4)
    return _outer(47, struct.pack(">HHHH", 0x4000, _ethertype(packet), 0, 0) + routes + packet)


def _erspan_3(packet: bytes, frame_type: int, optional: bool) -> bytes:
    last = frame_type << 10 | int(optional)
    header = struct.pack(">HHIHH", 0x2000, 5, 1, 0, last) + (bytes(8) if optional else b"")
    return _outer(47, struct.pack(">HHI", 0x1000, 0x22EB, 1) + header + (ether(packet) if frame_type == 0 else packet))


def _options(packet: bytes) -> bytes:
    first = _ip(packet)
    if isinstance(first, IPv6):
        return bytes(
            IPv6(src=first.src, dst=first.dst)
            / IPv6ExtHdrHopByHop()
            / IPv6ExtHdrRouting(addresses=["2001:db8::7"])
            / IPv6ExtHdrFragment(id=5)
            / IPv6ExtHdrDestOpt()
            / first.payload
        )
    longer = (packet[0] + 1).to_bytes(1) + packet[1:2] + (len(packet) + 4).to_bytes(2) + packet[4:20]
    return longer + b"\x01\x01\x01\x00" + packet[20:]


# Each makes an IP packet out of an IP packet.
TUNNELS: dict[str, Callable[[bytes], bytes]] = {
    "ip-in-ip": lambda p: _outer(4 if p[0] >> 4 == 4 else 41, p),
    "ip-in-ipv6": lambda p: bytes(
        IPv6(src="2001:db8:9::1", dst="2001:db8:9::2", nh=4 if p[0] >> 4 == 4 else 41) / Raw(p)
    ),
    "gre": lambda p: bytes(IP(src="10.9.9.1", dst="10.9.9.2") / GRE(proto=_ethertype(p)) / Raw(p)),
    "gre with all fields": _gre_all,
    "gre with routing": _gre_routed,
    "gre with ethernet": lambda p: _outer(47, struct.pack(">HH", 0, 0x6558) + ether(p)),
    "gre with mpls": lambda p: _outer(47, struct.pack(">HHI", 0, 0x8847, 0x00011140) + p),
    "erspan i": lambda p: _outer(47, struct.pack(">HH", 0, 0x88BE) + ether(p)),
    "erspan ii": lambda p: _outer(47, struct.pack(">HHIII", 0x1000, 0x88BE, 7, 0x10000001, 0) + ether(p)),
    "erspan iii": lambda p: _erspan_3(p, 0, False),
    "erspan iii with subheader": lambda p: _erspan_3(p, 0, True),
    "erspan iii with ip": lambda p: _erspan_3(p, 2, False),
    "vxlan": lambda p: bytes(
        IP(src="10.9.9.1", dst="10.9.9.2") / UDP(sport=55_555, dport=4789) / VXLAN(vni=77) / Raw(ether(p))
    ),
    "vxlan on the old port": lambda p: _udp(8472, struct.pack(">II", 0x08000000, 77 << 8) + ether(p)),
    "vxlan with group policy over ipv6": lambda p: _udp_v6(4789, struct.pack(">II", 0x88081234, 77 << 8) + ether(p)),
    "geneve": lambda p: bytes(
        IP(src="10.9.9.1", dst="10.9.9.2") / UDP(sport=55_555, dport=6081) / GENEVE(proto=_ethertype(p), vni=5) / Raw(p)
    ),
    "geneve with options and ethernet": lambda p: _udp(
        6081, struct.pack(">BBHI", 2, 0, 0x6558, 5 << 8) + bytes(8) + ether(p)
    ),
    "gtp": lambda p: bytes(
        IP(src="10.9.9.1", dst="10.9.9.2")
        / UDP(sport=2152, dport=2152)
        / GTP_U_Header(teid=9, gtp_type=255, length=len(p))
        / Raw(p)
    ),
    "gtp with extensions": lambda p: _udp(
        2152, struct.pack(">BBHI", 0x34, 255, len(p) + 12, 9) + b"\0\0\0\x85" + b"\1\0\0\x85" + b"\1\0\0\0" + p
    ),
    "etherip": lambda p: _outer(97, b"\x30\x00" + ether(p)),
    "mpls in ip": lambda p: _outer(137, struct.pack(">II", 0x00010040, 0x00011140) + p),
    "authentication": lambda p: bytes(
        IP(src="10.9.9.1", dst="10.9.9.2", proto=51)
        / AH(nh=4 if p[0] >> 4 == 4 else 41, payloadlen=4, icv=bytes(12))
        / Raw(p)
    ),
    "ip options": _options,
}


def _mpls(p: bytes) -> Packet:
    return ethernet() / MPLS(label=16, s=0) / MPLS(label=17, s=1)


# Each makes a frame out of an IP packet: link type and bytes.
FRAMES: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "ethernet": (LINK_ETHERNET, ether),
    "ethernet with padding": (LINK_ETHERNET, lambda p: ether(p) + b"\xee" * 9),
    "802.1q": (LINK_ETHERNET, lambda p: bytes(ethernet() / Dot1Q(vlan=5, type=_ethertype(p)) / Raw(p))),
    "802.1ad": (
        LINK_ETHERNET,
        lambda p: bytes(ethernet() / Dot1AD(vlan=3) / Dot1Q(vlan=5, type=_ethertype(p)) / Raw(p)),
    ),
    "qinq": (LINK_ETHERNET, lambda p: bytes(ethernet() / Dot1Q(vlan=3) / Dot1Q(vlan=5, type=_ethertype(p)) / Raw(p))),
    "qinq 9100": (
        LINK_ETHERNET,
        lambda p: bytes(ethernet(0x9100)) + b"\x00\x05\x81\x00\x00\x06" + _ethertype(p).to_bytes(2) + p,
    ),
    "three tags": (
        LINK_ETHERNET,
        lambda p: bytes(ethernet(0x88A8)) + b"\0\1\x81\0\0\2\x81\0\0\3" + _ethertype(p).to_bytes(2) + p,
    ),
    "snap": (LINK_ETHERNET, lambda p: bytes(Dot3(src=MAC, dst=MAC) / LLC() / SNAP(code=_ethertype(p)) / Raw(p))),
    "vn-tag": (LINK_ETHERNET, lambda p: bytes(ethernet(0x8926)) + bytes(4) + _ethertype(p).to_bytes(2) + p),
    "fabricpath": (LINK_ETHERNET, lambda p: bytes(ethernet(0x8903)) + bytes(2) + ether(p)),
    "mpls": (LINK_ETHERNET, lambda p: bytes(_mpls(p) / Raw(p))),
    "mpls with ethernet": (LINK_ETHERNET, lambda p: bytes(_mpls(p) / Raw(ether(p)))),
    "mpls with control word": (LINK_ETHERNET, lambda p: bytes(_mpls(p) / Raw(bytes(4) + ether(p)))),
    "pppoe": (
        LINK_ETHERNET,
        lambda p: (
            bytes(ethernet(0x8864) / PPPoE(sessionid=3) / PPP(proto=0x21 if p[0] >> 4 == 4 else 0x57) / Raw(p))
            + b"\0\0"
        ),
    ),
    "ppp": (LINK_PPP, lambda p: b"\xff\x03\x00" + (b"\x21" if p[0] >> 4 == 4 else b"\x57") + p),
    "ppp with short protocol": (LINK_PPP, lambda p: (b"\x21" if p[0] >> 4 == 4 else b"\x57") + p),
    "cooked": (LINK_SLL, lambda p: bytes(14) + _ethertype(p).to_bytes(2) + p),
    "cooked 2": (LINK_SLL2, lambda p: _ethertype(p).to_bytes(2) + bytes(18) + p),
    "cooked with vlan": (LINK_SLL, lambda p: bytes(14) + b"\x81\x00\x00\x05" + _ethertype(p).to_bytes(2) + p),
    "loopback, little-endian": (LINK_NULL, lambda p: (2 if p[0] >> 4 == 4 else 30).to_bytes(4, "little") + p),
    "loopback, big-endian": (LINK_NULL, lambda p: (2 if p[0] >> 4 == 4 else 28).to_bytes(4, "big") + p),
    "loop": (LINK_LOOP, lambda p: (2 if p[0] >> 4 == 4 else 24).to_bytes(4, "big") + p),
    "raw": (LINK_RAW, lambda p: p),
    "raw 12": (LINK_RAW_12, lambda p: p),
    "raw 14": (LINK_RAW_14, lambda p: p),
}


def tcp(flags: str, payload: bytes = b"", seq: int = 1_000) -> bytes:
    return bytes(
        IP(src="192.0.2.1", dst="198.51.100.2") / TCP(sport=5_062, dport=5_060, flags=flags, seq=seq) / Raw(payload)
    )
