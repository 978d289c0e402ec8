"""What a reference announcement is like as sound: where it begins, where its speech ends, whether it can be used.

Speech is told from music and noise by its level: within a second it falls and rises by syllables and pauses, which a
held chord, a tone or hiss does not. It is a help for whoever enrols, who is shown where it cuts; nothing else hangs on
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.announcements.terms import RATE
from vittne.appliance.store.errors import StoreError
from vittne.codecs.base import I16
from vittne.codecs.level import clipped, levels

FRAME: Final = 160  # samples: 20 ms
FRAME_S: Final = FRAME / RATE
MARGIN_S: Final = 0.02  # left before and after what is heard
_QUIET_DBOV: Final = -60.0  # below it nothing is heard
_BELOW_DB: Final = 40.0  # nor so far below what is loud
_WINDOW: Final = 50  # frames: a second
_SPEECH_DB: Final = 4.5  # deviation of the level within a second
_TAIL_S: Final = 1.0  # of sound, or of silence, behind the last speech: worth cutting off
_KEPT_S: Final = 0.3  # beside the speech: where it ends is known to half a second only
_LEAST_SPEECH_S: Final = 1.0
_SHORT_SPEECH_S: Final = 2.0
_MOSTLY: Final = 0.35  # share of the whole that should be heard
_FAINT_DBOV: Final = -40.0
_CLIPPED: Final = 0.001  # share of samples

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Unfit(StoreError):
    """A sound that cannot be a reference, and why."""


@dataclass(frozen=True, slots=True)
class Measures:
    """A sound measured. Times in seconds within it.

    begin_s, end_s: from the first to the last that is heard. speech_end_s: of the last speech; heard_s, speech_s: how
    much is heard, is speech. loudness_dbov: of what is heard. refused: why it cannot be used; warnings: what to see to.
    """

    length_s: float
    begin_s: float
    end_s: float
    speech_begin_s: float
    speech_end_s: float
    heard_s: float
    speech_s: float
    loudness_dbov: float
    clipped_share: float
    refused: str = ""
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        names = ("length_s", "begin_s", "end_s", "speech_begin_s", "speech_end_s", "heard_s", "speech_s", "tail_s")
        shown = {name: round(getattr(self, name), 3) for name in names}
        return {**shown, "loudness_dbov": round(self.loudness_dbov, 1), "clipped_share": round(self.clipped_share, 6)}

    @property
    def tail_s(self) -> float:
        """How much sound is behind the last speech."""
        return max(self.end_s - self.speech_end_s, 0.0)


def measure(samples: I16, offset_s: float = 0.0) -> Measures:
    """Measure a sound: (n,) int16 at 8000 Hz. offset_s: where in its file it begins, for what warnings suggest."""
    level = levels(samples, FRAME)
    length_s = len(samples) / RATE
    heard = _heard(level)
    if not heard.any():
        return Measures(length_s, 0, 0, 0, 0, 0, 0, -127.0, 0.0, refused="it is silent")
    speech = heard & _moves(level, heard)
    begin_s, end_s = _span(heard, length_s)
    speech_begin_s, speech_end_s = _span(speech, length_s) if speech.any() else (begin_s, begin_s)
    heard_s, speech_s = float(heard.sum()) * FRAME_S, float(speech.sum()) * FRAME_S
    loudness = float(10 * np.log10(np.mean(10 ** (level[heard] / 10))))
    measures = Measures(
        length_s,
        begin_s,
        end_s,
        speech_begin_s,
        speech_end_s,
        heard_s,
        speech_s,
        loudness,
        clipped(samples) / max(len(samples), 1),
    )
    return _judged(measures, offset_s)


def refuse_unfit(measures: Measures, where: str, anyway: bool = False) -> None:
    """Raise Unfit for a sound that cannot be a reference. anyway: somebody listened to it, and says that it speaks.

    Under loud music (from about 8 dB below the voice) speech is not recognised here; the detector does hear it.
    """
    if not measures.refused or (anyway and measures.heard_s >= _LEAST_SPEECH_S):
        return
    next_step = "give the file that is played to callers; --anyway, when somebody speaks in it all the same"
    raise Unfit(f"this cannot be a reference: {measures.refused}", where, next_step)


def _judged(of: Measures, offset_s: float) -> Measures:
    refused = ""
    if of.speech_s == 0:
        refused = "nothing in it sounds like speech, only like tones, music or noise"
    elif of.speech_s < _LEAST_SPEECH_S:
        refused = f"it has {of.speech_s:.1f} s of speech, too little to be told from others ({_LEAST_SPEECH_S:g} s)"
    if refused:
        return replace(of, refused=refused)
    warnings = []
    if of.speech_s < _SHORT_SPEECH_S:
        warnings.append(f"it has only {of.speech_s:.1f} s of speech: the shorter, the easier something else is like it")
    if of.heard_s < _MOSTLY * of.length_s:
        warnings.append(f"it is mostly silence: {of.heard_s:.1f} of {of.length_s:.1f} s are heard")
    if of.loudness_dbov < _FAINT_DBOV:
        warnings.append(f"it is faint: {of.loudness_dbov:.0f} dBov; is this the file that is played?")
    if of.clipped_share > _CLIPPED:
        warnings.append(f"it is too loud for its own scale: {of.clipped_share:.1%} of the samples are clipped")
    if of.tail_s >= _TAIL_S:
        warnings.append(
            f"behind the last speech there are {of.tail_s:.1f} s of something else (music?): "
            f"--until {offset_s + of.speech_end_s + _KEPT_S:.1f} cuts it off"
        )
    if of.speech_begin_s - of.begin_s >= _TAIL_S:
        warnings.append(
            f"before the first speech there are {of.speech_begin_s - of.begin_s:.1f} s of something else (music?): "
            f"--from {offset_s + max(of.speech_begin_s - _KEPT_S, 0):.1f} leaves it out"
        )
    return replace(of, warnings=tuple(warnings))


def _heard(level: F64) -> Flags:
    """Say of each frame whether it is heard: not far below what is loud."""
    if not len(level):
        return np.zeros(0, np.bool_)
    floor = max(_QUIET_DBOV, float(np.percentile(level, 98)) - _BELOW_DB)
    return np.asarray(level > floor, np.bool_)


def _moves(level: F64, heard: Flags) -> Flags:
    """Say of each frame whether the level rises and falls as speech does in the second around it.

    Only from the first to the last that is heard: the step from silence to a tone is no movement.
    """
    places = np.flatnonzero(heard)
    first, end = int(places[0]), int(places[-1]) + 1
    shaped = np.maximum(level[first:end], max(_QUIET_DBOV, float(level.max()) - _BELOW_DB))
    size = min(_WINDOW, len(shaped))
    deviation = np.lib.stride_tricks.sliding_window_view(shaped, size).std(axis=1)
    middle = np.clip(np.arange(len(shaped)) - size // 2, 0, len(deviation) - 1)
    out = np.zeros(len(level), np.bool_)
    out[first:end] = deviation[middle] >= _SPEECH_DB
    return out


def _span(flags: Flags, length_s: float) -> tuple[float, float]:
    places = np.flatnonzero(flags)
    begin = max(float(places[0]) * FRAME_S - MARGIN_S, 0.0)
    return begin, min(float(places[-1] + 1) * FRAME_S + MARGIN_S, length_s)
