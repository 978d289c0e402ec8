"""What can be set about the life of recordings: [expiry], [approval] and [store]. Classes are in policy/config.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.datadir import ConfigError
from vittne.appliance.life.policy import LifePolicy, Room
from vittne.appliance.policy.config import ClassConfig, classes
from vittne.appliance.storage.settings import ALWAYS, KeepLocal

WhenFull = Literal["stop", "erase-oldest-allowed"]
TwoPersons = Literal[
    "cut", "erase", "hold-release", "shorten", "unrestrict", "quarantine-release", "keys-unlock", "bulk-export"
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ExpiryConfig(_Section):
    """The section [expiry]: whether what is due goes at night, and when. hour: UTC."""

    enabled: bool = True
    hour: int = Field(default=3, ge=0, le=23)


class ApprovalConfig(_Section):
    """The section [approval]: what needs a second person; a cut inside a lock always does.

    expires_h: hours after which a request that nobody decided is over.
    early: classes of which two persons may erase before the lock ends. None, unless the law that made it says so.
    """

    operations: tuple[TwoPersons, ...] = Field(default=(), strict=False, max_length=8)
    expires_h: int = Field(default=168, ge=1, le=8760)
    early: tuple[str, ...] = Field(default=(), strict=False, max_length=64)


class StoreConfig(_Section):
    """The section [store]. immutable: files of a locked recording get the file system's immutable flag.

    keep_local: "always", or "days: N": so long after it was copied to a storage target a recording stays here too.
    when_full: "stop" erases nothing, ever; else what no hold, lock or restriction keeps goes when less than
    erase_below_percent is free, the oldest first, until erase_to_percent is. erase_classes: only these, in this order.
    """

    immutable: bool = False
    keep_local: KeepLocal = ALWAYS
    when_full: WhenFull = "stop"
    erase_classes: tuple[str, ...] = Field(default=(), strict=False, max_length=64)
    erase_below_percent: float = Field(default=3.0, ge=0.1, le=80)
    erase_to_percent: float = Field(default=4.0, ge=0.2, le=90)

    @model_validator(mode="after")
    def _erases_to_more_than_from(self) -> Self:
        if self.erase_to_percent <= self.erase_below_percent:
            raise ValueError("erase_to_percent is not greater than erase_below_percent")
        if self.erase_classes and self.when_full == "stop":
            raise ValueError('erase_classes means something with when_full = "erase-oldest-allowed" only')
        return self

    @property
    def room(self) -> Room | None:
        """What may be erased to make room; None for nothing."""
        return None if self.when_full == "stop" else Room(self.erase_classes)


def life_policy(approval: ApprovalConfig, store: StoreConfig, configured: Sequence[ClassConfig]) -> LifePolicy:
    """Return what is configured as operations use it. Raises ConfigError."""
    known = classes(configured)
    for name in approval.early:
        if name not in known:
            raise ConfigError(f"approval.early: there is no class {name[:60]!r}", "approval", "name it in [[classes]]")
    for name in store.erase_classes:
        if name not in known:
            raise ConfigError(
                f"store.erase_classes: there is no class {name[:60]!r}", "store", "name it in [[classes]]"
            )
    may = frozenset(approval.operations)
    return LifePolicy(may, frozenset(approval.early), store.immutable, approval.expires_h, known, store.room)
