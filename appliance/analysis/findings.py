"""What analysis says it heard, entered in calls: only as far as it can be, of a voice that was handed over."""

from __future__ import annotations

from typing import Final, get_args

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.messages import Finding
from vittne.appliance.hearing.heard import State
from vittne.capture.heard import LineState, Played, Prompt
from vittne.capture.listening import CODEC, NO_KEY, TOO_LATE
from vittne.capture.pipeline import Pipeline

_NAMES: Final[tuple[State, ...]] = get_args(State)  # as states.py numbers them, which a worker need not load
NOT_LISTENED: Final = "not listened to: too late"  # a counter
_FULL: Final = 0.75  # of a value that is 1.0 for full and 0.5 for partial
PACKET_NS: Final = 20_000_000


class Findings:
    """Takes findings in. waits: they are kept until settle(), so that a file gives the same whatever comes first."""

    def __init__(self, pipeline: Pipeline, waits: bool) -> None:
        self._pipeline = pipeline
        self._waits = waits
        self._waiting: list[tuple[Finding, Prompt | None]] = []

    def note(self, found: Finding, prompts: list[Prompt]) -> None:
        """Take in a finding. prompts: those that it may name, by their places."""
        prompt = None
        if found.kind == messages.ANNOUNCED:
            if found.what >= len(prompts):
                return
            prompt = prompts[found.what]
        if self._waits:
            self._waiting.append((found, prompt))
        else:
            self._enter(found, prompt)

    def settle(self) -> None:
        """Enter what was kept, in the order of time."""
        waiting, self._waiting = self._waiting, []
        waiting.sort(key=lambda one: (one[0].end_mono, one[0].number, one[0].kind, one[0].what, one[0].begin_mono))
        for found, prompt in waiting:
            self._enter(found, prompt)

    def _enter(self, found: Finding, prompt: Prompt | None) -> None:
        announcing, listening = self._pipeline.announcing, self._pipeline.handover.listening
        begin, end = found.begin_mono, found.end_mono
        if found.kind == messages.ANNOUNCED and prompt is not None:
            share, required, score, state = (min(max(value, 0.0), 1.0) for value in found.values)
            announcing.played(found.number, Played(prompt, begin, end, state > _FULL, share, required, score))
        elif found.kind == messages.SPEECH:
            announcing.spoke(found.number, begin, end)
        elif found.kind == messages.STATE:
            if 1 <= found.what <= len(_NAMES):
                interval, regularity, count, frequency = found.values
                state_ = LineState(
                    _NAMES[found.what - 1], begin, end, interval, regularity, max(0, round(count)), frequency
                )
                announcing.sounded(found.number, state_)
        elif found.kind == messages.LATE:
            self._pipeline.counters[NOT_LISTENED] += 1
            listening.missed([found.number], TOO_LATE, end - begin + PACKET_NS)
        elif found.kind in (messages.NOT_DECODED, messages.NOT_OPENED):
            why = CODEC if found.kind == messages.NOT_DECODED else NO_KEY
            listening.missed([found.number], why, end - begin + PACKET_NS)
