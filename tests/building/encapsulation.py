"""Plain Ethernet frames into tunnels, tags and other link layers: functions frame -> frame.

WRAPPERS names each with the link type that its result has in a capture file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from building.frames import IPV6, MACS, UDP, ethernet, ip, ip_of, udp

LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_RAW: Final = 101
LINK_LOOP: Final = 108
LINK_SLL: Final = 113
LINK_SLL2: Final = 276

GRE: Final = 47
OUTER: Final = ("192.0.2.1", "192.0.2.2")
OUTER_V6: Final = ("2001:db8::1", "2001:db8::2")
Wrap = Callable[[bytes], bytes]


def ethertype_of(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def in_vlan(frame: bytes, vlan: int = 100, tpid: int = 0x8100) -> bytes:
    """IEEE 802.1Q: one tag, priority 5."""
    return frame[:12] + struct.pack(">HH", tpid, 5 << 13 | vlan) + frame[12:]


def in_qinq(frame: bytes) -> bytes:
    """Two 802.1Q tags, as early QinQ switches write them."""
    return in_vlan(in_vlan(frame, 100), 200)


def in_8021ad(frame: bytes) -> bytes:
    """IEEE 802.1ad: service tag 0x88A8 around a customer tag."""
    return in_vlan(in_vlan(frame, 100), 200, 0x88A8)


def _in_ip(protocol: int, payload: bytes) -> bytes:
    return ethernet(ip(*OUTER, protocol, payload))


def _in_udp(port: int, payload: bytes) -> bytes:
    return _in_ip(UDP, udp(OUTER[0], 54_321, OUTER[1], port, payload))


def in_gre(frame: bytes) -> bytes:
    """GRE (RFC 2784) with the IP packet alone."""
    return _in_ip(GRE, struct.pack(">HH", 0, ethertype_of(frame)) + ip_of(frame))


def in_gre_with_key(frame: bytes) -> bytes:
    """GRE with checksum, key and sequence number (RFC 2890)."""
    head = struct.pack(">HHHHII", 0xB000, ethertype_of(frame), 0, 0, 77, 1)
    return _in_ip(GRE, head + ip_of(frame))


def in_gre_teb(frame: bytes) -> bytes:
    """GRE with the whole frame: transparent Ethernet bridging, 0x6558."""
    return _in_ip(GRE, struct.pack(">HH", 0, 0x6558) + frame)


def in_erspan_1(frame: bytes) -> bytes:
    """ERSPAN type I: GRE without sequence number, no header of its own."""
    return _in_ip(GRE, struct.pack(">HH", 0, 0x88BE) + frame)


def in_erspan_2(frame: bytes) -> bytes:
    """ERSPAN type II: GRE with sequence number, eight bytes of header."""
    return _in_ip(GRE, struct.pack(">HHI", 0x1000, 0x88BE, 1) + struct.pack(">HHI", 1 << 12 | 100, 5, 1) + frame)


def in_erspan_3(frame: bytes) -> bytes:
    """ERSPAN type III: twelve bytes of header, no platform header."""
    head = struct.pack(">HHIHH", 2 << 12 | 100, 5, 123_456, 0, 0)
    return _in_ip(GRE, struct.pack(">HHI", 0x1000, 0x22EB, 1) + head + frame)


def in_erspan_3_with_platform(frame: bytes) -> bytes:
    """ERSPAN type III with the optional eight bytes of platform header (the O bit)."""
    head = struct.pack(">HHIHH", 2 << 12 | 100, 5, 123_456, 0, 1) + struct.pack(">II", 3 << 26, 0)
    return _in_ip(GRE, struct.pack(">HHI", 0x1000, 0x22EB, 1) + head + frame)


def in_vxlan(frame: bytes) -> bytes:
    """VXLAN (RFC 7348), network 5001."""
    return _in_udp(4789, struct.pack(">II", 0x08000000, 5001 << 8) + frame)


def in_geneve(frame: bytes) -> bytes:
    """Geneve (RFC 8926) without options."""
    return _in_udp(6081, struct.pack(">BBHI", 0, 0, 0x6558, 5001 << 8) + frame)


def in_geneve_with_option(frame: bytes) -> bytes:
    """Geneve with one option of eight bytes."""
    option = struct.pack(">HBBI", 0x0102, 1, 1, 0xDEADBEEF)
    return _in_udp(6081, struct.pack(">BBHI", 2, 0, 0x6558, 5001 << 8) + option + frame)


def in_mpls(frame: bytes) -> bytes:
    """MPLS (RFC 3032): two labels around the IP packet."""
    labels = struct.pack(">II", 16_000 << 12 | 64, 17_000 << 12 | 1 << 8 | 64)
    return MACS + struct.pack(">H", 0x8847) + labels + ip_of(frame)


def in_mpls_pseudowire(frame: bytes) -> bytes:
    """Ethernet over MPLS (RFC 4448) with a control word."""
    labels = struct.pack(">II", 16_000 << 12 | 64, 17_000 << 12 | 1 << 8 | 64)
    return MACS + struct.pack(">H", 0x8847) + labels + bytes(4) + frame


def in_ip(frame: bytes) -> bytes:
    """IPv4 or IPv6 in IPv4 (RFC 2003, RFC 4213)."""
    return _in_ip(41 if ethertype_of(frame) == IPV6 else 4, ip_of(frame))


def in_ip_v6(frame: bytes) -> bytes:
    """IPv4 or IPv6 in IPv6 (RFC 2473)."""
    return ethernet(ip(*OUTER_V6, 41 if ethertype_of(frame) == IPV6 else 4, ip_of(frame)))


def in_pppoe(frame: bytes) -> bytes:
    """PPPoE session (RFC 2516)."""
    packet = ip_of(frame)
    protocol = 0x0057 if ethertype_of(frame) == IPV6 else 0x0021
    return MACS + struct.pack(">HBBHHH", 0x8864, 0x11, 0, 42, len(packet) + 2, protocol) + packet


def in_vlan_erspan_vxlan(frame: bytes) -> bytes:
    """Nested: the frame in VXLAN, in a VLAN, in ERSPAN II."""
    return in_erspan_2(in_vlan(in_vxlan(frame)))


def with_options(frame: bytes) -> bytes:
    """The IPv4 packet with a router alert and padding; IPv6 with hop-by-hop and destination options."""
    packet = ip_of(frame)
    if packet[0] >> 4 == 6:
        extension = bytes([60, 0, 5, 2, 0, 0, 1, 0]) + bytes([packet[6], 0, 1, 4, 0, 0, 0, 0])
        head = packet[:4] + struct.pack(">HB", len(packet) - 40 + len(extension), 0) + packet[7:40]
        return ethernet(head + extension + packet[40:])
    src, dst = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
    ident = int.from_bytes(packet[4:6], "big")
    options = bytes([0x94, 4, 0, 0, 1, 1, 1, 0])
    return ethernet(ip(src, dst, packet[9], packet[20:], ttl=packet[8], ident=ident, options=options))


def as_raw(frame: bytes) -> bytes:
    return ip_of(frame)


def as_null(frame: bytes) -> bytes:
    """BSD loopback: the address family in the byte order of the capturing machine, here little-endian."""
    return struct.pack("<I", 30 if ethertype_of(frame) == IPV6 else 2) + ip_of(frame)


def as_loop(frame: bytes) -> bytes:
    """OpenBSD loopback: the address family in network order."""
    return struct.pack(">I", 24 if ethertype_of(frame) == IPV6 else 2) + ip_of(frame)


def as_sll(frame: bytes) -> bytes:
    """Linux cooked capture, version 1."""
    return struct.pack(">HHH8sH", 0, 1, 6, frame[6:12] + b"\0\0", ethertype_of(frame)) + ip_of(frame)


def as_sll2(frame: bytes) -> bytes:
    """Linux cooked capture, version 2."""
    head = struct.pack(">HHIHBB8s", ethertype_of(frame), 0, 3, 1, 0, 6, frame[6:12] + b"\0\0")
    return head + ip_of(frame)


WRAPPERS: Final[dict[str, tuple[Wrap, int]]] = {
    "plain": (bytes, LINK_ETHERNET),
    **{
        function.__name__.removeprefix("in_"): (function, LINK_ETHERNET)
        for function in (
            in_vlan,
            in_qinq,
            in_8021ad,
            in_gre,
            in_gre_with_key,
            in_gre_teb,
            in_erspan_1,
            in_erspan_2,
            in_erspan_3,
            in_erspan_3_with_platform,
            in_vxlan,
            in_geneve,
            in_geneve_with_option,
            in_mpls,
            in_mpls_pseudowire,
            in_ip,
            in_ip_v6,
            in_pppoe,
            in_vlan_erspan_vxlan,
            with_options,
        )
    },
    "raw": (as_raw, LINK_RAW),
    "null": (as_null, LINK_NULL),
    "loop": (as_loop, LINK_LOOP),
    "sll": (as_sll, LINK_SLL),
    "sll2": (as_sll2, LINK_SLL2),
}
