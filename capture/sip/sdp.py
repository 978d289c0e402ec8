"""Session descriptions: which media, where to, in what formats.

Sources: RFC 8866 (SDP), RFC 3264 (offer and answer), RFC 5761 (rtcp-mux), RFC 4568 (crypto), RFC 8839 (ICE).
Read as the field writes it: LF alone, lines missing or twice, lines that are none (skipped). Refused is what
is no SDP, goes over a bound, or names a port that cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vittne.capture.errors import Malformed
from vittne.capture.sip.crypto import Crypto, read_crypto
from vittne.capture.sip.headers import read_text
from vittne.capture.sip.sdp_attributes import (
    read_address,
    read_bundles,
    read_candidates,
    read_milliseconds,
    read_number,
    read_payloads,
    read_rtcp,
    read_ssrcs,
)
from vittne.codecs.formats import Format

MAX_BYTES: Final = 256 << 10
MAX_LINES: Final = 4096
MAX_MEDIA: Final = 128
MAX_FORMATS: Final = 256
MAX_CRYPTOS: Final = 32

_DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_NOWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (RFC 3264 8.4: an address, nothing binds to it)

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Media:
    """One m= line with what applies to it, its own lines before the session's."""

    kind: str  # audio, video, image, text, application, message; lower case
    port: int  # 0: rejected, or only bundled
    port_count: int  # RFC 8866 5.14: consecutive RTP/RTCP pairs; 1 nearly always
    protocol: str  # as written: RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF, udptl ...
    formats: tuple[str, ...]
    address: str  # own c= line, else the session's; IP address or name; "" when neither is there
    direction: str  # sendrecv, sendonly, recvonly, inactive
    ptime_ms: float | None
    maxptime_ms: float | None
    payloads: dict[int, Format] = field(hash=False)  # in the order of the line; {} when not RTP
    rtcp_port: int | None  # None: not said, that is port + 1, or port with rtcp_mux
    rtcp_address: str  # "" when the media's
    rtcp_mux: bool
    cryptos: tuple[Crypto, ...]
    candidates: tuple[tuple[str, int, int], ...]  # (address, port, component), UDP only
    has_ice: bool
    fingerprint: str  # "sha-256 AB:.." (RFC 8122); "" without DTLS
    setup: str  # actpass, active, passive, holdconn; ""
    ssrcs: tuple[int, ...]
    mid: str
    attributes: Attributes  # (name in lower case, value), this line's own

    @property
    def is_rejected(self) -> bool:
        """Port 0. In a bundle (RFC 9143 6) with a=bundle-only it is not a refusal: see attributes."""
        return self.port == 0

    @property
    def is_held(self) -> bool:
        """Whether this description puts the other side on hold (RFC 3264 8.4, old and new way)."""
        # With ICE 0.0.0.0 only says that candidates follow (RFC 8840 4.1.1).
        nowhere = self.address in _NOWHERE and not self.has_ice
        return nowhere or self.direction in {"sendonly", "inactive"}


@dataclass(frozen=True, slots=True)
class Session:
    """One description. Texts are "" where their line is missing."""

    origin_user: str
    session_id: str
    version: str  # of the o= line: grows with every change
    origin_address: str
    name: str
    address: str  # session-level c=
    bundles: tuple[tuple[str, ...], ...]  # media ids of each a=group:BUNDLE
    attributes: Attributes  # session-level
    media: tuple[Media, ...]


@dataclass(slots=True)
class _Section:
    """Lines of the session (first) or of one m= line, while they are read."""

    line: str = ""  # the m= line's value
    address: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def parse(data: bytes) -> Session | Malformed:
    """Return the session that an SDP body describes.

    Reasons: "sdp: too long", "sdp: too many lines", "sdp: not sdp", "sdp: too many media", "sdp: media line",
    "sdp: port", "sdp: too many formats".
    """
    if len(data) > MAX_BYTES:
        return Malformed("sdp: too long")
    lines = read_text(data).split("\n")
    if len(lines) > MAX_LINES:
        return Malformed("sdp: too many lines")
    sections, texts = _read_sections(lines)
    if len(sections) == 1 and "v" not in texts:
        return Malformed("sdp: not sdp")
    if len(sections) - 1 > MAX_MEDIA:
        return Malformed("sdp: too many media")
    shared = dict(reversed(sections[0].attributes))
    direction = _direction(sections[0]) or "sendrecv"
    media: list[Media] = []
    for section in sections[1:]:
        one = _read_media(section, sections[0].address, direction, shared)
        if isinstance(one, Malformed):
            return one
        media.append(one)
    origin = [*texts.get("o", "").split(), "", "", "", "", "", ""]
    return Session(
        origin[0],
        origin[1],
        origin[2],
        origin[5],
        texts.get("s", ""),
        sections[0].address,
        read_bundles(sections[0].values("group")),
        tuple(sections[0].attributes),
        tuple(media),
    )


def _read_sections(lines: list[str]) -> tuple[list[_Section], dict[str, str]]:
    """Return the session's section followed by one per m= line, and the first v=, o= and s= values."""
    section = _Section()
    sections, texts = [section], dict[str, str]()
    for line in lines:
        kind, value = line[:2], line[2:].strip()
        if kind == "a=":
            name, _, rest = value.partition(":")
            section.attributes.append((name.strip().lower(), rest.strip()))
        elif kind == "m=":
            section = _Section(value)
            sections.append(section)
        elif kind == "c=":
            # Several c= lines are multicast layers (RFC 8866 5.7); the first one is the base.
            section.address = section.address or read_address(value)
        elif kind in {"v=", "o=", "s="}:
            texts.setdefault(kind[0], value)
    return sections, texts


def _read_media(section: _Section, address: str, direction: str, shared: dict[str, str]) -> Media | Malformed:
    """Return the media of one m= line (RFC 8866 5.14); what it does not say itself the session says."""
    words = section.line.split()
    if len(words) < 3:
        return Malformed("sdp: media line")
    kind, port_text, protocol, *formats = words
    if len(formats) > MAX_FORMATS:
        return Malformed("sdp: too many formats")
    port_text, slash, count = port_text.partition("/")
    port, port_count = read_number(port_text, 65_535), read_number(count, 32_767) if slash else 1
    if port is None or not port_count:
        return Malformed("sdp: port")
    own: dict[str, list[str]] = {}
    for name, value in section.attributes:
        own.setdefault(name, []).append(value)

    def effective(name: str) -> str | None:
        values = own.get(name)
        return values[0] if values else shared.get(name)

    rtcp_port, rtcp_address = read_rtcp(own["rtcp"][0]) if "rtcp" in own else (None, "")
    is_rtp = "RTP/" in protocol.upper()
    return Media(
        kind.lower(),
        port,
        port_count,
        protocol,
        tuple(formats),
        section.address or address,
        _direction(section) or direction,
        read_milliseconds(effective("ptime")),
        read_milliseconds(effective("maxptime")),
        read_payloads(formats, own.get("rtpmap", ()), own.get("fmtp", ())) if is_rtp else {},
        rtcp_port,
        rtcp_address,
        "rtcp-mux" in own or "rtcp-mux-only" in own,
        tuple([crypto for value in own.get("crypto", ())[:MAX_CRYPTOS] if (crypto := read_crypto(value))]),
        read_candidates(own["candidate"]) if "candidate" in own else (),
        effective("ice-ufrag") is not None or "candidate" in own,
        effective("fingerprint") or "",
        (effective("setup") or "").lower(),
        read_ssrcs(own["ssrc"]) if "ssrc" in own else (),
        own["mid"][0] if "mid" in own else "",
        tuple(section.attributes),
    )


def _direction(section: _Section) -> str:
    """Return the direction attribute, "" without one; of repeated ones the last."""
    for name, _ in reversed(section.attributes):
        if name in _DIRECTIONS:
            return name
    return ""
