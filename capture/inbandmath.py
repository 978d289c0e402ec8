"""Is this 20 ms a pair of DTMF tones? Sums over many blocks of G.711 at once.

Two stages. The sieve takes every second sample, weighs it with a Hamming window and asks how much of the
power lies at the eight frequencies: less than one block of speech in a thousand gets through. The
proof takes all samples of those few. It asks whether there is little beside the two tones, whether the two are
about as strong as each other, and whether each has its frequency. How strict it is was chosen by measuring
(benchmarks/bench_inband.py): digits that a low-rate codec has bent come through, speech some times an hour.
Sources: ITU-T Q.23 (frequencies), Q.24 (what receivers accept), G.711.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import U8

PCMU: Final = 0
PCMA: Final = 1
BLOCK: Final = 160  # samples: 20 ms. Any 40 ms hold one whole block of a grid of these

HERTZ: Final = np.array([697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0])
LOW_TONES: Final = 4

_RATE: Final = 8000
_STEP: Final = 2  # the sieve looks at every second sample: 1 633 Hz is still below half of 4 000
_HALF: Final = BLOCK // 2
_OFFSET: Final = 0.018  # share of the nominal frequency to which a tone is held to be that tone
_SLACK_HZ: Final = 6.0  # beyond that, for what noise does to an estimate from 20 ms
_DIMENSIONS: Final = 4  # of the space of tones that near to the nominal one: 98 % of 1 633 Hz's, more of the others'

# Bits of a byte, after _FLIP, that are all 0 below a size of 132 (PCMU) or 136 (PCMA) of 32 768. A block of
# nothing but such bytes is not looked at: two tones of -51 dBm0 each, and what is fainter, are not found.
_FLIP: Final = (0xFF, 0x55)
_LOUD: Final = (0x70, 0x78)

_SIEVE_SHARE: Final = 0.5
_SHARE: Final = 0.75  # a pair in noise 5 dB below it; speech gets there some times an hour
_SIEVE_TWIST: Final = (10**-2.0, 10**1.5)  # high tone's power by low tone's; the sieve sees either weaker by up to 3 dB
_TWIST: Final = (10**-1.5, 10**1.2)  # wider than Q.24: low-rate codecs take up to 10 dB off the high tone

F32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def _samples() -> F32:
    """Return (2, 256) float32: the sample, of 32 768, that each byte stands for in PCMU and in PCMA."""
    code = np.arange(256)
    mu = ~code & 0xFF
    mu_size = (((mu & 15) << 3) + 132 << (mu >> 4 & 7)) - 132
    a = code ^ 0x55
    exponent = a >> 4 & 7
    a_size = ((a & 15) << 4) + np.where(exponent, 0x108, 8) << np.maximum(exponent - 1, 0)
    sizes = [np.where(mu & 0x80, -mu_size, mu_size), np.where(a & 0x80, a_size, -a_size)]
    return np.asarray(sizes, np.float32)


def _correlators(times: npt.NDArray[np.intp]) -> npt.NDArray[np.complex64]:
    """Return (n, 8): what to multiply samples at those times with; the square of the sum is a tone's mean square."""
    weight = np.hamming(len(times) + 2)[1:-1]
    waves = np.exp(-2j * np.pi / _RATE * np.outer(times, HERTZ))
    return np.asarray(waves * (weight * np.sqrt(2) / weight.sum())[:, None], np.complex64)


def _tone_spaces() -> F32:
    """Return (160, 32) float32: for each frequency an orthonormal basis of the tones near to it, 4 columns each."""
    spaces = []
    for hertz in HERTZ:
        phase = 2 * np.pi / _RATE * np.outer(np.arange(BLOCK), hertz * (1 + np.linspace(-_OFFSET, _OFFSET, 9)))
        basis, _, _ = np.linalg.svd(np.concatenate([np.cos(phase), np.sin(phase)], axis=1), full_matrices=False)
        spaces.append(basis[:, :_DIMENSIONS])
    return np.concatenate(spaces, axis=1).astype(np.float32)


SAMPLES: Final = _samples()
_WAVES: Final = _correlators(np.arange(0, BLOCK, _STEP))
_SIEVE: Final = np.ascontiguousarray(np.concatenate([_WAVES.real.T, _WAVES.imag.T]))  # (16, 80)
_HALF_WAVES: Final = _correlators(np.arange(_HALF))
_TURN: Final = np.exp(-2j * np.pi / _RATE * HERTZ * _HALF)  # from the first half to the second
_SPACES: Final = _tone_spaces()
_TOLERANCE_HZ: Final = _OFFSET * HERTZ + _SLACK_HZ


class Sieve:
    """Which blocks may be a pair of tones; with the scratch memory that this takes."""

    def __init__(self) -> None:
        self._room(0)

    def _room(self, blocks: int) -> None:
        self._size = blocks
        self._bits = np.empty((blocks, BLOCK // 8), np.uint64)
        self._bytes = np.empty(blocks, f"V{BLOCK}")
        self._samples = np.empty((blocks, BLOCK // _STEP), np.float32)
        self._power = np.empty((2 * len(HERTZ), blocks), np.float32)

    def __reduce__(self) -> tuple[type[Sieve], tuple[()]]:
        return Sieve, ()

    def pick(self, blocks: U8, law: int) -> Rows:
        """Return the numbers, ascending, of the blocks that are worth a proof.

        blocks: (n, 160) uint8 contiguous, all of one law.
        """
        if len(blocks) > self._size:
            self._room(len(blocks))
        loud = self._loud(blocks, law)
        samples = self._samples[: len(loud)]
        chosen = self._bytes[: len(loud)]
        np.take(blocks.view(f"V{BLOCK}").ravel(), loud, out=chosen, mode="clip")
        every = chosen.view(np.uint8).reshape(-1, BLOCK)[:, ::_STEP]
        np.take(SAMPLES[law], every, out=samples, mode="wrap")
        return loud[self._pairs(samples)]

    def _loud(self, blocks: U8, law: int) -> Rows:
        """Return which blocks hold a sample that is not small; no sample is decoded for that."""
        bits = self._bits[: len(blocks)]
        np.bitwise_xor(blocks.view(np.uint64), np.uint64(_FLIP[law] * 0x0101010101010101), out=bits)
        np.bitwise_and(bits, np.uint64(_LOUD[law] * 0x0101010101010101), out=bits)
        return np.flatnonzero(np.bitwise_or.reduce(bits, axis=1))

    def _pairs(self, samples: F32) -> Rows:
        """Return which rows, (n, 80) every second sample, have their power in a low and a high tone."""
        tones = self._power.reshape(-1)[: 2 * len(HERTZ) * len(samples)].reshape(2 * len(HERTZ), len(samples))
        np.matmul(_SIEVE, samples.T, out=tones)
        np.multiply(tones, tones, out=tones)
        power = np.add(tones[: len(HERTZ)], tones[len(HERTZ) :], out=tones[: len(HERTZ)])
        low, high = power[:LOW_TONES].max(axis=0), power[LOW_TONES:].max(axis=0)
        pair = low + high
        whole = np.einsum("ij,ij->i", samples, samples) / np.float32(samples.shape[1])
        fits = (pair > _SIEVE_SHARE * whole) & (high > _SIEVE_TWIST[0] * low) & (high < _SIEVE_TWIST[1] * low)
        return np.flatnonzero(fits)


def prove(blocks: U8, law: U8) -> Mask:
    """Return (n,) bool: which blocks are a pair of DTMF tones and nothing else.

    blocks: (n, 160) uint8; law: (n,) uint8. Made for few blocks: half a microsecond each and 40 for the call.
    """
    samples = np.take(SAMPLES, blocks + (law.astype(np.uint16) << 8)[:, None], mode="wrap")
    power = ((samples @ _SPACES) ** 2).reshape(-1, len(HERTZ), _DIMENSIONS).sum(axis=2)
    tones = np.stack([power[:, :LOW_TONES].argmax(axis=1), LOW_TONES + power[:, LOW_TONES:].argmax(axis=1)], axis=1)
    low, high = np.take_along_axis(power, tones, axis=1).T
    whole = np.einsum("ij,ij->i", samples, samples)
    fits = low + high > _SHARE * whole
    fits &= (high > _TWIST[0] * low) & (high < _TWIST[1] * low)
    return np.asarray(fits & _is_on_frequency(samples, tones), np.bool_)


def _is_on_frequency(samples: F32, tones: Rows) -> Mask:
    """Return (n,) bool: whether both tones have their frequency, by how far their phase turns between the halves.

    samples: (n, 160); tones: (n, 2) which of HERTZ.
    """
    first = np.take_along_axis(samples[:, :_HALF] @ _HALF_WAVES, tones, axis=1)
    second = np.take_along_axis((samples[:, _HALF:] @ _HALF_WAVES) * _TURN, tones, axis=1)
    off_hertz = np.angle(second * first.conj()) * (_RATE / (2 * np.pi * _HALF))
    return np.asarray((np.abs(off_hertz) < _TOLERANCE_HZ[tones]).all(axis=1), np.bool_)
