"""What can be set about pauses and digits: the sections [pause] and [digits].

A profile sets what is not set by itself. "standard": what its lease outlives stays shut, and says so.
"pci-strict": also, several calls that match are all shut, and what could not be searched for tones in time is not
stored. "finance": a call must not be lost, so a lease that ran out opens it again, and keyed digits alone shut nothing.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vittne.capture.columns import SECOND
from vittne.capture.pause import EVERY_CODEC, AtLeaseEnd, DigitPolicy, PauseSettings, Unheard

Profile = Literal["standard", "pci-strict", "finance"]

_PROFILES: Final[dict[Profile, dict[str, Any]]] = {
    "standard": {"at_lease_end": "stay", "several": "refuse", "policy": "mask", "auto_pause": 6, "unheard": "keep"},
    "pci-strict": {"at_lease_end": "stay", "several": "all", "policy": "mask", "auto_pause": 6, "unheard": "drop"},
    "finance": {"at_lease_end": "resume", "several": "refuse", "policy": "keep", "auto_pause": 0, "unheard": "keep"},
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PauseConfig(_Section):
    """The section [pause]. What is None is the profile's."""

    profile: Profile = "standard"
    guard_s: float = Field(default=0.5, ge=0, le=5)
    lease_s: float = Field(default=600.0, ge=1, le=86_400)
    longest_lease_s: float = Field(default=3600.0, ge=1, le=86_400)
    at_lease_end: AtLeaseEnd | None = None
    several: Literal["refuse", "all"] | None = None
    longest_wait_s: float = Field(default=60.0, ge=0, le=600)
    agent_headers: tuple[str, ...] = Field(default=(), strict=False, max_length=8)

    @model_validator(mode="after")
    def _leases_agree(self) -> Self:
        if self.lease_s > self.longest_lease_s:
            raise ValueError("lease_s is longer than longest_lease_s")
        return self

    @property
    def pauses_all(self) -> bool:
        """Whether a request that several calls match shuts all of them."""
        return bool(self._chosen("several", self.several) == "all")

    @property
    def lease_end(self) -> AtLeaseEnd:
        """What happens when a lease runs out."""
        chosen: AtLeaseEnd = self._chosen("at_lease_end", self.at_lease_end)
        return chosen

    def _chosen(self, name: str, value: Any) -> Any:
        return _PROFILES[self.profile][name] if value is None else value


class DigitsConfig(_Section):
    """The section [digits]. What is None is the profile's."""

    policy: DigitPolicy | None = None
    auto_pause: int | None = Field(default=None, ge=0, le=64)
    auto_within_s: float = Field(default=15.0, ge=1, le=120)
    menu_s: float = Field(default=0.0, ge=0, le=3600)
    menu_numbers: tuple[str, ...] = Field(default=(), strict=False, max_length=256)
    listen: tuple[str, ...] = Field(default=EVERY_CODEC, strict=False, max_length=64)
    unheard: Unheard | None = None

    @field_validator("listen")
    @classmethod
    def _codecs(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in names and len(names) > 1:
            raise ValueError('"*" is all codecs, and stands alone')
        return tuple(name.upper() for name in names)


def settings(pause: PauseConfig, digits: DigitsConfig) -> PauseSettings:
    """Return what the capture side needs of both."""
    profile = _PROFILES[pause.profile]
    return PauseSettings(
        guard_ns=int(pause.guard_s * SECOND),
        lease_ns=int(pause.lease_s * SECOND),
        at_lease_end=pause.lease_end,
        digit_policy=profile["policy"] if digits.policy is None else digits.policy,
        auto_digits=profile["auto_pause"] if digits.auto_pause is None else digits.auto_pause,
        auto_within_ns=int(digits.auto_within_s * SECOND),
        menu_ns=int(digits.menu_s * SECOND),
        menu_users=digits.menu_numbers,
        listen=digits.listen,
        unheard=profile["unheard"] if digits.unheard is None else digits.unheard,
    )
