"""A canary call as it goes over the wire: every frame with its time, and what each voice says.

Addresses are of documentation networks (RFC 5737), MACs locally administered: no switch, router or host has them. The
called one speaks the announcement first, if there is one, then both talk; G.711, 20 ms a packet.
Source: RFC 3261, RFC 3264, RFC 3550, RFC 3551.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.appliance.canary.frames import End, frame
from vittne.appliance.canary.mark import HEADER, Sent, SentStream
from vittne.appliance.testphone import sip_message
from vittne.appliance.testvoice import speech
from vittne.codecs.base import I16
from vittne.codecs.g711 import A_LAW, MU_LAW

DOMAIN: Final = "canary.invalid"  # RFC 2606: nobody's
CALLER: Final = "vittne-canary-caller"
CALLEE: Final = "vittne-canary-callee"
PACKET_NS: Final = 20_000_000
SAMPLES: Final = 160  # in a packet
RATE: Final = 8000
TABLES: Final = {"pcma": A_LAW, "pcmu": MU_LAW}
_PAYLOAD_TYPES: Final = {"pcma": 8, "pcmu": 0}
_SIP_PORT: Final = 5060
_MS: Final = 1_000_000
_RINGING_NS: Final = 200 * _MS
_STEP_NS: Final = 10 * _MS  # from a message to the next
_BEFORE_ANNOUNCEMENT_S: Final = 0.5
_RTP: Final = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class Voice:
    """What a party says. payloads: of its packets, in order; sequence, timestamp: of the first one."""

    party: str
    ssrc: int
    sequence: int
    timestamp: int
    payloads: tuple[bytes, ...]
    codec: str


@dataclass(frozen=True, slots=True)
class Step:
    """A frame. after_ns: since the beginning. voice, number: which packet of which voice it is; -1: signalling."""

    after_ns: int
    frame: bytes
    voice: int = -1
    number: int = -1


@dataclass(frozen=True, slots=True)
class Script:
    """A whole call. announced_packet: the called one's packet with which the announcement begins; -1: there is none."""

    sent: Sent
    voices: tuple[Voice, Voice]  # the caller's, the callee's
    steps: tuple[Step, ...]
    announced_packet: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call is to be. announcement: its samples at 8000 Hz; empty: none."""

    mark: str
    codec: str
    talk_s: float
    vlan: int | None = None
    announcement: I16 | None = None


def write_script(wanted: Wanted, run: str) -> Script:
    """Make up a call: its Call-ID, tags, SSRCs and ports are random, so that no two are alike. run: its id."""
    call_id = f"{secrets.token_hex(16)}@{DOMAIN}"
    # Any but Ethernet's group bit, and the bit of addresses that somebody gave locally.
    ends = [_end(host) for host in ("192.0.2.10", "198.51.100.10")]
    media = [end.at(20_000 + 2 * secrets.randbelow(15_000)) for end in ends]
    announced, voices = _voices(wanted)
    lead = len(voices[0].payloads)
    writer = _Writer(wanted, call_id, ends, media)
    writer.set_up()
    for number in range(lead):
        for which, voice in enumerate(voices):
            writer.speak(which, voice, number)
    writer.hang_up(lead)
    pairs = ((media[0], media[1]), (media[1], media[0]))
    streams = tuple(
        SentStream(voice.ssrc, f"{a.host}:{a.port}", f"{b.host}:{b.port}", lead)
        for voice, (a, b) in zip(voices, pairs, strict=True)
    )
    return Script(Sent(run, call_id, streams), voices, tuple(writer.steps), announced)


def _end(host: str) -> End:
    return End(b"\x02" + secrets.token_bytes(5), host, _SIP_PORT)


def _voices(wanted: Wanted) -> tuple[int, tuple[Voice, Voice]]:
    """Return where the announcement begins, and both voices, of one length."""
    prompt = wanted.announcement
    lead = np.zeros(round(_BEFORE_ANNOUNCEMENT_S * RATE), np.int16)
    said = [np.concatenate((lead, prompt)).astype(np.int16)] if prompt is not None else []
    before = sum(map(len, said))
    length = -(-(before + round(wanted.talk_s * RATE)) // SAMPLES) * SAMPLES
    callee = np.concatenate((*said, _talk("callee", length - before)))
    caller = np.concatenate((np.zeros(before, np.int16), _talk("caller", length - before)))
    voices = _voice("caller", caller, wanted.codec), _voice("callee", callee, wanted.codec)
    return (len(lead) // SAMPLES if said else -1), voices


def _talk(party: str, samples: int) -> I16:
    """Return so much of a party's clip, which begins anew at its end."""
    clip = A_LAW[np.frombuffer(speech(party), np.uint8)]
    return np.asarray(np.resize(clip, samples), np.int16)


def _voice(party: str, samples: I16, codec: str) -> Voice:
    coded = encoded(samples, codec)
    payloads = tuple(coded[at : at + SAMPLES] for at in range(0, len(coded), SAMPLES))
    return Voice(party, secrets.randbits(32), secrets.randbits(16), secrets.randbits(32), payloads, codec)


def encoded(samples: I16, codec: str) -> bytes:
    """Return samples in G.711: of each, the code whose value is the nearest."""
    table = TABLES[codec].astype(np.int64)
    order = np.argsort(table, kind="stable")
    values = table[order]
    above = np.clip(np.searchsorted(values, samples), 1, len(values) - 1)
    is_lower = samples - values[above - 1] <= values[above] - samples
    return order[np.where(is_lower, above - 1, above)].astype(np.uint8).tobytes()


class _Writer:
    """Puts frames in a row: the caller's end is 0, the callee's 1."""

    def __init__(self, wanted: Wanted, call_id: str, ends: list[End], media: list[End]) -> None:
        self.steps: list[Step] = []
        self._wanted = wanted
        self._call_id = call_id
        self._ends = ends
        self._media = media
        self._tags = [secrets.token_hex(6), secrets.token_hex(6)]
        self._branch = f"z9hG4bK{secrets.token_hex(8)}"
        self._at_ns = 0
        self._talk_ns = 0

    def set_up(self) -> None:
        """INVITE, 100, 180, 200, ACK."""
        self._request("INVITE", 1, self._session(0), tagged=False)
        self._answer("100 Trying", "INVITE", 1, tagged=False)
        self._answer("180 Ringing", "INVITE", 1)
        self._at_ns += _RINGING_NS
        self._answer("200 OK", "INVITE", 1, self._session(1))
        self._request("ACK", 1)
        self._talk_ns = self._at_ns + 2 * _STEP_NS

    def speak(self, which: int, voice: Voice, number: int) -> None:
        """One packet of a voice; the first has the marker (RFC 3551 4.1)."""
        marked = _PAYLOAD_TYPES[voice.codec] | (0 if number else 0x80)
        sequence, timestamp = (voice.sequence + number) & 0xFFFF, (voice.timestamp + number * SAMPLES) & 0xFFFFFFFF
        packet = _RTP.pack(0x80, marked, sequence, timestamp, voice.ssrc) + voice.payloads[number]
        source, to = self._media[which], self._media[1 - which]
        after = self._talk_ns + number * PACKET_NS + which * PACKET_NS // 2
        self.steps.append(Step(after, self._frame(source, to, packet), which, number))

    def hang_up(self, packets: int) -> None:
        """BYE, 200, when so many packets of each voice are sent."""
        self._at_ns = self._talk_ns + packets * PACKET_NS
        self._request("BYE", 2)
        self._answer("200 OK", "BYE", 2)

    def _request(self, method: str, sequence: int, body: bytes = b"", tagged: bool = True) -> None:
        start = f"{method} sip:{CALLEE}@{self._ends[1].host}:{_SIP_PORT} SIP/2.0"
        headers = {"Max-Forwards": "70", **self._headers(method, sequence, tagged), "Contact": self._contact(0)}
        self._put(0, sip_message(start, {**headers, HEADER: self._wanted.mark}, body))

    def _answer(self, status: str, method: str, sequence: int, body: bytes = b"", tagged: bool = True) -> None:
        headers = {**self._headers(method, sequence, tagged), "Contact": self._contact(1)}
        self._put(1, sip_message(f"SIP/2.0 {status}", headers, body))

    def _headers(self, method: str, sequence: int, tagged: bool) -> dict[str, str]:
        tag = f";tag={self._tags[1]}" if tagged else ""
        return {
            "Via": f"SIP/2.0/UDP {self._ends[0].host}:{_SIP_PORT};branch={self._branch}{method.lower()}",
            "From": f'"Vittne canary" <sip:{CALLER}@{DOMAIN}>;tag={self._tags[0]}',
            "To": f"<sip:{CALLEE}@{DOMAIN}>{tag}",
            "Call-ID": self._call_id,
            "CSeq": f"{sequence} {method}",
        }

    def _contact(self, which: int) -> str:
        return f"<sip:{(CALLER, CALLEE)[which]}@{self._ends[which].host}:{_SIP_PORT}>"

    def _session(self, which: int) -> bytes:
        host, codec = self._ends[which].host, self._wanted.codec
        kind = _PAYLOAD_TYPES[codec]
        lines = (
            "v=0",
            f"o=- {secrets.randbits(31)} 1 IN IP4 {host}",
            "s=canary call",
            f"c=IN IP4 {host}",
            "t=0 0",
            f"m=audio {self._media[which].port} RTP/AVP {kind}",
            f"a=rtpmap:{kind} {codec.upper()}/{RATE}",
            "a=ptime:20",
            "a=sendrecv",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _put(self, which: int, message: bytes) -> None:
        self.steps.append(Step(self._at_ns, self._frame(self._ends[which], self._ends[1 - which], message)))
        self._at_ns += _STEP_NS

    def _frame(self, source: End, to: End, payload: bytes) -> bytes:
        return frame(source, to, payload, len(self.steps), self._wanted.vlan)
