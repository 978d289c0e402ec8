"""What a worker knows, as the next one takes it up: see snapshot.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from vittne.appliance.recorder import OpenRecording
from vittne.appliance.registrar import CallClosed
from vittne.capture.pipeline import Pipeline

Position = tuple[int, int]  # block, packet in it


@dataclass(slots=True)
class Memory:
    """What a snapshot holds."""

    pipeline: Pipeline
    open: dict[str, OpenRecording]
    closing: list[CallClosed]
    packets: int
    heard: list[Position]  # ring by ring: signalling before this was heard
    committed: list[Position]  # media before this is written
    lost: dict[str, int] = field(default_factory=dict)  # kernel drops by interface
    cards: dict[str, int] = field(default_factory=dict)
