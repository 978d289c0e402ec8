"""What listeners get: decoded samples of many voices, and which packet each came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import Finding
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard
from vittne.capture.columns import I64
from vittne.codecs.base import I16


@dataclass(frozen=True, slots=True)
class Sound:
    """n packets, all of a voice together, in the order of the voice's own time.

    samples: at 8000 Hz, voice after voice; packet i holds samples[begin[i] : begin[i] + length[i]].
    at: where a packet's first sample lies on the voice's own clock, in samples at 8000 Hz: by RTP timestamps (RFC
    3550 section 5.1), so what did not come is a gap; 0 is the voice's first packet. listen: whether more than tones is
    to be heard in it.
    """

    number: npt.NDArray[np.int32]
    mono_ns: I64
    begin: I64
    length: I64
    samples: I16
    at: I64
    listen: npt.NDArray[np.bool_] | None = None


class Listener(Protocol):
    """Somebody who looks for something in all voices while their calls last, and keeps little of each."""

    def hear(self, sound: Sound) -> list[Finding]:
        """Return what was found. What comes next of each voice comes with the next call."""
        ...

    def forget(self, numbers: npt.NDArray[np.int32]) -> None:
        """These numbers mean other voices from now on."""
        ...


class FrameListener(Protocol):
    """Somebody who looks for something in the frames of voices, which are made once for all, many voices at once."""

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """Return what was found. runs: of voices, behind those that came before; they are good for this once.

        What is done for one voice is done under the guard, so that a fault costs this voice only.
        """
        ...

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """Voices are over, or are listened to no more: return what is known of them, and forget them."""
        ...
