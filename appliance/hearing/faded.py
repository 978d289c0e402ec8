"""Frames that a decoder made up, for packets that were lost on the way to us.

Who conceals a lost packet goes on with the sound before it and lets it grow weaker: all bands fall by the same amount,
frame after frame. A voice that ends falls too, and so does a room, but not all bands alike: of 20 000 frames of speech
without a loss one is taken for it. What was made up says nothing for a prompt and nothing against it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.appliance.hearing.features import U8, Bools

_FALLS: Final = 3  # level steps (1.6 dB) a frame and more, in the mean of all bands, twice in a row
_ALIKE: Final = 1.5  # level steps (0.8 dB), standard deviation of bands: a voice that ends has 2.5 and more
_TOUCHED: Final = 2  # frames before and behind, which hold some of it


def faded(level: U8) -> Bools:
    """Return (n,) whether each frame was made up. level: (n, BANDS) of a voice."""
    steps = level.astype(np.int64)
    falls = steps[1:] - steps[:-1]
    bands = level.shape[1]
    total, squares = falls.sum(axis=1), (falls * falls).sum(axis=1)
    alike = (total <= -_FALLS * bands) & (bands * squares - total * total <= (_ALIKE * bands) ** 2)
    alike &= level[1:].max(axis=1) > 0
    out = np.zeros(len(level), np.bool_)
    for first in np.flatnonzero(alike[:-1] & alike[1:]).tolist():
        out[max(0, first - _TOUCHED) : first + 3 + _TOUCHED] = True
    return out
