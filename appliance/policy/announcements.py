"""[[announcement]] of the configuration: which calls must be announced, by what, and what it means when one was not.

[[announcement]]
name = "sales hotline"
callees = ["+498001234*"]
prompts = ["notice-*"]
side = "callee"
within_s = 20.0
otherwise = ["quarantine", "alarm"]

The first rule that fits a call decides; a call that none fits need not be announced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from vittne.appliance.ruleconfig import Texts
from vittne.appliance.wordsconfig import Name, Section, Words
from vittne.capture.conditions import Condition

ALARM: Final = "alarm"
QUARANTINE: Final = "quarantine"
DISCARD: Final = "discard"
Consequence = Literal["flag", "alarm", "quarantine", "discard"]
Side = Literal["caller", "callee", "either", "both"]


class AnnouncementConfig(Words):
    """One rule. side: in whose voice it must be heard; a PBX that answers plays it as the callee."""

    name: Name
    needed: bool = True
    tags: Texts = ()
    prompts: Texts = ()
    combine: Literal["any", "all"] = "any"
    languages: Texts = ()
    side: Side = "either"
    within_s: float | None = Field(default=None, ge=0, le=86_400)
    partial_suffices: bool = False
    otherwise: tuple[Consequence, ...] = Field(default=("flag",), strict=False, min_length=1, max_length=4)
    not_listened: tuple[Consequence, ...] = Field(default=("flag",), strict=False, min_length=1, max_length=4)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.combine == "all" and not self.prompts:
            raise ValueError('combine = "all" needs prompts: all of which?')
        for name in ("otherwise", "not_listened"):
            if {QUARANTINE, DISCARD} <= set(getattr(self, name)):
                raise ValueError(f"{name}: what is discarded cannot lie in quarantine; leave one out")
        if not self.needed and self.model_fields_set & _ONLY_NEEDED:
            raise ValueError("needed = false says that nothing must be heard: leave out what")
        return self

    def condition(self, zone: str) -> Condition:
        """Return it as a condition on facts."""
        return replace(super().condition(zone), tags=self.tags)

    def told(self) -> str:
        """Return in words which calls it is about."""
        plain = super().told()
        words = [f"tags {', '.join(self.tags)}"] if self.tags else []
        return "; ".join([*([plain] if plain != "all calls" or not words else []), *words])

    def wanted(self) -> str:
        """Return in words what must be heard."""
        if not self.needed:
            return "need not be announced"
        what = f"{self.combine} of {', '.join(self.prompts)}" if self.prompts else "any notice"
        if self.languages:
            what += f" in {' or '.join(self.languages)}"
        what += (
            "" if self.side == "either" else f", on {'both sides' if self.side == 'both' else f'the {self.side} side'}"
        )
        what += "" if self.within_s is None else f", within {self.within_s:g} s of the answer"
        what += "; part of it suffices" if self.partial_suffices else ""
        unheard = "" if self.not_listened == ("flag",) else f", not listened to: {', '.join(self.not_listened)}"
        return f"{what}; else {', '.join(self.otherwise)}{unheard}"


_ONLY_NEEDED: Final = frozenset(
    {"prompts", "combine", "languages", "side", "within_s", "partial_suffices", "otherwise", "not_listened"}
)


class UnannouncedConfig(Section):
    """The section [unannounced]: an alarm when more than a share of the last calls was not announced."""

    calls: int = Field(default=100, ge=10, le=10_000)
    above_percent: float = Field(default=5.0, ge=0, le=100)
    below_percent: float = Field(default=2.0, ge=0, le=100)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.below_percent > self.above_percent:
            raise ValueError("below_percent is greater than above_percent")
        return self


@dataclass(frozen=True, slots=True)
class AnnouncementRule:
    """Calls that meet when must be announced as it says."""

    when: Condition
    says: AnnouncementConfig


@dataclass(frozen=True, slots=True)
class AnnouncementRules:
    """All rules, in their order. version: a hash of them as they stand; "" when there are none."""

    rules: tuple[AnnouncementRule, ...] = ()
    version: str = ""


NO_ANNOUNCEMENTS: Final = AnnouncementRules()


def announcement_rules(configured: Sequence[AnnouncementConfig], zone: str, version: str) -> AnnouncementRules:
    """Return the rules of a configuration."""
    if not configured:
        return NO_ANNOUNCEMENTS
    return AnnouncementRules(tuple(AnnouncementRule(one.condition(zone), one) for one in configured), version)


def shown(one: AnnouncementConfig) -> dict[str, Any]:
    """Return a rule as values."""
    return one.model_dump(mode="json", exclude_defaults=True)
