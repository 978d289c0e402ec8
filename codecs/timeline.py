"""The packets of a call as stereo samples on one clock: caller left, callee right.

The time line never shrinks. What was lost is concealed for a moment and then
silent; what was not sent (hold, silence suppression, a late start, a pause) is a gap
of its true length, with comfort noise where the sender asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.codecs.arrival import NS
from vittne.codecs.base import I16
from vittne.codecs.plan import Plan, plan
from vittne.codecs.tracks import Gap, Note, Track
from vittne.codecs.voice import Voice

LOWEST_RATE: Final = 8000
HIGHEST_RATE: Final = 48_000
_LONGEST_S: Final = 7 * 24 * 3600  # a call longer than a week is a wrong clock; it is cut there


class Rendering:
    """A call laid out and ready to be decoded, piece by piece.

    sample_rate: Hz. from_ns, to_ns: the span it covers, UTC. samples: how many of each side it
    has, whatever came and was lost. notes: what cannot be heard and why; what decoders
    met is added while `chunks` runs.
    """

    def __init__(self, plans: Sequence[Plan], gaps: Sequence[Gap], from_ns: int, to_ns: int, rate: int) -> None:
        self.sample_rate = rate
        self.from_ns = from_ns
        self.to_ns = to_ns
        self.samples = ((to_ns - from_ns) * rate + NS // 2) // NS
        self.notes: list[Note] = [note for one in plans for note in one.notes]
        self.plans = plans
        self.gaps = gaps

    def chunks(self, seconds: float = 5.0) -> Iterator[I16]:
        """Yield (k, 2) int16 until `samples` have come; every piece but the last has `seconds`.

        Runs from the start each time it is called, with the same result.
        """
        voices = [Voice(one, self.gaps, self.from_ns, self.sample_rate) for one in self.plans]
        lanes = [Lane(voice) for voice in voices]
        size = max(round(seconds * self.sample_rate), 1)
        for start in range(0, self.samples, size):
            mixed = np.zeros((min(size, self.samples - start), 2), np.int32)
            for lane in lanes:
                lane.mix_into(mixed, start)
            yield np.clip(mixed, -32768, 32767).astype(np.int16)
        self.notes = [note for one in self.plans for note in one.notes]
        self.notes += [note for voice in voices for note in voice.damage()]

    def whole(self) -> I16:
        """Return (samples, 2) int16 in one array: for short calls."""
        return np.concatenate([np.zeros((0, 2), np.int16), *self.chunks()])


def lay_out(
    tracks: Sequence[Track],
    gaps: Sequence[Gap] = (),
    from_ns: int | None = None,
    to_ns: int | None = None,
    sample_rate: int | None = None,
) -> Rendering:
    """Lay the tracks of a call on one clock.

    from_ns, to_ns: the span of the call; without them, from the first sound to the end of the last.
    sample_rate: without it the highest rate among the codecs in use, from 8000 to 48 000.
    Tracks of one side are added up: an SSRC that takes over follows the one before it,
    voices that overlap are both heard.
    """
    plans = [plan(track) for track in tracks]
    heard = [one for one in plans if len(one)]
    first = min((int(one.begins_ns().min()) for one in heard), default=0)
    last = max((int(one.ends_ns().max()) for one in heard), default=first)
    start = first if from_ns is None else from_ns
    end = max(last if to_ns is None else to_ns, start)
    end = min(end, start + _LONGEST_S * NS)
    rate = sample_rate or max((one.rate() for one in heard), default=0)
    return Rendering(plans, gaps, start, end, min(max(rate, LOWEST_RATE), HIGHEST_RATE))


class Lane:
    """Pieces of one voice, in order, as the mixer needs them."""

    def __init__(self, voice: Voice) -> None:
        self._side = int(voice.plan.track.side)
        self._pieces = voice.pieces()
        self._at = 0
        self._piece: I16 | None = None
        self._advance()

    def _advance(self) -> None:
        self._at, self._piece = next(self._pieces, (0, None))

    def mix_into(self, mixed: npt.NDArray[np.int32], start: int) -> None:
        """Add what lies in [start, start + len(mixed)) to this voice's column; drop what lies before."""
        end = start + len(mixed)
        while self._piece is not None and self._at < end:
            piece = self._piece[max(start - self._at, 0) :]
            at = max(self._at, start)
            here = piece[: end - at]
            mixed[at - start : at - start + len(here), self._side] += here
            if len(here) < len(piece):
                self._at, self._piece = end, piece[len(here) :]
                return
            self._advance()
