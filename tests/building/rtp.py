"""RTP, RTCP, telephone-event, STUN and DTLS bytes: RFC 3550, 4733, 3711, 8489, 6347."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from building.sdp import Crypto

KEYS: Final = "0123456789*#ABCD"
END_REPEATS: Final = 3  # RFC 4733 2.5.1.4: the end of an event is sent three times
NTP_EPOCH: Final = 2_208_988_800


def rtp(payload_type: int, seq: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool = False) -> bytes:
    """One RTP packet (RFC 3550 5.1) without extensions."""
    second = marker << 7 | payload_type
    return struct.pack(">BBHII", 0x80, second, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What takes a voice packet's place while a key is down. start: which packet the event began in."""

    payload: bytes
    start: int
    marker: bool


def key_presses(
    presses: Sequence[tuple[float, str]], ptime_ms: int, clock_rate: int, packets: int = 8
) -> dict[int, EventPacket]:
    """Return packet number -> event, for keys pressed at seconds after the stream's start.

    Each press lasts `packets` packets: growing durations, and the last one sent three times.
    """
    events = {}
    step = clock_rate * ptime_ms // 1000
    for at_s, key in presses:
        first = round(at_s * 1000 / ptime_ms)
        for i in range(packets):
            steps = min(i + 1, packets - END_REPEATS + 1)
            ends = i > packets - END_REPEATS - 1
            body = struct.pack(">BBH", KEYS.index(key), (0x80 if ends else 0) | 10, steps * step)
            events[first + i] = EventPacket(body, first, i == 0)
    return events


def sender_report(
    ssrc: int, at_ns: int, timestamp: int, packets: int, octets: int, *, about: int = 0, highest: int = 0
) -> bytes:
    """A compound SR (with a report about another SSRC when given) and SDES CNAME."""
    ntp = ((at_ns // 10**9 + NTP_EPOCH) << 32) + ((at_ns % 10**9 << 32) // 10**9)
    block = struct.pack(">IIIIII", about, 0, highest, 8, 0, 0) if about else b""
    head = struct.pack(">BBH", 0x80 | bool(about), 200, 6 + len(block) // 4)
    return head + struct.pack(">IQIII", ssrc, ntp, timestamp & 0xFFFFFFFF, packets, octets) + block + cname(ssrc)


def receiver_report(ssrc: int, about: int, highest: int, lost: int = 0) -> bytes:
    block = struct.pack(">IIIIII", about, lost, highest, 8, 0, 0)
    return struct.pack(">BBHI", 0x81, 201, 7, ssrc) + block + cname(ssrc)


def cname(ssrc: int) -> bytes:
    """An SDES packet with a CNAME (RFC 3550 6.5.1)."""
    name = b"%08x@example.net" % ssrc
    chunk = struct.pack(">IBB", ssrc, 1, len(name)) + name
    chunk += bytes(4 - len(chunk) % 4)
    return struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk


def rtcp_bye(ssrc: int) -> bytes:
    """A compound packet that ends a source: an empty RR and BYE."""
    return struct.pack(">BBHI", 0x80, 201, 1, ssrc) + struct.pack(">BBHI", 0x81, 203, 1, ssrc)


class Protector:
    """SRTP for one sender (RFC 3711), with libsrtp."""

    def __init__(self, crypto: Crypto) -> None:
        from pylibsrtp import Policy, Session  # noqa: PLC0415 (few tests need it)

        profiles = {
            "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
            "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
        }
        policy = Policy(key=crypto.key_salt, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profiles[crypto.suite])
        self._session = Session(policy=policy)

    def __call__(self, packet: bytes) -> bytes:
        return bytes(self._session.protect(packet))

    def rtcp(self, packet: bytes) -> bytes:
        return bytes(self._session.protect_rtcp(packet))


def stun_binding(transaction: bytes, *, response_to: tuple[str, int] | None = None) -> bytes:
    """A STUN binding request, or the success response with XOR-MAPPED-ADDRESS (RFC 8489)."""
    cookie, attributes = 0x2112A442, b""
    if response_to:
        address = bytes(int(part) for part in response_to[0].split("."))
        mapped = int.from_bytes(address, "big") ^ cookie
        attributes = struct.pack(">HHBBHI", 0x0020, 8, 0, 1, response_to[1] ^ cookie >> 16, mapped)
    kind = 0x0101 if response_to else 0x0001
    return struct.pack(">HHI", kind, len(attributes), cookie) + transaction[:12] + attributes


def dtls_client_hello(random: bytes) -> bytes:
    """A DTLS 1.2 ClientHello offering one suite and the SRTP profiles (RFC 6347, RFC 5764)."""
    use_srtp = struct.pack(">HHHHB", 14, 5, 2, 0x0001, 0)
    body = b"\xfe\xfd" + random[:32] + b"\0\0" + struct.pack(">HHBB", 2, 0xC02B, 1, 0)
    body += struct.pack(">H", len(use_srtp)) + use_srtp
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + struct.pack(">H", 0) + bytes(3)
    handshake += struct.pack(">I", len(body))[1:] + body
    return b"\x16\xfe\xff" + bytes(8) + struct.pack(">H", len(handshake)) + handshake
