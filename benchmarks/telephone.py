"""Through the codecs of telephony and back, at 8000 Hz, with packets lost on the way: for benchmarks only.

G.711 by table, G.729 by bcg729, Opus, GSM by their libraries (ctypes), AMR and G.722 by PyAV. Each way takes samples
and which packets of 20 ms are lost, and returns as many samples; a codec that can conceals what was lost.
"""

from __future__ import annotations

import ctypes
import fractions
from collections.abc import Callable
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from vittne.capture.inbandmath import SAMPLES

PACKET: Final = 160
I16 = npt.NDArray[np.int16]
Lost = npt.NDArray[np.bool_] | None


def _nearest(law: int) -> I16:
    """Return (65536,) what a sample is behind coding and decoding, by the sample + 32768."""
    values = np.unique(SAMPLES[law])
    every = np.arange(-32768, 32768)
    return values[np.searchsorted((values[1:] + values[:-1]) / 2, every)].astype(np.int16)


_G711: Final = tuple(_nearest(law) for law in (0, 1))


def without(samples: I16, lost: Lost, repeats: bool = False) -> I16:
    """Return samples with silence, or the packet before growing weaker, where packets are lost."""
    if lost is None or not lost.any():
        return samples
    out = samples.copy()
    weaker = 1.0
    for one in np.flatnonzero(lost).tolist():
        weaker = weaker * 0.7 if one and lost[one - 1] else 0.7
        place = slice(one * PACKET, (one + 1) * PACKET)
        if repeats and one:
            out[place] = (out[(one - 1) * PACKET : one * PACKET] * weaker)[: len(out[place])]
        else:
            out[place] = 0
    return out


def g711(samples: I16, lost: Lost, law: int, repeats: bool = False) -> I16:
    return without(_G711[law][samples.astype(np.int32) + 32768], lost, repeats)


def _padded(samples: I16) -> I16:
    return np.ascontiguousarray(np.concatenate((samples, np.zeros(-len(samples) % PACKET, np.int16))))


def _is_lost(lost: Lost, packet: int) -> bool:
    return lost is not None and bool(lost[min(packet, len(lost) - 1)])


def g729(samples: I16, lost: Lost, silence: int = 0) -> I16:
    """silence: 1 with annex B, silence suppression."""
    library = ctypes.CDLL("libbcg729.so.0")
    library.initBcg729EncoderChannel.restype = library.initBcg729DecoderChannel.restype = ctypes.c_void_p
    coder = ctypes.c_void_p(library.initBcg729EncoderChannel(ctypes.c_uint8(silence)))
    decoder = ctypes.c_void_p(library.initBcg729DecoderChannel())
    given = _padded(samples)
    out, coded, size = np.zeros_like(given), (ctypes.c_uint8 * 16)(), ctypes.c_uint8(0)
    for one in range(len(given) // 80):
        library.bcg729Encoder(coder, ctypes.c_void_p(given.ctypes.data + one * 160), coded, ctypes.byref(size))
        gone = int(_is_lost(lost, one // 2) or size.value == 0)
        to = ctypes.c_void_p(out.ctypes.data + one * 160)
        flags = [ctypes.c_uint8(flag) for flag in (size.value, gone, int(size.value == 2), 0)]
        library.bcg729Decoder(decoder, coded, *flags, to)
    library.closeBcg729EncoderChannel(coder)
    library.closeBcg729DecoderChannel(decoder)
    return out[: len(samples)]


def opus(samples: I16, lost: Lost, bits: int) -> I16:
    library = ctypes.CDLL("libopus.so.0")
    library.opus_encoder_create.restype = library.opus_decoder_create.restype = ctypes.c_void_p
    wrong = ctypes.c_int(0)
    coder = ctypes.c_void_p(library.opus_encoder_create(8000, 1, 2048, ctypes.byref(wrong)))
    library.opus_encoder_ctl(coder, ctypes.c_int(4002), ctypes.c_int32(bits))
    decoder = ctypes.c_void_p(library.opus_decoder_create(8000, 1, ctypes.byref(wrong)))
    given = _padded(samples)
    out, coded = np.zeros_like(given), ctypes.create_string_buffer(1500)
    for one in range(len(given) // PACKET):
        size = library.opus_encode(coder, ctypes.c_void_p(given.ctypes.data + one * 320), PACKET, coded, 1500)
        to = ctypes.c_void_p(out.ctypes.data + one * 320)
        gone = _is_lost(lost, one)
        library.opus_decode(decoder, None if gone else coded, 0 if gone else size, to, PACKET, 0)
    library.opus_encoder_destroy(coder)
    library.opus_decoder_destroy(decoder)
    return out[: len(samples)]


def gsm(samples: I16, lost: Lost) -> I16:
    library = ctypes.CDLL("libgsm.so.1")
    library.gsm_create.restype = ctypes.c_void_p
    coder, decoder = ctypes.c_void_p(library.gsm_create()), ctypes.c_void_p(library.gsm_create())
    given = _padded(samples)
    out, coded = np.zeros_like(given), ctypes.create_string_buffer(33)
    for one in range(len(given) // PACKET):
        library.gsm_encode(coder, ctypes.c_void_p(given.ctypes.data + one * 320), coded)
        library.gsm_decode(decoder, coded, ctypes.c_void_p(out.ctypes.data + one * 320))
    library.gsm_destroy(coder)
    library.gsm_destroy(decoder)
    return without(out[: len(samples)], lost)


def _with_pyav(samples: I16, name: str, rate: int, bits: int) -> I16:
    coder: Any = av.CodecContext.create(name, "w")
    coder.sample_rate, coder.layout, coder.format = rate, "mono", "s16"
    coder.time_base, coder.bit_rate = fractions.Fraction(1, rate), bits
    coder.open()
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    size = coder.frame_size or 320
    given = np.concatenate((samples, np.zeros(-len(samples) % size, np.int16)))
    packets = []
    for at in range(0, len(given), size):
        frame = av.AudioFrame.from_ndarray(given[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        packets += coder.encode(frame)
    packets += coder.encode(None)
    decoded = [frame.to_ndarray().ravel() for packet in packets for frame in decoder.decode(packet)]
    said = [
        part if part.dtype == np.int16 else np.clip(part * 32767, -32768, 32767).astype(np.int16) for part in decoded
    ]
    out = np.concatenate([*said, np.zeros(len(samples), np.int16)])
    return out[: len(samples)]


def amr(samples: I16, lost: Lost, bits: int) -> I16:
    return without(_with_pyav(samples, "libopencore_amrnb", 8000, bits), lost)


def g722(samples: I16, lost: Lost) -> I16:
    count = len(samples)
    wide = np.fft.irfft(np.concatenate((np.fft.rfft(samples), np.zeros(count // 2))), 2 * count) * 2
    coded = _with_pyav(np.clip(wide, -32768, 32767).astype(np.int16), "g722", 16_000, 64_000)
    narrow = np.fft.irfft(np.fft.rfft(coded)[: count // 2 + 1], count) / 2
    return without(np.clip(narrow, -32768, 32767).astype(np.int16), lost)


WAYS: Final[dict[str, Callable[[I16, Lost], I16]]] = {
    "PCMU": lambda samples, lost: g711(samples, lost, 0),
    "PCMA": lambda samples, lost: g711(samples, lost, 1, repeats=True),
    "G.729": g729,
    "G.729B": lambda samples, lost: g729(samples, lost, 1),
    "Opus 16k": lambda samples, lost: opus(samples, lost, 16_000),
    "Opus 8k": lambda samples, lost: opus(samples, lost, 8000),
    "GSM": gsm,
    "AMR 12.2k": lambda samples, lost: amr(samples, lost, 12_200),
    "AMR 4.75k": lambda samples, lost: amr(samples, lost, 4750),
    "G.722": g722,
}
AGAIN: Final = ("PCMU", "PCMA", "G.729", "GSM", "Opus 16k")  # a second codec of a call that is transcoded
