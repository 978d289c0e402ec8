"""The media of the test call: a clip of speech as RTP packets, with RTCP reports beside them.

Source: RFC 3550 sections 5.1, 6.4.1, 6.5 and 6.6; RFC 3551 for A-law (payload type 8, 8000 Hz).
"""

from __future__ import annotations

import secrets
import struct
from importlib import resources
from typing import Final

PAYLOAD_TYPE: Final = 8
PACKET_S: Final = 0.02
_SAMPLES: Final = 160  # in a packet: one byte each
_SILENCE: Final = 0xD5
_NTP_1970: Final = 2_208_988_800  # seconds between NTP's epoch and Unix's

_RTP: Final = struct.Struct("!BBHII")
_SENDER_REPORT: Final = struct.Struct("!BBHIIIIII")
_SENDER_REPORT_TYPE: Final = 200
_DESCRIPTION_TYPE: Final = 202
_BYE_TYPE: Final = 203


def speech(party: str) -> bytes:
    """Return the clip of a party ("caller", "callee"): A-law at 8000 Hz (speech/README.md)."""
    return resources.files("vittne.appliance").joinpath("speech", f"{party}.al").read_bytes()


class Voice:
    """What one party says: packets in order, each 20 ms of the clip, which begins anew at its end."""

    def __init__(self, party: str, cname: str) -> None:
        self._clip = speech(party)
        self._cname = cname.encode()
        self._ssrc = secrets.randbits(32)
        self._first_sequence = secrets.randbits(16)
        self._first_timestamp = secrets.randbits(32)
        self.sent = 0  # packets

    def packet(self) -> bytes:
        """Return the next RTP packet; the first one has the marker (RFC 3551 4.1: a talkspurt begins)."""
        number, self.sent = self.sent, self.sent + 1
        at = number * _SAMPLES % len(self._clip)
        payload = self._clip[at : at + _SAMPLES].ljust(_SAMPLES, bytes([_SILENCE]))
        marked = PAYLOAD_TYPE | (0 if number else 0x80)
        sequence = (self._first_sequence + number) & 0xFFFF
        return _RTP.pack(0x80, marked, sequence, self._timestamp(number), self._ssrc) + payload

    def report(self, unix_s: float, last: bool = False) -> bytes:
        """Return a compound RTCP packet: a sender report for the time of the next packet, CNAME, at the end BYE."""
        seconds = int(unix_s)
        report = _SENDER_REPORT.pack(
            0x80,
            _SENDER_REPORT_TYPE,
            6,
            self._ssrc,
            (seconds + _NTP_1970) & 0xFFFFFFFF,
            int((unix_s - seconds) * 2**32),
            self._timestamp(self.sent),
            self.sent,
            self.sent * _SAMPLES,
        )
        bye = struct.pack("!BBHI", 0x81, _BYE_TYPE, 1, self._ssrc) if last else b""
        return report + self._description() + bye

    def _description(self) -> bytes:
        item = bytes([1, len(self._cname)]) + self._cname
        chunk = self._ssrc.to_bytes(4) + item + bytes(4 - len(item) % 4)  # ends with at least one zero
        return struct.pack("!BBH", 0x81, _DESCRIPTION_TYPE, len(chunk) // 4) + chunk

    def _timestamp(self, number: int) -> int:
        return (self._first_timestamp + number * _SAMPLES) & 0xFFFFFFFF
