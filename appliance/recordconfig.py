"""Which calls are recorded, and from when: [site], [gate] and the tables [[record]] of the configuration.

[[record]]
name = "works council"
callees = ["2900..2999"]
then = "exclude"

[[record]]
name = "hotline"
callees = ["+498001234*"]
gate = "after-consent"
consent_key = "1"
refuse_key = "2"

The first rule that fits a call decides; a call that none fits is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from vittne.appliance.policy.announcements import AnnouncementConfig, UnannouncedConfig
from vittne.appliance.policy.config import BasisConfig, ClassConfig, RetentionConfig, check_classes
from vittne.appliance.wordsconfig import Name, Numbers, Section, Words, ZoneName
from vittne.capture.columns import SECOND
from vittne.capture.conditions import HeaderIs
from vittne.capture.recordrules import (
    AtLimit,
    GateLimits,
    Keys,
    Mode,
    PlayedBy,
    RecordRule,
    RecordRules,
    Then,
    version_of,
)

_KEY: Final = r"[0-9*#A-D]?"


class SiteConfig(Section):
    """The section [site]: where this recorder stands."""

    name: str = Field(default="", max_length=64)
    timezone: ZoneName = "UTC"
    own_numbers: Numbers = ()


class GateConfig(Section):
    """The section [gate]: how much audio may wait in locked memory."""

    call_mib: int = Field(default=16, ge=1, le=1024)
    total_mib: int = Field(default=256, ge=1, le=65_536)


class RecordConfig(Words):
    """One rule of [[record]]."""

    name: Name
    then: Then = "record"
    percent: float | None = Field(default=None, ge=0, le=100)
    gate: Mode = "from-start"
    at_limit: AtLimit = "discard"
    keep_before: bool = True
    consent_key: str = Field(default="", pattern=f"^{_KEY}$")
    refuse_key: str = Field(default="", pattern=f"^{_KEY}$")
    key_from: Literal["caller", "callee", "either"] = "caller"
    key_within_s: float = Field(default=30.0, ge=1, le=3600)
    site: str = Field(default="", max_length=64)
    tags: tuple[Name, ...] = Field(default=(), strict=False, max_length=16)
    announcements: tuple[Name, ...] = Field(default=(), strict=False, max_length=64)
    side: PlayedBy = "ours"
    live: bool = True

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.then == "percent") is (self.percent is None):
            raise ValueError('percent goes with then = "percent", and the other way round')
        if self.then in ("exclude", "on-demand") and self.gate != "from-start":
            raise ValueError(f'then = "{self.then}" has no gate')
        if (self.consent_key or self.refuse_key) and self.gate not in ("after-consent", "discard-on-objection"):
            raise ValueError("a key decides with gate after-consent or discard-on-objection only")
        if self.announcements and (self.gate == "from-start" or self.then == "on-demand"):
            raise ValueError("announcements decide gates, and this rule has none: give one")
        if "side" in self.model_fields_set and (self.gate == "from-start" or self.then == "on-demand"):
            raise ValueError("side says who plays what decides a gate, and this rule has none: give one")
        if self.consent_key and self.consent_key == self.refuse_key:
            raise ValueError("consent_key and refuse_key are one and the same")
        return self

    def rule(self, zone: str) -> RecordRule:
        """Return it as the capture side takes it."""
        return RecordRule(
            self.name,
            self.condition(zone),
            self.then,
            100.0 if self.percent is None else self.percent,
            self.gate,
            self.at_limit,
            self.keep_before,
            Keys(self.consent_key, self.refuse_key, self.key_from, int(self.key_within_s * SECOND)),
            self.site,
            self.tags,
            self.announcements,
            self.side,
            self.live,
        )


class KeepingConfig(Section):
    """Everything that says which calls are recorded, from when, for how long and on what ground."""

    site: SiteConfig = SiteConfig()
    gate: GateConfig = GateConfig()
    record: tuple[RecordConfig, ...] = Field(default=(), strict=False, max_length=1024)
    classes: tuple[ClassConfig, ...] = Field(default=(), strict=False, max_length=64)
    retention: tuple[RetentionConfig, ...] = Field(default=(), strict=False, max_length=1024)
    basis: tuple[BasisConfig, ...] = Field(default=(), strict=False, max_length=1024)
    announcement: tuple[AnnouncementConfig, ...] = Field(default=(), strict=False, max_length=1024)
    unannounced: UnannouncedConfig = UnannouncedConfig()

    @model_validator(mode="after")
    def _tables_have_names(self) -> Self:
        for table in ("record", "classes", "retention", "basis", "announcement"):
            names = [one.name for one in getattr(self, table)]
            if len(set(names)) < len(names):
                raise ValueError(f"two tables [[{table}]] have one name")
        check_classes(self.classes, self.retention)
        return self


def keeping_json(config: KeepingConfig) -> dict[str, object]:
    """Return the part of a whole configuration that is about keeping as plain values, to be sent to a worker."""
    values: dict[str, object] = config.model_dump(
        mode="json", include=set(KeepingConfig.model_fields), exclude_defaults=True
    )
    return values


def recording_rules(config: KeepingConfig, key: bytes) -> RecordRules:
    """Return the rules as the capture side takes them. key: of the hash that percent asks."""
    rules = tuple(one.rule(config.site.timezone) for one in config.record)
    return RecordRules(
        rules,
        config.site.own_numbers,
        config.site.name,
        key,
        version(config, config.record),
        GateLimits(config.gate.call_mib << 20, config.gate.total_mib << 20),
        tuple({one.name: one for one in _headers(config)}.values()),
    )


def _headers(config: KeepingConfig) -> Iterable[HeaderIs]:
    """Yield the headers that any rule asks for: only messages show them, rules at sealing come too late."""
    for one in (*config.record, *config.retention, *config.basis, *config.announcement):
        header = one.condition(config.site.timezone).header
        if header is not None:
            yield header


def version(config: KeepingConfig, tables: Iterable[Words]) -> str:
    """Return a hash of rules as they stand in the configuration, and of what their words mean there."""
    written = [config.site.model_dump(mode="json"), *(one.model_dump(mode="json") for one in tables)]
    return version_of(json.dumps(written, sort_keys=True))
