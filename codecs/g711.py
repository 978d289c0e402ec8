"""G.711 by table: one index operation for a whole run of payloads. ITU-T G.711, RFC 3551 4.5.14."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vittne.codecs.base import I16, Decoder
from vittne.codecs.formats import Format


def _mu_law() -> I16:
    """Return the 256 sample values of mu-law bytes (14 bits, scaled to 16)."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.asarray(np.where(code & 0x80, -magnitude, magnitude), np.int16)


def _a_law() -> I16:
    """Return the 256 sample values of A-law bytes (13 bits, scaled to 16)."""
    code = np.arange(256) ^ 0x55
    exponent = code >> 4 & 7
    mantissa = ((code & 15) << 4) + np.where(exponent, 0x108, 8)
    magnitude = mantissa << np.maximum(exponent - 1, 0)
    return np.asarray(np.where(code & 0x80, magnitude, -magnitude), np.int16)


MU_LAW: Final = _mu_law()
A_LAW: Final = _a_law()


class G711(Decoder):
    """PCMU and PCMA, at whatever clock rate they were negotiated."""

    def __init__(self, format_: Format) -> None:
        super().__init__(format_)
        self._table = A_LAW if format_.encoding.upper() == "PCMA" else MU_LAW

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        return self._table[np.frombuffer(b"".join(payloads), np.uint8)]
