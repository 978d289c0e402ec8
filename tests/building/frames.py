"""IP, UDP, TCP and Ethernet written by hand: the layers under everything that the builders send."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

UDP: Final = 17
TCP: Final = 6
IPV4: Final = 0x0800
IPV6: Final = 0x86DD
ETHERTYPE_AT: Final = 12
MACS: Final = bytes.fromhex("02005e100001 02005e100002")  # destination, source


def is_v6(address: str) -> bool:
    return ":" in address


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def address_text(address: str, port: int) -> str:
    """address:port, IPv6 in brackets: how truth names an end."""
    return f"[{ipaddress.ip_address(address)}]:{port}" if is_v6(address) else f"{address}:{port}"


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _transport_checksum(src: str, dst: str, protocol: int, segment: bytes) -> int:
    pseudo = packed(src) + packed(dst) + struct.pack(">IHBB", len(segment), 0, 0, protocol)
    return checksum(pseudo + segment) or 0xFFFF


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes) -> bytes:
    """A UDP datagram with its checksum (RFC 768, RFC 8200 8.1)."""
    head = struct.pack(">HHH", sport, dport, 8 + len(payload))
    value = _transport_checksum(src, dst, UDP, head + b"\0\0" + payload)
    return head + struct.pack(">H", value) + payload


def tcp(
    src: str, sport: int, dst: str, dport: int, payload: bytes, *, seq: int, ack: int = 0, flags: int = 0x18
) -> bytes:
    """A TCP segment without options (RFC 9293 3.1)."""
    head = struct.pack(">HHIIBBH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 64_000)
    value = _transport_checksum(src, dst, TCP, head + b"\0\0\0\0" + payload)
    return head + struct.pack(">HH", value, 0) + payload


def ip(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    ident: int = 0,
    options: bytes = b"",
    fragment: int = 0x4000,
) -> bytes:
    """An IPv4 packet (options a multiple of four bytes; fragment: flags and offset), or IPv6 by the addresses."""
    if is_v6(src):
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + packed(src) + packed(dst) + payload
    words = 5 + len(options) // 4
    total = 4 * words + len(payload)
    head = struct.pack(">BBHHHBB", 0x40 | words, 0, total, ident & 0xFFFF, fragment, ttl, protocol)
    tail = packed(src) + packed(dst) + options
    return head + struct.pack(">H", checksum(head + b"\0\0" + tail)) + tail + payload


def ethernet(packet: bytes, macs: bytes = MACS) -> bytes:
    """An Ethernet frame around an IP packet of either version."""
    ethertype = IPV6 if packet[0] >> 4 == 6 else IPV4
    return macs + struct.pack(">H", ethertype) + packet


def udp_frame(src: str, sport: int, dst: str, dport: int, payload: bytes, *, ttl: int = 64, ident: int = 0) -> bytes:
    """Ethernet, IP and UDP around payload."""
    return ethernet(ip(src, dst, UDP, udp(src, sport, dst, dport, payload), ttl=ttl, ident=ident))


def tcp_frame(
    src: str,
    sport: int,
    dst: str,
    dport: int,
    payload: bytes,
    *,
    seq: int,
    ack: int = 0,
    flags: int = 0x18,
    ident: int = 0,
) -> bytes:
    """Ethernet, IP and TCP around payload."""
    segment = tcp(src, sport, dst, dport, payload, seq=seq, ack=ack, flags=flags)
    return ethernet(ip(src, dst, TCP, segment, ident=ident))


def ip_of(frame: bytes) -> bytes:
    """The IP packet inside a plain Ethernet frame."""
    return frame[14:]


def as_mirror_sees_again(frame: bytes) -> bytes:
    """The same IPv4 or IPv6 packet one router hop on: other MAC addresses, TTL lower by one, checksum to match."""
    packet = bytearray(ip_of(frame))
    if packet[0] >> 4 == 6:
        packet[7] -= 1
    else:
        packet[8] -= 1
        size = (packet[0] & 15) * 4
        packet[10:12] = b"\0\0"
        packet[10:12] = struct.pack(">H", checksum(bytes(packet[:size])))
    return ethernet(bytes(packet), bytes.fromhex("02005e2000aa 02005e2000bb"))
