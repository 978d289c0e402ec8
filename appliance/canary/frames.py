"""Frames as they are on a wire: UDP in IPv4 in Ethernet, with or without a VLAN's tag.

Source: RFC 768, RFC 791 section 3.1, RFC 1071 (checksum), IEEE 802.1Q. Addresses are bytes, as on the wire.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

_ETHERTYPE_IPV4: Final = 0x0800
_ETHERTYPE_VLAN: Final = 0x8100
_UDP: Final = 17
_DONT_FRAGMENT: Final = 0x4000
_TTL: Final = 64
_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER: Final = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class End:
    """Where a frame comes from, or goes to. mac: 6 bytes; host: a dotted IPv4 address."""

    mac: bytes
    host: str
    port: int

    @property
    def address(self) -> bytes:
        """The IPv4 address, 4 bytes."""
        return ipaddress.IPv4Address(self.host).packed

    def at(self, port: int) -> End:
        """Return another port of the same host."""
        return End(self.mac, self.host, port)


def frame(source: End, to: End, payload: bytes, number: int = 0, vlan: int | None = None) -> bytes:
    """Return a frame. number: the packet's Identification, 16 bits of which count."""
    tag = b"" if vlan is None else struct.pack("!HH", _ETHERTYPE_VLAN, vlan)
    return (
        to.mac + source.mac + tag + _ETHERTYPE_IPV4.to_bytes(2) + _ipv4(source, to, _udp(source, to, payload), number)
    )


def checksum(data: bytes) -> int:
    """Return the one's complement of the one's complement sum of 16-bit words (RFC 1071).

    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _ipv4(source: End, to: End, content: bytes, number: int) -> bytes:
    def header(sum_: int) -> bytes:
        length, identification = 20 + len(content), number & 0xFFFF
        ends = source.address, to.address
        return _IPV4.pack(0x45, 0, length, identification, _DONT_FRAGMENT, _TTL, _UDP, sum_, *ends)

    return header(checksum(header(0))) + content


def _udp(source: End, to: End, payload: bytes) -> bytes:
    length = 8 + len(payload)
    pseudo = source.address + to.address + struct.pack("!BBH", 0, _UDP, length)
    found = checksum(pseudo + _UDP_HEADER.pack(source.port, to.port, length, 0) + payload)
    # RFC 768: a sum of zero goes as all ones, since zero says that there is none.
    return _UDP_HEADER.pack(source.port, to.port, length, found or 0xFFFF) + payload
