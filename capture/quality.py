"""What a listener would have made of a stream: MOS by the E-model. Source: ITU-T G.107, G.113 appendix I."""

from __future__ import annotations

import math
from typing import Final

# Equipment impairment Ie and loss robustness Bpl by codec (G.113 tables I.1 and I.3);
# others count as G.711 without concealment.
_CODECS: Final[dict[str, tuple[float, float]]] = {
    "PCMU": (0, 25.1),
    "PCMA": (0, 25.1),
    "G722": (0, 25.1),
    "OPUS": (0, 30.0),
    "G729": (11, 19.0),
    "G723": (15, 16.1),
    "GSM": (20, 10.0),
    "ILBC": (11, 32.0),
    "AMR": (5, 10.0),
    "AMR-WB": (0, 13.0),
    "G726-32": (7, 10.0),
}
_BUFFER_MS: Final = 20.0


def mos(encoding: str, lost_share: float, jitter_ms: float) -> float:
    """Return the mean opinion score, 1.0 to 4.5, of a codec under random loss (0 to 1) and jitter.

    Delay on the path is not seen from a tap; what a jitter buffer of twice the jitter adds is.
    """
    impairment, robustness = _CODECS.get(encoding.upper(), (0, 4.3))
    loss = 100 * min(max(lost_share, 0.0), 1.0)
    effective = impairment + (95 - impairment) * loss / (loss + robustness)
    delay = _BUFFER_MS + 2 * jitter_ms
    delay_part = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    rating = min(max(93.2 - delay_part - effective, 0.0), 100.0)
    score = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
    return round(min(max(score, 1.0), 4.5), 2) if math.isfinite(score) else 1.0
