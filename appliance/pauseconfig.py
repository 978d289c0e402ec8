"""What can be set about pauses and digits: the sections [pause] and [digits].

A profile sets what is not set by itself. "standard": what its lease outlives stays shut, and says so.
"pci-strict": also, several calls that match are all shut, and what could not be searched for tones in time is not
stored. "finance": a call must not be lost, so a lease that ran out opens it again, and keyed digits alone shut nothing.

What the worker does not confirm is shut by ending it in "pci-strict" only, and only there may nobody but who asked
for a pause end it. Calls that depend on a control channel which is down ([[pause.depends]]) are shut in "pci-strict".
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vittne.appliance.triggers.settings import Words
from vittne.capture.columns import SECOND
from vittne.capture.pause import EVERY_CODEC, AtLeaseEnd, DigitPolicy, PauseSettings, Unheard

Profile = Literal["standard", "pci-strict", "finance"]

_PROFILES: Final[dict[Profile, dict[str, Any]]] = {
    "standard": {
        "at_lease_end": "stay",
        "several": "refuse",
        "policy": "mask",
        "auto_pause": 6,
        "unheard": "keep",
        "resume": "any",
        "unconfirmed": "alarm",
        "then": "record",
    },
    "pci-strict": {
        "at_lease_end": "stay",
        "several": "all",
        "policy": "mask",
        "auto_pause": 6,
        "unheard": "drop",
        "resume": "own",
        "unconfirmed": "shut",
        "then": "shut",
    },
    "finance": {
        "at_lease_end": "resume",
        "several": "refuse",
        "policy": "keep",
        "auto_pause": 0,
        "unheard": "keep",
        "resume": "any",
        "unconfirmed": "alarm",
        "then": "record",
    },
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MatchConfig(_Section):
    """Which calls: any word is enough. called: a number or a glob, of whom the call goes to."""

    called: Words = ()
    extension: Words = ()
    agent: Words = ()

    def words(self) -> list[tuple[str, str]]:
        """Return every word with the selector that it is for."""
        return [(name, word) for name in ("called", "extension", "agent") for word in getattr(self, name)]


class DependsConfig(_Section):
    """Calls that may be recorded only while somebody could pause them. on: ami:NAME, esl:NAME, or api.

    api: the channel is up while the token with this name is used at least every within_s.
    """

    on: Annotated[str, Field(pattern=r"^(api|(ami|esl):[A-Za-z0-9][A-Za-z0-9_.-]{0,31})$")]
    match: MatchConfig
    token: str = Field(default="", max_length=256)
    within_s: float = Field(default=60.0, ge=5, le=3600)
    then: Literal["shut", "record"] | None = None

    @property
    def channel(self) -> str:
        """What the channel is called as who paused."""
        return f"api:{self.token}" if self.on == "api" else self.on

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.match.words():
            raise ValueError("match needs called, extension or agent")
        if (self.on == "api") != bool(self.token):
            raise ValueError('token names who has to be heard, with on = "api" and only there')
        return self


class PauseConfig(_Section):
    """The section [pause]. What is None is the profile's."""

    profile: Profile = "standard"
    guard_s: float = Field(default=0.5, ge=0, le=5)
    lease_s: float = Field(default=600.0, ge=1, le=86_400)
    longest_lease_s: float = Field(default=3600.0, ge=1, le=86_400)
    at_lease_end: AtLeaseEnd | None = None
    several: Literal["refuse", "all"] | None = None
    resume: Literal["own", "any"] | None = None
    unconfirmed: Literal["alarm", "shut"] | None = None
    longest_wait_s: float = Field(default=60.0, ge=0, le=600)
    most_live_per_actor: int = Field(default=1000, ge=1, le=20_000)
    report_longest_s: float = Field(default=900.0, ge=1, le=86_400)
    report_most_per_day: int = Field(default=100, ge=1, le=100_000)
    depends: tuple[DependsConfig, ...] = Field(default=(), strict=False, max_length=16)
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

    @property
    def guard_ns(self) -> int:
        """What is added at both ends of a pause."""
        return int(self.guard_s * SECOND)

    @property
    def resumes_own(self) -> bool:
        """Whether only who asked for a pause ends it."""
        return bool(self._chosen("resume", self.resume) == "own")

    @property
    def shuts_unconfirmed(self) -> bool:
        """Whether a worker that does not confirm a pause is ended."""
        return bool(self._chosen("unconfirmed", self.unconfirmed) == "shut")

    def shuts(self, one: DependsConfig) -> bool:
        """Whether what depends on a channel is shut while that is down."""
        return bool(self._chosen("then", one.then) == "shut")

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
        guard_ns=pause.guard_ns,
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
