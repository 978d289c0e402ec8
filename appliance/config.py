"""The configuration: a TOML file, checked key by key.

    data = "/srv/vittne"
    interfaces = ["eth1", "eth2"]
    hold_back_s = 5
    [ring]
    packets_per_s = 300000

Precedence: option on the command line, then environment (VITTNE_DATA), then file, then default. A wrong
key is an error with the file's name, the key's path and what is expected; all wrong keys are told at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.alarming.settings import AlarmsConfig
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.backup.settings import BackupSettings
from vittne.appliance.canary.settings import CanaryConfig
from vittne.appliance.changeable import SETTINGS_FILE, read_settings, under
from vittne.appliance.clock.settings import ClockConfig
from vittne.appliance.compliance.settings import InventoryConfig
from vittne.appliance.datadir import DATA_VARIABLE, DEFAULT_DATA, ConfigError, config_file, read_toml
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.life.settings import ApprovalConfig, ExpiryConfig, StoreConfig
from vittne.appliance.live.settings import LiveListenSettings
from vittne.appliance.pauseconfig import DigitsConfig, PauseConfig
from vittne.appliance.recordconfig import KeepingConfig
from vittne.appliance.review.plans import PlanConfig
from vittne.appliance.ruleconfig import RuleConfig
from vittne.appliance.scrub.settings import ScrubSettings
from vittne.appliance.signon.settings import SignOnSettings
from vittne.appliance.stamps.settings import StampsConfig
from vittne.appliance.storage.settings import StorageTarget, days_kept, names_differ
from vittne.appliance.subjects.settings import SubjectsConfig
from vittne.appliance.triggers.settings import TriggersConfig
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.witness.settings import LedgerConfig
from vittne.capture.columns import SECOND

_INTERFACE_NAME: Final = 15  # IFNAMSIZ without its zero


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RingConfig(_Section):
    """The capture ring (DESIGN 11.2). Without a rate: by the link's speed and the memory there is."""

    packets_per_s: int | None = Field(default=None, ge=1, le=100_000_000)


class AnalysisConfig(_Section):
    """Processes that decode voices while their calls last, to look for tones and to listen to what is said.

    0: only G.711 is searched for tones, and nothing is listened to. window_s: how much of each voice's beginning is
    listened to, and once more from the answer; 0: nothing, 604800: whole calls.
    """

    processes: int = Field(default=1, ge=0, le=64)
    window_s: float = Field(default=30.0, ge=0, le=604_800)

    @property
    def listen_ns(self) -> int:
        """The window as the capture side takes it; 0 where nobody could listen."""
        return int(self.window_s * SECOND) if self.processes else 0


class Config(KeepingConfig):
    """Everything that can be set. Times in the unit their names end with."""

    data: Path = Field(default=DEFAULT_DATA, strict=False)
    interfaces: tuple[str, ...] = Field(default=(), strict=False, max_length=16)
    hold_back_s: float = Field(default=5.0, ge=2, le=30)
    commit_s: float = Field(default=2.0, ge=0.2, le=10)
    part_minutes: float = Field(default=15.0, ge=1, le=24 * 60)
    media_silence_s: float = Field(default=3600.0, ge=5, le=7 * 24 * 3600)
    record_unsignalled: bool = False
    ring: RingConfig = RingConfig()
    pause: PauseConfig = PauseConfig()
    digits: DigitsConfig = DigitsConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    live: LiveListenSettings = LiveListenSettings()
    api: ApiSettings = ApiSettings()
    access: AccessSettings = AccessSettings()
    sign_on: SignOnSettings = SignOnSettings()
    triggers: TriggersConfig = TriggersConfig()
    keys: KeysConfig = KeysConfig()
    stamps: StampsConfig = StampsConfig()
    clock: ClockConfig = ClockConfig()
    canary: CanaryConfig = CanaryConfig()
    expiry: ExpiryConfig = ExpiryConfig()
    approval: ApprovalConfig = ApprovalConfig()
    store: StoreConfig = StoreConfig()
    scrub: ScrubSettings = ScrubSettings()
    backup: BackupSettings = BackupSettings()
    subjects: SubjectsConfig = SubjectsConfig()
    ledger: LedgerConfig = LedgerConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    inventory: InventoryConfig = InventoryConfig()
    catalogue: CatalogueSettings = CatalogueSettings()
    rules: tuple[RuleConfig, ...] = Field(default=(), strict=False, max_length=256)
    review: tuple[PlanConfig, ...] = Field(default=(), strict=False, max_length=256)
    storage: tuple[StorageTarget, ...] = Field(default=(), strict=False, max_length=8)

    @field_validator("storage")
    @classmethod
    def _target_names(cls, targets: tuple[StorageTarget, ...]) -> tuple[StorageTarget, ...]:
        return names_differ(targets)

    @model_validator(mode="after")
    def _keep_local(self) -> Self:
        if days_kept(self.store.keep_local) is not None and not self.storage:
            raise ValueError("store.keep_local: nothing may leave this machine while no [[storage]] is configured")
        return self

    @model_validator(mode="after")
    def _tells_before_it_erases(self) -> Self:
        if self.store.room is not None and self.alarms.disk_free_percent <= self.store.erase_below_percent:
            raise ValueError("alarms.disk_free_percent: an alarm must come before store.erase_below_percent is reached")
        return self

    @field_validator("rules", "review")
    @classmethod
    def _rule_names(cls, rules: tuple[RuleConfig | PlanConfig, ...]) -> tuple[RuleConfig | PlanConfig, ...]:
        if len({rule.name for rule in rules}) < len(rules):
            raise ValueError("two rules have one name")
        return rules

    @model_validator(mode="after")
    def _channels(self) -> Self:
        known = {f"ami:{one.name}" for one in self.triggers.ami} | {f"esl:{one.name}" for one in self.triggers.esl}
        for one in self.pause.depends:
            if one.on == "api" and not self.api.enabled:
                raise ValueError('pause.depends: on = "api" needs the API, and api.enabled is false')
            if one.on != "api" and one.on not in known:
                raise ValueError(f"pause.depends: {one.on} is no PBX that [[triggers]] names")
        return self

    @field_validator("interfaces")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not 0 < len(name) <= _INTERFACE_NAME or "/" in name or any(letter.isspace() for letter in name):
                raise ValueError(f"{name!r} is no name of an interface")
        if len(set(names)) < len(names):
            raise ValueError("an interface is named twice")
        return names


class ConfigErrors(ConfigError):
    """Several keys are wrong. errors: one each."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__(errors[0].what, errors[0].where, errors[0].next_step)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def load(
    file: Path | None = None, options: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Return the configuration in force.

    options: values given on the command line by key; None stands for not given. Raises ConfigErrors, StoreError.
    """
    environ = os.environ if environ is None else environ
    found = config_file(file, environ)
    config = checked(read_toml(found), str(found)) if found is not None else Config()
    over: dict[str, Any] = {}
    if environ.get(DATA_VARIABLE):
        over["data"] = environ[DATA_VARIABLE]
    over.update({name: value for name, value in (options or {}).items() if value is not None})
    # One value may be wrong by itself only: the file was checked before, so what fails now was given here.
    if over:
        config = checked({**config.model_dump(exclude_unset=True), **over}, "the command line")
    below = read_settings(config.data)
    given = config.model_dump(exclude_unset=True)
    return checked(under(below, given), str(config.data / SETTINGS_FILE)) if below else config


def checked(values: Mapping[str, Any], where: str) -> Config:
    """Return values as a configuration. where: named in errors. Raises ConfigErrors."""
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigErrors([_explained(dict(one), where) for one in error.errors()]) from error


def _explained(error: dict[str, Any], where: str) -> ConfigError:
    key = ".".join(str(step) for step in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return ConfigError(f"{key}: there is no such key", where, f"the keys are {', '.join(_keys())}")
    expected = str(error["msg"]).removeprefix("Value error, ")
    # What may hold a password is not told back: errors are mailed and logged.
    is_told = error["type"] != "missing" and "password" not in expected
    given = f", not {_short(error.get('input'))}" if is_told else ""
    return ConfigError(f"{key}: {expected[:1].lower()}{expected[1:]}{given}", where, f"mend {key}")


def _keys() -> list[str]:
    found = []
    for name, about in Config.model_fields.items():
        section = about.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found += [f"{name}.{key}" for key in section.model_fields]
        else:
            found.append(name)
    return sorted(found, key=lambda name: "." in name)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
