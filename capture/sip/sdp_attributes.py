"""Attributes of SDP media that a recorder acts on, read one by one.

Sources: RFC 8866 sections 6.4 and 6.6 (ptime, rtpmap), RFC 3605 (rtcp), RFC 8839 (candidate), RFC 5576
(ssrc), RFC 5888 (group). Each function takes attribute values and returns what they mean; what
cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from vittne.codecs.formats import STATIC, Format

MAX_CANDIDATES: Final = 128
MAX_SSRCS: Final = 64
MAX_CLOCK_RATE: Final = 10_000_000
MAX_CHANNELS: Final = 64
MAX_ENCODING: Final = 64
MAX_FMTP: Final = 2048

# Media subtypes are compared without regard to case (RFC 8866 6.6); these are IANA's spellings.
_IANA_NAMES: Final = """
    PCMU PCMA PCMU-WB PCMA-WB GSM GSM-EFR GSM-HR-08 G722 G7221 G723 G728 G729 G729D G729E G7291 G711-0
    G726-16 G726-24 G726-32 G726-40 AAL2-G726-16 AAL2-G726-24 AAL2-G726-32 AAL2-G726-40 G719 G718 EVS AMR
    AMR-WB AMR-WB+ iLBC speex opus SILK iSAC BV16 BV32 EVRC EVRC0 EVRC1 EVRCB EVRCB0 EVRCB1 EVRCWB EVRCNW
    QCELP SMV DVI4 LPC L8 L16 L20 L24 VDVI DAT12 CN red CLEARMODE telephone-event tone MPA mpa-robust
    MP4A-LATM mpeg4-generic ac3 vorbis parityfec ulpfec flexfec rtx t140 t38 TETRA MELP MELPe
    H261 H263 H263-1998 H263-2000 H264 H264-SVC H265 H266 VP8 VP9 AV1 JPEG MPV MP2T MP4V-ES raw CelB nv
"""
_ENCODINGS: Final = {name.upper(): name for name in _IANA_NAMES.split()}


def read_payloads(formats: Iterable[str], rtpmaps: Iterable[str], fmtps: Iterable[str]) -> dict[int, Format]:
    """Return what each payload type of a media line means, in the line's order.

    An rtpmap wins over the static table (RFC 3551 section 6 allows it), the first of two over the second.
    A dynamic payload type without a usable rtpmap is left out.

    >>> read_payloads(["0", "96"], ["96 OPUS/48000/2"], ["96 useinbandfec=1"])[96]
    Format(encoding='opus', clock_rate=48000, channels=2, fmtp='useinbandfec=1')
    """
    maps: dict[str, Format] = {}
    for value in rtpmaps:
        number, _, encoding = value.strip().partition(" ")
        mapped = read_rtpmap(encoding)
        if mapped is not None:
            maps.setdefault(number, mapped)
    parameters: dict[str, str] = {}
    for value in fmtps:
        number, _, text = value.strip().partition(" ")
        earlier = parameters.get(number)
        parameters[number] = f"{earlier};{text.strip()}"[:MAX_FMTP] if earlier else text.strip()[:MAX_FMTP]
    payloads: dict[int, Format] = {}
    for text in formats:
        number_or_none = read_number(text, 127)
        if number_or_none is None:
            continue
        known = maps.get(text) or STATIC.get(number_or_none)
        if known is not None:
            fmtp = parameters.get(text, "")
            payloads.setdefault(
                number_or_none,
                _format(known.encoding, known.clock_rate, known.channels, fmtp) if fmtp else known,
            )
    return payloads


@lru_cache(maxsize=1024)
def _format(encoding: str, clock_rate: int, channels: int, fmtp: str) -> Format:
    """Return one object for equal formats: a snapshot of thousands of calls then holds it once."""
    return Format(encoding, clock_rate, channels, fmtp)


def read_rtpmap(text: str) -> Format | None:
    """Return the format of `encoding/clock rate/channels`; None when it cannot be one.

    >>> read_rtpmap("pcmu/8000/1")
    Format(encoding='PCMU', clock_rate=8000, channels=1, fmtp='')
    """
    encoding, *numbers = text.strip().split("/")
    encoding = encoding.strip()
    if not encoding or len(encoding) > MAX_ENCODING or not numbers:
        return None
    clock_rate = read_number(numbers[0], MAX_CLOCK_RATE)
    # The third field is the number of channels for audio; anything else there is read past.
    channels = read_number(numbers[1], MAX_CHANNELS) if len(numbers) > 1 else 1
    return _format(_ENCODINGS.get(encoding.upper(), encoding), clock_rate, channels or 1, "") if clock_rate else None


def read_number(text: str, highest: int) -> int | None:
    """Return a plain decimal number from 0 to `highest`, else None."""
    text = text.strip()
    if not text.isdecimal() or not text.isascii() or len(text) > 20:
        return None
    number = int(text)
    return number if number <= highest else None


def read_milliseconds(text: str | None) -> float | None:
    """Return a packet time; None when there is none between 0 and 1 000 ms."""
    if text is None or len(text) > 20:
        return None
    whole, _, fraction = text.strip().partition(".")
    if not whole.isdecimal() or not whole.isascii() or not (fraction or "0").isdecimal():
        return None
    value = float(f"{int(whole)}.{fraction if fraction.isascii() else ''}")
    return value if 0 < value <= 1000 else None


def read_address(value: str) -> str:
    """Return the address of a c= line or the end of a=rtcp: an IP address or a name; "" when missing.

    >>> read_address("IN IP4 224.2.36.42/127/3"), read_address("IN IP6 2001:db8::1")
    ('224.2.36.42', '2001:db8::1')
    """
    words = value.split()
    return words[2].partition("/")[0][:255] if len(words) > 2 else ""


def read_rtcp(value: str) -> tuple[int | None, str]:
    """Return port and address ("" when it is the media's) of a=rtcp (RFC 3605)."""
    port, _, rest = value.strip().partition(" ")
    return read_number(port, 65_535), read_address(rest)


def read_candidates(values: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
    """Return (address, port, component) of the ICE candidates over UDP; component 1 is RTP, 2 RTCP."""
    candidates: list[tuple[str, int, int]] = []
    for value in values:
        words = value.split(None, 6)
        if len(words) < 6 or words[2].upper() != "UDP":
            continue
        component, port = read_number(words[1], 256), read_number(words[5], 65_535)
        if component and port and len(candidates) < MAX_CANDIDATES:
            candidates.append((words[4][:255], port, component))
    return tuple(candidates)


def read_ssrcs(values: Iterable[str]) -> tuple[int, ...]:
    """Return the different SSRCs that a=ssrc lines name, in order."""
    ssrcs: dict[int, None] = {}
    for value in values:
        ssrc = read_number(value.partition(" ")[0], 2**32 - 1)
        if ssrc is not None and len(ssrcs) < MAX_SSRCS:
            ssrcs[ssrc] = None
    return tuple(ssrcs)


def read_bundles(values: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the media ids of each a=group:BUNDLE (RFC 9143)."""
    groups = [value.split() for value in values]
    return tuple(tuple(group[1:]) for group in groups if group and group[0].upper() == "BUNDLE")
