"""What is heard where nothing came: faded repeats for losses, noise for silence.

RFC 3389 gives comfort noise a level in -dBov. Nothing here is random: the same
call gives the same samples every time, so that decoded audio can be hashed.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

I16 = npt.NDArray[np.int16]

_REPEAT_MS: Final = 20  # what is repeated: one usual packet
_FADE_MS: Final = 60  # after three packets G.711 appendix I is silent too
_SEED: Final = 3389
_NOISE_SAMPLES: Final = 1 << 16
FULL_SCALE: Final = 32767.0


def memory(sample_rate: int) -> int:
    """Return how many samples before a loss `fade_out` looks at."""
    return sample_rate * _REPEAT_MS // 1000


def fade_out(tail: I16, samples: int, sample_rate: int) -> I16:
    """Return (samples,) int16: the tail repeated, falling to silence within 60 ms.

    tail: the last voice before the loss; may be empty, then there is silence.
    """
    out = np.zeros(samples, np.int16)
    fade = sample_rate * _FADE_MS // 1000
    count = min(samples, fade)
    if not len(tail) or not count:
        return out
    gain = 1.0 - (np.arange(count) + 1) / (fade + 1)
    out[:count] = np.rint(np.resize(tail, count) * gain).astype(np.int16)
    return out


def noise_level(payload: bytes) -> float:
    """Return the dBov of an RFC 3389 payload: its first byte, minus that many; -127 when it is empty."""
    return -float(payload[0] & 0x7F) if payload else -127.0


class ComfortNoise:
    """White noise at one level, the same in every rendering."""

    def __init__(self, level_dbov: float, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._at = 0
        self._rms = FULL_SCALE * 10 ** (min(level_dbov, 0.0) / 20)

    def silence(self, samples: int) -> I16:
        """Return the next (samples,) int16 of the noise."""
        noise = _unit_noise()[(self._at + np.arange(samples)) % _NOISE_SAMPLES]
        self._at = (self._at + samples) % _NOISE_SAMPLES
        return np.asarray(np.clip(np.rint(noise * self._rms), -32768, 32767), np.int16)


@cache
def _unit_noise() -> npt.NDArray[np.float64]:
    """Return white noise of level 1."""
    return np.random.default_rng(_SEED).standard_normal(_NOISE_SAMPLES)
