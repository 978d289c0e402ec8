"""Linear samples and DVI4: L8 and L16 (RFC 3551 4.5.10, 4.5.11), DVI4 (RFC 3551 4.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vittne.codecs.base import I16, SILENCE, Decoder
from vittne.codecs.formats import Format

# IMA ADPCM: the step sizes, and how a code moves the index into them.
_STEPS: Final = np.fromstring(
    """
    7 8 9 10 11 12 13 14 16 17 19 21 23 25 28 31 34 37 41 45 50 55 60 66 73 80 88 97 107 118 130
    143 157 173 190 209 230 253 279 307 337 371 408 449 494 544 598 658 724 796 876 963 1060 1166
    1282 1411 1552 1707 1878 2066 2272 2499 2749 3024 3327 3660 4026 4428 4871 5358 5894 6484 7132
    7845 8630 9493 10442 11487 12635 13899 15289 16818 18500 20350 22385 24623 27086 29794 32767
    """,
    np.int32,
    sep=" ",
)
_INDEX_MOVES: Final = np.array([-1, -1, -1, -1, 2, 4, 6, 8] * 2, np.int32)


class Linear(Decoder):
    """L16 (big endian) and L8 (offset 128); more than one channel is mixed to one."""

    def __init__(self, format_: Format) -> None:
        super().__init__(format_)
        self._width = 1 if format_.encoding.upper() == "L8" else 2
        self._channels = max(format_.channels, 1)

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        block = self._width * self._channels
        whole = b"".join(payload[: len(payload) - len(payload) % block] for payload in payloads)
        self.damaged += sum(1 for payload in payloads if len(payload) % block)
        if self._width == 1:
            samples = ((np.frombuffer(whole, np.uint8).astype(np.int32) - 128) << 8).astype(np.int16)
        else:
            samples = np.frombuffer(whole, ">i2").astype(np.int16)
        if self._channels == 1:
            return samples
        mixed = samples.reshape(-1, self._channels).mean(axis=1, dtype=np.float64)
        return np.asarray(np.rint(mixed), np.int16)


class Dvi4(Decoder):
    """DVI4: every payload carries its start state, so payloads of one size are decoded side by side."""

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        self.damaged += sum(1 for payload in payloads if len(payload) < 4)
        decoded: list[I16] = [SILENCE] * len(payloads)
        for size in {len(payload) for payload in payloads if len(payload) > 4}:
            rows = [row for row, payload in enumerate(payloads) if len(payload) == size]
            block = np.frombuffer(b"".join(payloads[row] for row in rows), np.uint8).reshape(-1, size)
            for row, samples in zip(rows, _dvi4(block), strict=True):
                decoded[row] = samples
        return np.concatenate([SILENCE, *decoded])


def _dvi4(payloads: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> I16:
    """Return (n, 2 * (size - 4)) int16 of n payloads of `size` bytes.

    Unlike IMA in WAV files the first sample of a byte is in its high half, and
    the predictor in the header is not itself a sample.
    """
    value = payloads[:, :2].copy().view(">i2")[:, 0].astype(np.int32)
    index = np.minimum(payloads[:, 2].astype(np.int32), len(_STEPS) - 1)
    codes = np.stack([payloads[:, 4:] >> 4, payloads[:, 4:] & 15], axis=2).reshape(len(payloads), -1)
    out = np.empty(codes.shape, np.int16)
    for column in range(codes.shape[1]):
        code = codes[:, column].astype(np.int32)
        step = _STEPS[index]
        change = step >> 3
        change = change + np.where(code & 4, step, 0) + np.where(code & 2, step >> 1, 0)
        change = change + np.where(code & 1, step >> 2, 0)
        value = np.clip(value + np.where(code & 8, -change, change), -32768, 32767)
        index = np.clip(index + _INDEX_MOVES[code], 0, len(_STEPS) - 1)
        out[:, column] = value
    return out
