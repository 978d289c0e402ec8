"""Speech: what stands above a floor that follows the noise, moves as speech does, and is no tone and no music.

The floor is kept in three parts of the spectrum: the quiet tenth of each second, at its least over six seconds. Frames
that did not come count as quiet, so that silence suppression does not make speech its own floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.rows import SECOND_ROWS, Rows
from vittne.appliance.hearing.seconds import BEHIND

_BEFORE: Final = 4  # seconds whose quiet counts, besides this one and the next
_QUIET: Final = 5  # the place of the quiet tenth among the rows of a second
_MIDDLE: Final = 25
_SPREADS: Final = 2.5  # from the quiet tenth to the middle, where noise moves much
_MOST_MORE_DB: Final = 4.0
_OVER_DB: Final = np.array([6.0, 6.0, 8.0], np.float32)  # above the floor, by part of the spectrum
_CLEAR_DB: Final = 5.0  # above that again: a stretch needs some of it, as noise through a codec comes near
_LEAST_CLEAR: Final = 3  # rows
_FLOOR_DBOV: Final = (-75.0, -28.0)  # least and most
_SUPPRESSED_DBOV: Final = -60.0
_LEAST_DBOV: Final = -63.0
_LEAST_RANGE_DB: Final = 6.0  # between loud and quiet rows of three seconds: less is a steady sound
_SUPPRESSED_ROWS: Final = SECOND_ROWS // 2  # of a second, absent: not a loss but silence suppression
_WHOLE: Final = 0.97
_PART: Final = 0.3
HANG_ROWS: Final = 20  # a pause not longer than that is part of what is said
_LEAST_ROWS: Final = 7  # with sound in them, else it is a click
REMEMBERED_ROWS: Final = 20 * SECOND_ROWS
_LONG_ROWS: Final = 10 * SECOND_ROWS
_TO_EXPONENT: Final = np.log2(10) / 10
_AFTER_NS: Final = 25_000_000

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Speech:
    """A stretch of speech: frames, arrival (monotonic), rows with sound, their power in all, rows with clear sound."""

    first: int
    last: int
    begin_ns: int
    end_ns: int
    rows: int
    power: float
    clear: int

    @property
    def level(self) -> float:
        """dBov of what sounds in it."""
        return float(10 * np.log10(self.power / self.rows))


@dataclass(frozen=True, slots=True)
class Voiced:
    """m rows that are worked on: which may be speech unless it is music, which are loud. power: (m + 1,) sums."""

    sounds: Mask
    is_clear: Mask
    power: npt.NDArray[np.float64]


class SpeechWatch:
    """One voice's speech."""

    def __init__(self) -> None:
        self.quiet = np.full((_BEFORE, 6), np.inf, np.float32)  # of the seconds before: quiet tenth, middle
        self.current: Speech | None = None
        self._told = 0
        self._frames = np.zeros(0, np.int64)  # in which there was sound of speech, lately

    def count(self, first: int, last: int) -> int:
        """Return how many frames had sound of speech from one to another, both within the last REMEMBERED_ROWS."""
        return int(np.searchsorted(self._frames, last, "right") - np.searchsorted(self._frames, first))

    def find(self, rows: Rows, seconds: int, voiced: Voiced, music: list[bool]) -> list[Speech]:
        """Return what is over, and again each ten seconds what goes on, with the same begin.

        rows, seconds: as of Seconds.next(). voiced: of these rows. music: by second.
        """
        mine = rows[BEHIND * SECOND_ROWS : (BEHIND + seconds) * SECOND_ROWS]
        sounds = voiced.sounds & np.repeat(~np.array(music), SECOND_ROWS)
        frames = mine["frame"]
        self._frames = np.concatenate([self._frames[self._frames > frames[0] - REMEMBERED_ROWS], frames[sounds]])
        return self._stretches(mine, sounds, sounds & voiced.is_clear, voiced.power)

    def _stretches(self, rows: Rows, sounds: Mask, clear: Mask, power: npt.NDArray[np.float64]) -> list[Speech]:
        edges = np.flatnonzero(np.diff(sounds.astype(np.int8), prepend=0, append=0))
        starts, stops = edges[::2].tolist(), edges[1::2].tolist()
        frames, monos = rows["frame"], rows["mono_ns"]
        clears = np.concatenate(([0], np.cumsum(clear))).tolist()
        found: list[Speech] = []
        for a, b in zip(starts, stops, strict=True):
            first, last, end_ns = int(frames[a]), int(frames[b - 1]), int(monos[b - 1]) - _AFTER_NS
            now, loud, sure = self.current, float(power[b] - power[a]), clears[b] - clears[a]
            if now is not None and first - now.last > HANG_ROWS:
                found += self._over()
                now = None
            if now is None:
                self.current = Speech(first, last, int(monos[a]) - _AFTER_NS, end_ns, b - a, loud, sure)
                self._told = last
            else:
                sums = now.rows + b - a, now.power + loud, now.clear + sure
                self.current = Speech(now.first, last, now.begin_ns, end_ns, *sums)
        now = self.current
        if now is not None and int(frames[-1]) - now.last > HANG_ROWS:
            found += self._over()
        elif now is not None and now.last - self._told >= _LONG_ROWS:
            self._told = now.last
            found.append(now)
        return found

    def finish(self) -> list[Speech]:
        """Return what is left to say when the voice is over."""
        return self._over()

    def _over(self) -> list[Speech]:
        now, self.current = self.current, None
        return [now] if now is not None and now.rows >= _LEAST_ROWS and now.clear >= _LEAST_CLEAR else []


def voiced_of(watches: Sequence[SpeechWatch], rows: Rows, seconds: int, in_tone: Mask) -> list[Voiced]:
    """Return what can be speech in (voices, n) rows, and move the floors of the watches.

    seconds: as of Seconds.next(). in_tone: (voices, n).
    """
    begin, end = BEHIND * SECOND_ROWS, (BEHIND + seconds) * SECOND_ROWS
    mine = rows[:, begin:end]
    floors = np.repeat(_floors(watches, rows, seconds), SECOND_ROWS, axis=1)
    level = mine["level"]
    over = level[..., 1:] - floors
    excess = np.maximum(np.maximum(over[..., 0], over[..., 1]), over[..., 2])
    sounds = (excess > 0) & (level[..., 0] > _LEAST_DBOV) & (mine["present"] > _PART)
    sounds &= ~in_tone[:, begin:end]
    sounds &= np.repeat(_moves(rows, seconds), SECOND_ROWS, axis=1)
    power = np.zeros((len(rows), seconds * SECOND_ROWS + 1), np.float64)
    np.cumsum(np.exp2(level[..., 0] * np.float32(_TO_EXPONENT)), axis=1, dtype=np.float64, out=power[:, 1:])
    return [Voiced(*each) for each in zip(sounds, excess > _CLEAR_DB, power, strict=True)]


def _floors(watches: Sequence[SpeechWatch], rows: Rows, seconds: int) -> F32:
    """Return (voices, seconds, 3) dBov above which there is sound. Noise that moves, as codecs do, has more room."""
    some = rows[:, BEHIND * SECOND_ROWS : (BEHIND + seconds + 1) * SECOND_ROWS]
    level, present = some["level"][..., 1:].copy(), some["present"]
    level[present < _WHOLE] = np.inf
    shape = len(rows), seconds + 1, SECOND_ROWS
    parts = np.partition(level.reshape(*shape, 3), (_QUIET, _MIDDLE), axis=2)
    quiet = parts[:, :, (_QUIET, _MIDDLE)].reshape(*shape[:2], 6)
    absent = ((present >= 0) & (present < 1 - _WHOLE)).reshape(shape).sum(axis=2)
    quiet[absent > _SUPPRESSED_ROWS] = _SUPPRESSED_DBOV
    known = np.concatenate([np.stack([watch.quiet for watch in watches]), quiet], axis=1)
    for watch, each in zip(watches, known, strict=True):
        watch.quiet = each[seconds : seconds + _BEFORE].copy()
    least = known[:, :seconds]
    for second in range(1, _BEFORE + 2):
        least = np.minimum(least, known[:, second : second + seconds])
    floor = np.minimum(np.maximum(least[..., :3], _FLOOR_DBOV[0]), _FLOOR_DBOV[1])
    moves = np.minimum(np.maximum(_SPREADS * (least[..., 3:] - floor) - _OVER_DB, 0), _MOST_MORE_DB)
    return np.asarray(floor + _OVER_DB + moves, np.float32)


def _moves(rows: Rows, seconds: int) -> Mask:
    """Return (voices, seconds) whether the level moves in the three around each."""
    level, came = rows["level"][..., 0], rows["present"] > _WHOLE
    shape = len(rows), -1, SECOND_ROWS
    parts = (np.where(came, level, out).astype(np.float32).reshape(shape) for out in (np.inf, -np.inf))
    least, most = (
        np.partition(part, place, axis=2)[:, :, place] for part, place in zip(parts, (_QUIET, -_QUIET), strict=True)
    )
    at = np.arange(BEHIND, BEHIND + seconds)
    low = np.minimum(np.minimum(least[:, at - 1], least[:, at]), least[:, at + 1])
    high = np.maximum(np.maximum(most[:, at - 1], most[:, at]), most[:, at + 1])
    return np.asarray(high - low > _LEAST_RANGE_DB)
