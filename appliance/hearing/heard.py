"""What is said of a stretch of a voice that is no speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal[
    "ringback",
    "busy",
    "congestion",
    "dial",
    "sit",
    "hold-music",
    "recording-beep",
    "machine-beep",
    "fax-cng",
    "fax-ced",
    "modem",
    "silence",
]

SECOND_FRAMES: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """A state from one arrival to another (monotonic). One with the same state and begin says more of the same.

    interval_s: between repetitions, 0 without. regularity: 0 to 1, 0 when two say nothing of it. hertz: 0 when there
    is no frequency; of two together their middle.
    """

    state: State
    begin_ns: int
    end_ns: int
    interval_s: float = 0.0
    regularity: float = 0.0
    count: int = 0
    hertz: float = 0.0


def seconds(first: int, last: int) -> float:
    """Return how long it is from one frame to another."""
    return (last - first) / SECOND_FRAMES


def regularity(intervals: list[float], typical: float) -> float:
    """Return 1 when all intervals are alike, 0 when they are off by a fifth of the typical one."""
    off = sum(abs(one - typical) for one in intervals) / (len(intervals) * typical)
    return max(0.0, 1 - 5 * off)
