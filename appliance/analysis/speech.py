"""Stretches of speech as findings. A later one of the same voice with the same begin says more of the same stretch."""

from __future__ import annotations

from collections.abc import Iterable

from vittne.appliance.analysis.messages import SPEECH, Finding
from vittne.appliance.hearing.speech import Speech


def speech_findings(number: int, found: Iterable[Speech]) -> list[Finding]:
    """Return findings of a voice; values: (level dBov, 0, 0, 0)."""
    return [
        Finding(SPEECH, number, one.begin_ns, max(one.begin_ns, one.end_ns), values=(one.level, 0.0, 0.0, 0.0))
        for one in found
    ]
