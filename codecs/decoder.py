"""From a payload format to its decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vittne.codecs import adpcm, framed
from vittne.codecs.base import Decoder, NotDecodable
from vittne.codecs.formats import MS_GSM, Format, is_voice
from vittne.codecs.g711 import G711
from vittne.codecs.linear import Dvi4, Linear
from vittne.codecs.opus import Opus

__all__ = ["HIGHEST_RATE", "LOWEST_RATE", "Decoder", "NotDecodable", "is_decodable", "open_decoder"]

# Rates outside are not voice but somebody's SDP fuzzing.
LOWEST_RATE: Final = 4000
HIGHEST_RATE: Final = 192_000

_MOST_CHANNELS: Final = 8

_OPENERS: Final[dict[str, Callable[[Format], Decoder]]] = {
    "PCMU": G711,
    "PCMA": G711,
    "L8": Linear,
    "L16": Linear,
    "DVI4": Dvi4,
    "G721": adpcm.open_g726,
    "G722": adpcm.open_g722,
    "G723": framed.G7231,
    "G728": framed.open_g728,
    "G729": framed.G729,
    "GSM": framed.open_gsm,
    "ILBC": framed.Ilbc,
    "SPEEX": framed.open_speex,
    "AMR": framed.Amr,
    "AMR-WB": framed.Amr,
    "OPUS": Opus,
    **{f"{packing}G726-{kbits}": adpcm.open_g726 for packing in ("", "AAL2-") for kbits in (16, 24, 32, 40)},
    **dict.fromkeys(MS_GSM, framed.open_ms_gsm),
}


def open_decoder(format_: Format) -> Decoder:
    """Return a new decoder for one stream in this format; NotDecodable when there is none."""
    encoding = format_.encoding.upper()
    if encoding not in _OPENERS:
        kind = "no decoder for" if is_voice(format_) else "not a voice:"
        raise NotDecodable(f"{kind} {format_.encoding[:32]}")
    if not LOWEST_RATE <= format_.clock_rate <= HIGHEST_RATE or format_.channels > _MOST_CHANNELS:
        raise NotDecodable(f"{encoding} with {format_.channels} channels at {format_.clock_rate} Hz")
    return _OPENERS[encoding](format_)


def is_decodable(format_: Format) -> bool:
    """Say whether `open_decoder` gives a decoder."""
    try:
        open_decoder(format_)
    except NotDecodable:
        return False
    return True
