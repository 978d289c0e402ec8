"""What is configured about the life of recordings, as operations use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vittne.appliance.policy.classes import PRESETS, RetentionClass


@dataclass(frozen=True, slots=True)
class Room:
    """What may be erased when the disk fills. classes: only these, in this order; () for all, the oldest first."""

    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """operations: those that need a second person. early: classes of which two persons may erase inside the lock.

    expires_h: hours after which a request is over.
    """

    operations: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()
    immutable: bool = False
    expires_h: int = 168
    classes: Mapping[str, RetentionClass] = field(default_factory=lambda: dict(PRESETS))
    room: Room | None = None  # None: a full disk erases nothing
