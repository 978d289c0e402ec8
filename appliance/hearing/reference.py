"""A reference announcement: the samples that are listened for, and what of them must be heard."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from vittne.codecs.base import I16


@dataclass(frozen=True, slots=True)
class Reference:
    """A prompt as it is played.

    samples: (n,) int16 at 8000 Hz, trimmed. required: seconds within samples that must be heard whole for a match to
    be full; empty: all its speech.
    """

    samples: I16 = field(compare=False, repr=False)
    required: tuple[tuple[float, float], ...] = ()
    hash: str = field(init=False)  # hex SHA-256 of samples as little-endian int16: what every verdict names

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.samples, "<i2").tobytes()).hexdigest()
        object.__setattr__(self, "hash", digest)
