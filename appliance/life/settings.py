"""What can be set about the life of recordings: [expiry], [approval] and [store]. Classes are in policy/config.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vittne.appliance.datadir import ConfigError
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.policy.config import ClassConfig, classes
from vittne.appliance.storage.settings import ALWAYS, KeepLocal

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
    """

    immutable: bool = False
    keep_local: KeepLocal = ALWAYS


def life_policy(approval: ApprovalConfig, store: StoreConfig, configured: Sequence[ClassConfig]) -> LifePolicy:
    """Return what is configured as operations use it. Raises ConfigError."""
    known = classes(configured)
    for name in approval.early:
        if name not in known:
            raise ConfigError(f"approval.early: there is no class {name[:60]!r}", "approval", "name it in [[classes]]")
    return LifePolicy(
        frozenset(approval.operations), frozenset(approval.early), store.immutable, approval.expires_h, known
    )
