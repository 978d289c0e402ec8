"""Music, told from speech by what stays: lines that are where they were 80 ms ago, and a level without gaps.

A second is judged by the three around it. The weights are a logistic fit to speech of five kinds (three languages by
people, thirteen by synthesis) and 24 pieces of music, each also under noise and through codecs: docs/hearing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.rows import FRAME_NS, LEVELS, SECOND_ROWS, Rows
from vittne.appliance.hearing.seconds import BEHIND

_LAG: Final = 4  # rows
_BELOW_DB: Final = 15.0  # the window's mean: not counted as sound
_LOW_DB: Final = 10.0
_LEAST_DBOV: Final = -52.0
_LEAST_ACTIVE: Final = 0.4
_STEADY_DB: Final = 0.3  # a level that moves less is hum or a tone
_NARROW_HZ: Final = 40.0
_ALL_LOW_DB: Final = 0.5
_LOW_SHARE: Final = 0.6
_BEYOND: Final = np.int16(1 << 12)
_EXCHANGE_RANGE: Final = 10  # bins, 156 Hz: 480 + 620 Hz are 9 apart
_EXCHANGE_LEAST: Final = 21  # bins, 328 Hz
_LEAST_STAY_ROWS: Final = 6
_MOST_CHANGE_DB: Final = 30.0
WEIGHTS: Final = (-1.56, 29.6, -3.74, -0.708)  # constant, share of lines that stay, share of low level, change of level
_LEAST_NS: Final = 3_000_000_000
_NEWS_NS: Final = 10_000_000_000
_UNSURE: Final = -3.0  # below it one second alone ends music

Mask = npt.NDArray[np.bool_]


def measures(rows: Rows, in_tone: Mask) -> tuple[F32, Mask]:
    """Return (..., s - 2, 3) measures of every second but the first and the last of s, and whether they can mean music.

    rows: (..., n), of one voice or several. in_tone: rows of tones and digits. They count where they are many, a
    melody, and not where all are one.
    """
    low_peak, high_peak, levels = (_by_second(rows[name]) for name in ("low_peak", "high_peak", "level"))
    levels = levels[..., 0]
    stays = np.zeros(low_peak.shape, np.bool_)
    for peak in (low_peak, high_peak):
        stays[..., _LAG:] |= peak[..., _LAG:] == peak[..., :-_LAG]
    change = np.minimum(np.abs(levels[..., _LAG:] - levels[..., :-_LAG]), _MOST_CHANGE_DB).mean(axis=-1)
    around = _three(levels)
    power = np.exp2(levels * np.float32(np.log2(10) / 10)).sum(axis=-1)
    mean = 10 * np.log10((power[..., :-2] + power[..., 1:-1] + power[..., 2:]) / (3 * SECOND_ROWS))
    active = (around > mean[..., None] - _BELOW_DB) & (around > _LEAST_DBOV)
    if in_tone.any():
        active &= ~_of_one_tone(rows, in_tone)
    count = active.sum(axis=-1)
    here = _three(stays) & active
    found = np.empty((*count.shape, 3), np.float32)
    found[..., 0] = here.sum(axis=-1) / np.maximum(count, 1)
    found[..., 1] = (around < mean[..., None] - _LOW_DB).mean(axis=-1)
    found[..., 2] = (change[..., :-2] + change[..., 1:-1] + change[..., 2:]) / 3
    centre = here[..., SECOND_ROWS : 2 * SECOND_ROWS].sum(axis=-1) >= _LEAST_STAY_ROWS
    can_be = (count > _LEAST_ACTIVE * 3 * SECOND_ROWS) & (found[..., 2] > _STEADY_DB) & centre
    return found, can_be & ~_is_of_exchange(rows, low_peak, active, count)


def _by_second(values: Any) -> Any:
    """Return (..., s, SECOND_ROWS) of (..., n), and likewise where each has several values (level)."""
    several = values.shape[-1:] if values.shape[-1] == LEVELS else ()
    shape = values.shape[: values.ndim - len(several)]
    return values.reshape(*shape[:-1], shape[-1] // SECOND_ROWS, SECOND_ROWS, *several)


def _three(values: Any) -> Any:
    """Return (..., s - 2, 3 k) of (..., s, k): each with those before and after it."""
    return np.concatenate([values[..., :-2, :], values[..., 1:-1, :], values[..., 2:, :]], axis=-1)


def _is_of_exchange(rows: Rows, low_peak: Any, active: Mask, count: npt.NDArray[np.intp]) -> Mask:
    """Return where what sounds is low and of few frequencies: tones of exchanges through a codec that blurs them."""
    is_low = rows["level"][..., 1] > rows["level"][..., 0] - np.float32(_ALL_LOW_DB)
    enough = is_low.sum(axis=-1, keepdims=True) >= SECOND_ROWS
    if not enough.any():
        return np.zeros(count.shape, np.bool_)
    low = _three(_by_second(is_low)) & active
    peaks = np.sort(np.where(low, _three(low_peak), _BEYOND), axis=-1)
    lows = low.sum(axis=-1)
    ends = np.stack([lows // 20, np.maximum(lows - 1 - lows // 20, 0)], axis=-1)
    ends = np.take_along_axis(peaks, ends, axis=-1)
    least, most = ends[..., 0], ends[..., 1]
    is_narrow = (most - least <= _EXCHANGE_RANGE) & (least >= _EXCHANGE_LEAST)
    return np.asarray(enough & (lows > _LOW_SHARE * count) & is_narrow)


def _of_one_tone(rows: Rows, in_tone: Mask) -> Mask:
    """Return which rows of three seconds are in tones, where these tones are all of one frequency."""
    hertz = np.where(rows["high_hz"] > 0, rows["high_hz"], rows["low_hz"])
    tones = _three(_by_second(in_tone))
    around = _three(_by_second(np.where(in_tone & ~rows["is_digit"], hertz, 0)))
    least, most = np.where(around > 0, around, np.float32(1e4)).min(axis=-1), around.max(axis=-1)
    return np.asarray(tones & (most - least < _NARROW_HZ)[..., None])


def score(found: F32, can_be: Mask) -> npt.NDArray[np.float64]:
    """Return how much measures speak for music: above 0 for it, below against."""
    linear = WEIGHTS[0] + found[..., 0] * WEIGHTS[1] + found[..., 1] * WEIGHTS[2] + found[..., 2] * WEIGHTS[3]
    return np.where(can_be, linear, -10.0)


@dataclass(slots=True)
class Music:
    """A stretch of it: frames, and arrival, monotonic."""

    first: int
    last: int
    begin_ns: int
    end_ns: int

    @property
    def is_long(self) -> bool:
        """Whether it is worth telling."""
        return (self.last - self.first) * FRAME_NS >= _LEAST_NS


class MusicWatch:
    """One voice's music."""

    def __init__(self) -> None:
        self._begin: Rows | None = None  # its first second
        self._end: Rows | None = None  # its last one
        self._told_ns = 0

    def find(self, rows: Rows, seconds: int, scores: list[float], modem: list[bool]) -> tuple[list[Music], list[bool]]:
        """Return what is new of music (again with the same begin while it goes on), and which seconds are music.

        rows, seconds: as of Seconds.next(). scores: of these rows. modem: by second, which cannot be music.
        """
        verdicts = []
        news: list[Music] = []
        for second in range(seconds):
            here, then = scores[BEHIND - 1 + second], scores[BEHIND + second]
            is_on = self._begin is not None
            is_music = (here > 0 and (is_on or then > 0)) or (is_on and then > 0 and here > _UNSURE)
            is_music = is_music and not modem[second]
            verdicts.append(is_music)
            begin = (BEHIND + second) * SECOND_ROWS
            part = rows[begin : begin + SECOND_ROWS]
            if is_music:
                self._begin = part if self._begin is None else self._begin
                self._end = part
            else:
                news += self.finish()
        if self._begin is not None and self._end is not None:
            self._begin, self._end = self._begin.copy(), self._end.copy()
            if int(self._end["mono_ns"][-1]) - self._told_ns > _NEWS_NS:
                self._told_ns = int(self._end["mono_ns"][-1])
                news += self._so_far()
        return news, verdicts

    def finish(self) -> list[Music]:
        """Return what is left to say when the voice is over."""
        found = self._so_far()
        self._begin = self._end = None
        return found

    def _so_far(self) -> list[Music]:
        if self._begin is None or self._end is None:
            return []
        first, last = _sounding(self._begin)[0], _sounding(self._end)[1]
        music = Music(int(first["frame"]), int(last["frame"]), int(first["mono_ns"]), int(last["mono_ns"]))
        return [music] if music.is_long else []


def _sounding(part: Rows) -> tuple[np.void, np.void]:
    """Return the first and the last row of a second that is not quiet beside the others."""
    level = part["level"][:, 0]
    places = np.flatnonzero(level >= float(level.max()) - _BELOW_DB)
    return part[int(places[0])], part[int(places[-1])]
