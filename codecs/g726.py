"""G.726 decoded exactly as ITU-T G.726 says, sample by sample.

FFmpeg decodes G.726-40 wrongly: of a real 40 kbit/s call it gives 0.77 of the waveform
(correlation with the same call in G.711), this decoder 0.9997, with every bit as
spandsp has it. At 16 to 32 kbit/s FFmpeg is right to 22 to 33 dB and a hundred times
faster, so only G.726-40 is decoded here. Names are those of the recommendation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.codecs.base import I16, Decoder
from vittne.codecs.formats import Format


@dataclass(frozen=True, slots=True)
class _Tables:
    """By code: log of the difference, scale factor multiplier W, speed control F."""

    dqln: tuple[int, ...]
    wi: tuple[int, ...]
    fi: tuple[int, ...]


def _mirrored(dqln: Sequence[int], wi: Sequence[int], fi: Sequence[int]) -> _Tables:
    """Return the tables with their second half, for negative differences."""
    return _Tables(*((*half, *reversed(half)) for half in (dqln, wi, fi)))


_TABLES: Final = {
    2: _mirrored((116, 365), (-704, 14048), (0, 0xE00)),
    3: _mirrored((-2048, 135, 273, 373), (-128, 960, 4384, 18624), (0, 0x200, 0x400, 0xE00)),
    4: _mirrored(
        (-2048, 4, 135, 213, 273, 323, 373, 425),
        (-384, 576, 1312, 2048, 3584, 6336, 11360, 35904),
        (0, 0, 0, 0x200, 0x200, 0x200, 0x600, 0xE00),
    ),
    5: _mirrored(
        (-2048, -66, 28, 104, 169, 224, 274, 318, 358, 395, 429, 459, 488, 514, 539, 566),
        (448, 448, 768, 1248, 1280, 1312, 1856, 3200, 4512, 5728, 7008, 8960, 11456, 14080, 16928, 22272),
        (0, 0, 0, 0, 0, *[0x200] * 5, 0x400, 0x600, 0x800, 0xA00, 0xC00, 0xC00),
    ),
}
_NEGATIVE: Final = 0x400  # of the floats with a 6-bit mantissa: their sign


class G726(Decoder):
    """G.726 in either packing; slow (some ten times real time)."""

    def __init__(self, format_: Format, bits: int, is_big_endian: bool) -> None:
        super().__init__(format_)
        self._bits = bits
        self._big = is_big_endian
        self._state = State(bits)

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        sample = self._state.sample
        codes = (code for payload in payloads for code in self._codes(payload))
        return np.array([sample(code) for code in codes], np.int32).clip(-32768, 32767).astype(np.int16)

    def _codes(self, payload: bytes) -> Iterator[int]:
        bits = np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="big" if self._big else "little")
        rows = bits[: len(bits) // self._bits * self._bits].reshape(-1, self._bits)
        weights = 1 << np.arange(self._bits)
        yield from (rows @ (weights[::-1] if self._big else weights)).tolist()


class State:
    """The decoder of one stream: G.726 section 4 (decoder) and its adaptive parts, section 3."""

    def __init__(self, bits: int) -> None:
        self._tables = _TABLES[bits]
        self._sign = 1 << bits - 1
        self._leak = 9 if bits == 5 else 8
        self._yl, self._yu = 34816, 544
        self._dms, self._dml, self._ap, self._td = 0, 0, 0, 0
        self._a = [0, 0]
        self._b = [0] * 6
        self._pk = [0, 0]
        self._dq = [32] * 6
        self._sr = [32, 32]

    def sample(self, code: int) -> int:
        """Return the 16-bit sample of the next code (not yet limited to 16 bits)."""
        sezi = sum(_fmult(b >> 2, dq) for b, dq in zip(self._b, self._dq, strict=True))
        sez = sezi >> 1
        se = sezi + _fmult(self._a[1] >> 2, self._sr[1]) + _fmult(self._a[0] >> 2, self._sr[0]) >> 1
        y = self._step()
        is_negative = bool(code & self._sign)
        mag = _difference(self._tables.dqln[code], y)
        sr = se - mag if is_negative else se + mag
        self._adapt(code, y, mag, is_negative, sr, sr - se + sez)
        return sr << 2

    def _step(self) -> int:
        """Return the quantizer scale factor: a mix of the fast and the slow one (MIX)."""
        if self._ap >= 256:
            return self._yu
        y = self._yl >> 6
        difference, al = self._yu - y, self._ap >> 2
        if difference > 0:
            return y + (difference * al >> 6)
        return y + (difference * al + 0x3F >> 6)

    def _adapt(self, code: int, y: int, mag: int, is_negative: bool, sr: int, dqsez: int) -> None:
        is_tone = self._is_transition(mag)
        self._yu = min(max(y + (self._tables.wi[code] - y >> 5), 544), 5120)
        self._yl += self._yu + (-self._yl >> 6)
        pk0 = int(dqsez < 0)
        a2 = 0
        if is_tone:
            self._a = [0, 0]
            self._b = [0] * 6
        else:
            a2 = self._adapt_poles(pk0, dqsez)
            self._adapt_zeros(mag, is_negative)
        self._dq = [_float(mag) - (_NEGATIVE if is_negative else 0), *self._dq[:5]]
        self._sr = [_float(abs(sr)) - (_NEGATIVE if sr < 0 else 0), self._sr[0]]
        self._pk = [pk0, self._pk[0]]
        self._td = int(not is_tone and a2 < -11776)
        self._control_speed(self._tables.fi[code], y, is_tone)

    def _is_transition(self, mag: int) -> bool:
        """Say whether a partial-band signal (modem tone) has just changed (TRANS)."""
        whole, fraction = self._yl >> 15, self._yl >> 10 & 0x1F
        threshold = 31 << 10 if whole > 9 else 32 + fraction << whole
        return bool(self._td) and mag > (threshold + (threshold >> 1) >> 1)

    def _adapt_poles(self, pk0: int, dqsez: int) -> int:
        """Move the two pole coefficients (UPA1, UPA2, LIMC, LIMD); return the second."""
        a1, a2 = self._a
        differs = pk0 ^ self._pk[0]
        a2 -= a2 >> 7
        if dqsez:
            slope = a1 if differs else -a1
            a2 += -0x100 if slope < -8191 else 0xFF if slope > 8191 else slope >> 5
            a2 += -0x80 if pk0 ^ self._pk[1] else 0x80
            a2 = min(max(a2, -12288), 12288)
        a1 -= a1 >> 8
        if dqsez:
            a1 += -192 if differs else 192
        limit = 15360 - a2
        self._a = [min(max(a1, -limit), limit), a2]
        return a2

    def _adapt_zeros(self, mag: int, is_negative: bool) -> None:
        """Move the six zero coefficients (UPB)."""
        for index, dq in enumerate(self._dq):
            self._b[index] -= self._b[index] >> self._leak
            if mag:
                self._b[index] += 128 if is_negative == (dq < 0) else -128

    def _control_speed(self, fi: int, y: int, is_tone: bool) -> None:
        """Move the speed between fast and slow adaptation (FILTA, FILTB, FILTC)."""
        self._dms += fi - self._dms >> 5
        self._dml += (fi << 2) - self._dml >> 7
        is_fast = y < 1536 or self._td or abs((self._dms << 2) - self._dml) >= self._dml >> 3
        if is_tone:
            self._ap = 256
        else:
            self._ap += (0x200 if is_fast else 0) - self._ap >> 4


def _difference(dqln: int, y: int) -> int:
    """Return the magnitude of the quantized difference (ADDA, ANTILOG)."""
    dql = dqln + (y >> 2)
    if dql < 0:
        return 0
    return (128 + (dql & 127) << 7) >> 14 - (dql >> 7 & 15)


def _float(magnitude: int) -> int:
    """Return a magnitude with a 4-bit exponent and a 6-bit mantissa (FLOATA, FLOATB)."""
    if not magnitude:
        return 32
    exponent = min(magnitude.bit_length(), 15)
    return (exponent << 6) + (magnitude << 6 >> exponent)


def _fmult(an: int, srn: int) -> int:
    """Return the product of a coefficient and a float, as the recommendation rounds it (FMULT)."""
    magnitude = an if an > 0 else -an & 0x1FFF
    exponent = min(magnitude.bit_length(), 15) - 6
    mantissa = magnitude >> exponent if exponent >= 0 else magnitude << -exponent
    if not magnitude:
        mantissa = 32
    exponent += (srn >> 6 & 15) - 13
    product = mantissa * (srn & 63) + 0x30 >> 4
    product = product << exponent & 0x7FFF if exponent >= 0 else product >> -exponent
    return -product if (an ^ srn) < 0 else product
