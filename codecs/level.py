"""Loudness of samples in dBov: 0 is the loudest square wave that fits (RFC 6464 section 3)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

I16 = npt.NDArray[np.int16]

FLOOR_DBOV: Final = -127.0
_FULL_SCALE: Final = 32767.0


def dbov(samples: I16) -> float:
    """Return the level of all samples together, -127 for silence and for nothing.

    >>> dbov(np.full(160, 32767, np.int16)), dbov(np.zeros(160, np.int16))
    (0.0, -127.0)
    """
    if not len(samples):
        return FLOOR_DBOV
    return float(levels(samples, len(samples))[0])


def levels(samples: I16, window: int) -> npt.NDArray[np.float64]:
    """Return (n // window,) dBov of windows of so many samples; what is left over is not measured."""
    count = len(samples) // window
    power = np.square(samples[: count * window].reshape(count, window), dtype=np.float64).mean(axis=1)
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(power / _FULL_SCALE**2)
    return np.asarray(np.maximum(level, FLOOR_DBOV), np.float64)


def clipped(samples: I16) -> int:
    """Return how many samples are at the very end of the scale, where a louder one may have been cut."""
    return int(np.count_nonzero((samples >= 32767) | (samples <= -32768)))
