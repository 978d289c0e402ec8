"""What can be set about alarms: the section [alarms]. Nothing is sent anywhere that is not named here.

[alarms.calls]
days = ["mon", "tue", "wed", "thu", "fri"]
time_zone = "Europe/Berlin"

[[alarms.mail]]
name = "duty"
host = "mail.example.org"
sender = "recorder@example.org"
to = ["duty@example.org"]
"""

from __future__ import annotations

import re
from datetime import date, time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vittne.appliance.mailing import MailServer
from vittne.appliance.triggers.settings import Name, Word

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CallsExpected(_Section):
    """When calls are expected: an alarm where none begins for so long. Without days: never. holidays: 2026-12-24."""

    days: tuple[Day, ...] = Field(default=(), strict=False)
    begin: str = "08:00"
    end: str = "18:00"
    time_zone: str = "UTC"
    holidays: tuple[str, ...] = Field(default=(), strict=False, max_length=400)
    without_min: int = Field(default=60, ge=1, le=1440)

    @field_validator("begin", "end")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) and text != "24:00":
            raise ValueError("a time such as 08:00 is expected")
        return text

    @field_validator("holidays")
    @classmethod
    def _are_days(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        for day in days:
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{day[:20]!r} is no day such as 2026-12-24") from None
        return days

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise ValueError(f"{name[:60]!r} is no time zone such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _ends_behind_its_begin(self) -> Self:
        if self.end <= self.begin:
            raise ValueError("end is not behind begin: hours belong to one day")
        return self

    @property
    def hours(self) -> tuple[time, time | None]:
        """From when to when; None for midnight."""
        return time.fromisoformat(self.begin), None if self.end == "24:00" else time.fromisoformat(self.end)


class ToldSettings(_Section):
    """What all channels have. weight: from which on; only: names of alarms, as docs/alarms.md has them; none: all."""

    name: Name
    weight: Literal["warn", "bad"] = "warn"
    only: tuple[str, ...] = Field(default=(), strict=False, max_length=64)

    @field_validator("only")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from vittne.appliance.events.alarmlist import ALARMS, UNLISTED  # noqa: PLC0415 - where some are named

        known = {kind.name for kind in (*ALARMS.values(), UNLISTED)}
        for name in names:
            if name not in known:
                raise ValueError(f"there is no alarm {name[:40]!r}; `vittne alarms --names` lists them")
        return names


class AlarmMail(ToldSettings, MailServer):
    """Mailboxes that are told."""


class AlarmSnmp(ToldSettings):
    """A manager that gets SNMPv2 traps, or informs, which it confirms. oid: below which ours are (VITTNE-MIB)."""

    host: Word
    port: int = Field(default=162, ge=1, le=65_535)
    version: Literal["2c", "3"] = "3"
    inform: bool = False
    community_file: Path | None = Field(default=None, strict=False)
    user: Word | None = None
    auth: Literal["sha", "sha256", "sha512"] = "sha256"
    auth_file: Path | None = Field(default=None, strict=False)
    privacy: Literal["aes128", "aes256"] = "aes128"
    privacy_file: Path | None = Field(default=None, strict=False)
    oid: str = Field(default="1.3.6.1.4.1.8072.9999.9999.7487", pattern=r"^1\.3(\.(0|[1-9]\d{0,8}))+$", max_length=120)

    @model_validator(mode="after")
    def _secrets_of_its_version(self) -> Self:
        of_three = (self.user, self.auth_file, self.privacy_file)
        if self.version == "2c" and (self.community_file is None or any(of_three)):
            raise ValueError('version = "2c" needs community_file, and neither user nor auth_file nor privacy_file')
        if self.version == "3" and (self.community_file is not None or not all(of_three)):
            raise ValueError('version = "3" needs user, auth_file and privacy_file, and no community_file')
        return self


class AlarmsConfig(_Section):
    """The section [alarms]. gather_s: how long a mail waits for more; silent_s: 0 for never."""

    disk_free_percent: float = Field(default=5.0, ge=0.1, le=90)
    disk_days: float = Field(default=7.0, ge=0, le=365)
    mirror_silent_s: float = Field(default=300.0, ge=0, le=86_400)
    calls: CallsExpected = CallsExpected()
    language: Literal["en", "de", "es", "sv"] = "en"
    gather_s: float = Field(default=20.0, ge=0, le=3600)
    mails_per_hour: int = Field(default=12, ge=1, le=1000)
    mail: tuple[AlarmMail, ...] = Field(default=(), strict=False, max_length=8)
    snmp: tuple[AlarmSnmp, ...] = Field(default=(), strict=False, max_length=8)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [one.name for one in (*self.mail, *self.snmp)]
        if len(set(names)) < len(names):
            raise ValueError("two channels have one name")
        return self
