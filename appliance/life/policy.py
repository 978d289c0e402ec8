"""What is configured about the life of recordings, as operations use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vittne.appliance.policy.classes import PRESETS, RetentionClass


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """operations: those that need a second person. early: classes of which two persons may erase inside the lock."""

    operations: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()
    immutable: bool = False
    classes: Mapping[str, RetentionClass] = field(default_factory=lambda: dict(PRESETS))
