"""Session descriptions (RFC 8866) as telephones, PBXs and browsers write them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from building.formats import CODECS, Codec

USUAL: Final = ("PCMU", "PCMA", "telephone-event")


@dataclass(frozen=True, slots=True)
class Crypto:
    """An SDES key (RFC 4568): key_salt is master key and salt of an AES-128 suite, 30 bytes."""

    key_salt: bytes
    suite: str = "AES_CM_128_HMAC_SHA1_80"
    tag: int = 1

    @property
    def line(self) -> str:
        return f"a=crypto:{self.tag} {self.suite} inline:{base64.b64encode(self.key_salt).decode()}"


def codec_lines(codecs: Iterable[Codec]) -> list[str]:
    """rtpmap and fmtp of each codec."""
    lines = []
    for codec in codecs:
        lines.append(f"a=rtpmap:{codec.rtpmap}")
        if codec.fmtp:
            lines.append(f"a=fmtp:{codec.payload_type} {codec.fmtp}")
    return lines


def sdp(
    address: str,
    port: int,
    codecs: Iterable[str | Codec] = USUAL,
    *,
    direction: str = "sendrecv",
    connection: str | None = None,
    version: int = 1,
    session_id: int = 7_000_001,
    user: str = "-",
    ptime_ms: int = 20,
    protocol: str = "RTP/AVP",
    crypto: Crypto | None = None,
    rtcp_mux: bool = False,
    rtcp_port: int = 0,
    ice: bool = False,
    fingerprint: str = "",
    video_port: int = 0,
    extra: Iterable[str] = (),
) -> bytes:
    """Return an SDP body with one audio line, and one H.264 video line when video_port is given.

    connection: the c= address when it differs from the origin's (hold with 0.0.0.0). extra:
    lines added below the audio line.
    """
    chosen = [CODECS[codec] if isinstance(codec, str) else codec for codec in codecs]
    family = "IP6" if ":" in address else "IP4"
    where = connection if connection is not None else address
    profile = "RTP/SAVP" if crypto and protocol == "RTP/AVP" else protocol
    formats = " ".join(str(codec.payload_type) for codec in chosen)
    lines = [
        "v=0",
        f"o={user} {session_id} {version} IN {family} {address}",
        "s=call",
        f"c=IN {'IP6' if ':' in where else 'IP4'} {where}",
        "t=0 0",
        f"m=audio {port} {profile} {formats}",
        *codec_lines(chosen),
        f"a=ptime:{ptime_ms}",
        f"a={direction}",
    ]
    if crypto:
        lines.append(crypto.line)
    if rtcp_mux:
        lines.append("a=rtcp-mux")
    if rtcp_port:
        lines.append(f"a=rtcp:{rtcp_port}")
    if fingerprint:
        lines += [f"a=fingerprint:sha-256 {fingerprint}", "a=setup:actpass"]
    if ice:
        lines += ["a=ice-ufrag:F7gI", "a=ice-pwd:x9cml/YzichV2+XlhiMu8g"]
        lines.append(f"a=candidate:1 1 UDP 2130706431 {address} {port} typ host")
    lines += extra
    if video_port:
        lines += [f"m=video {video_port} {profile} 99", "a=rtpmap:99 H264/90000", f"a={direction}"]
    return ("\r\n".join(lines) + "\r\n").encode()
