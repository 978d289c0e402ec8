"""What RTP payload types mean: names, static types, clock rates, samples in a payload.

Sources: RFC 3551 section 6 (static types) and the IANA registry of RTP payload
formats; names are IANA's media subtypes. Pure tables and arithmetic: the capture
side imports this module and nothing else of vittne.codecs. Encodings are compared
without regard to case (RFC 4855 section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vittne.codecs import amr_packing, packing


@dataclass(frozen=True, slots=True)
class Format:
    """One payload format: IANA subtype, clock rate in Hz (RTP ticks, G.722 says 8000), channels, fmtp."""

    encoding: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""


STATIC: Final[dict[int, Format]] = {
    0: Format("PCMU", 8000),
    # RFC 3551 reserves 2 since G.721 became G.726-32; gateways still send it, packed as ITU X.420.
    2: Format("G726-32", 8000),
    3: Format("GSM", 8000),
    4: Format("G723", 8000),
    5: Format("DVI4", 8000),
    6: Format("DVI4", 16000),
    7: Format("LPC", 8000),
    8: Format("PCMA", 8000),
    9: Format("G722", 8000),
    10: Format("L16", 44100, 2),
    11: Format("L16", 44100),
    12: Format("QCELP", 8000),
    13: Format("CN", 8000),
    14: Format("MPA", 90000),
    15: Format("G728", 8000),
    16: Format("DVI4", 11025),
    17: Format("DVI4", 22050),
    18: Format("G729", 8000),
    # 19 was comfort noise in drafts before RFC 3551; Cisco gateways still send it.
    19: Format("CN", 8000),
    25: Format("CelB", 90000),
    26: Format("JPEG", 90000),
    28: Format("nv", 90000),
    31: Format("H261", 90000),
    32: Format("MPV", 90000),
    33: Format("MP2T", 90000),
    34: Format("H263", 90000),
}


# Samples per byte where that is a constant: numerator, denominator.
_PER_BYTE: Final[dict[str, tuple[int, int]]] = {
    "PCMU": (1, 1),
    "PCMA": (1, 1),
    "G722": (1, 1),  # two samples at 16 kHz, one tick of its clock (RFC 3551 4.5.2)
    "L8": (1, 1),
    "L16": (1, 2),
    "G721": (2, 1),
    "G726-16": (4, 1),
    "G726-24": (8, 3),
    "G726-32": (2, 1),
    "G726-40": (8, 5),
    "AAL2-G726-16": (4, 1),
    "AAL2-G726-24": (8, 3),
    "AAL2-G726-32": (2, 1),
    "AAL2-G726-40": (8, 5),
}
MS_GSM: Final = frozenset({"MS-GSM", "MSGSM", "X-MSGSM", "GSM-MS"})
# Codecs with one RTP clock and one rate of samples, whatever their rtpmap says: "G722/16000" and
# "opus/8000" are seen, and a recorder has to live with them. RFC 3551 4.5.2: G.722's clock is 8000
# by an old mistake. RFC 7587 4.1: Opus is always 48 000.
_OWN_CLOCK: Final[dict[str, int]] = {"OPUS": 48_000, "AMR-WB": 16_000} | dict.fromkeys(
    ("G722", "G723", "G728", "G729", "GSM", "ILBC", "AMR", *MS_GSM), 8000
)
_NOT_VOICE: Final = frozenset({"CN", "TELEPHONE-EVENT", "TONE", "RED", "T38", "ULPFEC", "RTX"})
_OF_LENGTH: Final = frozenset({"G728", "GSM", "G729", "ILBC", "DVI4", *MS_GSM, *_PER_BYTE})


def parameters(fmtp: str) -> dict[str, str]:
    """Return the `name=value; name` list of an fmtp line, names in lower case.

    >>> parameters("mode-set=0,2; octet-align=1;robust")
    {'mode-set': '0,2', 'octet-align': '1', 'robust': ''}
    """
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def is_voice(format_: Format) -> bool:
    """Say whether payloads of this format are meant to be heard and take time of their own."""
    return format_.encoding.upper() not in _NOT_VOICE


def is_octet_aligned(format_: Format) -> bool:
    """Say whether AMR was negotiated octet-aligned: `octet-align=1`, or what implies it (RFC 4867 8.1)."""
    said = parameters(format_.fmtp)
    return any(said.get(name) == "1" for name in ("octet-align", "crc", "robust-sorting")) or ("interleaving" in said)


def sample_rate(format_: Format) -> int:
    """Return the rate of the decoded voice in Hz: the codec's own, else the clock rate."""
    encoding = format_.encoding.upper()
    return 16_000 if encoding == "G722" else _OWN_CLOCK.get(encoding, format_.clock_rate)


def _to_its_clock(format_: Format, count: int) -> int:
    """Return ticks of the codec's own clock as ticks of the clock that was negotiated."""
    return count * format_.clock_rate // _OWN_CLOCK.get(format_.encoding.upper(), max(format_.clock_rate, 1))


def ticks_by_length(format_: Format, length: int) -> int | None:
    """Return the ticks in a payload of `length` bytes; None when its bytes must be looked at."""
    count = _own_ticks_by_length(format_, length)
    return None if count is None else _to_its_clock(format_, count)


def _own_ticks_by_length(format_: Format, length: int) -> int | None:
    encoding = format_.encoding.upper()
    if encoding in _PER_BYTE:
        samples, size = _PER_BYTE[encoding]
        channels = format_.channels if encoding in ("L8", "L16") else 1
        return length * samples // (size * max(channels, 1))
    if encoding == "G729":
        frames, rest = divmod(length, packing.G729_FRAME)
        return (frames + (rest == packing.G729_SID)) * packing.G729_SAMPLES
    if encoding == "G728":
        return length // 5 * 20
    if encoding == "GSM":
        return length // 33 * 160
    if encoding in MS_GSM:
        return length // 65 * 320
    if encoding == "ILBC":
        mode = packing.ilbc_mode(length, 20 if parameters(format_.fmtp).get("mode") == "20" else 30)
        return length // packing.ILBC_BYTES[mode] * mode * 8
    if encoding == "DVI4":
        return max(length - 4, 0) * 2
    return None


# Of these the first bytes alone say how many ticks a payload takes.
HEAD_BYTES: Final = {"OPUS": 2}


def ticks(format_: Format, payload: bytes) -> int | None:
    """Return the RTP ticks that a payload takes; None when the format is not known here.

    0 for what takes no time of its own (comfort noise, digits) and for broken payloads.
    """
    encoding = format_.encoding.upper()
    if encoding in _NOT_VOICE:
        return 0
    if encoding in _OF_LENGTH:
        return ticks_by_length(format_, len(payload))
    count = _own_ticks(format_, payload)
    return None if count is None else _to_its_clock(format_, count)


def _own_ticks(format_: Format, payload: bytes) -> int | None:
    encoding = format_.encoding.upper()
    if encoding == "OPUS":
        return packing.opus_samples(payload)
    if encoding == "G723":
        return len(packing.g7231_frames(payload)) * packing.G7231_SAMPLES
    if encoding == "SPEEX":
        return len(packing.speex_frames(payload)) * (format_.clock_rate // 50)
    if encoding in ("AMR", "AMR-WB"):
        wide = encoding == "AMR-WB"
        frames = amr_packing.unpack(payload, wide, is_octet_aligned(format_))
        return len(frames) * (320 if wide else 160)
    return None


def ptime_ms(format_: Format, payload: bytes) -> float | None:
    """Return the milliseconds of voice in a payload; None when not known.

    >>> ptime_ms(Format("PCMU", 8000), bytes(160)), ptime_ms(Format("G729", 8000), bytes(20))
    (20.0, 20.0)
    """
    count = ticks(format_, payload)
    if count is None or format_.clock_rate <= 0:
        return None
    return count * 1000 / format_.clock_rate
