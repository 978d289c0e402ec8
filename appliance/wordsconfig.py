"""The words by which rules of the configuration say which calls they are about, see capture/conditions.py.

callers = ["+4930*"]              numbers, prefixes with a *, ranges "200..299"
hours = ["mon-fri 08:00-18:00"]   by the clock of [site]
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.ruleconfig import HEADER, Networks, Text, Texts
from vittne.capture.conditions import Condition, Direction, HeaderIs, Hours, number_range

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = "|".join(_DAYS)
_HOURS: Final = re.compile(
    rf"(?:({_DAY})(?:-({_DAY}))?)?(?: ?(\d\d):(\d\d)-(\d\d):(\d\d))?",
)
# The same that an auditor looks for in the ledger: names of rules stand in manifests, which nobody erases.
_PERSONAL: Final = re.compile(r"\d{7}|@")


def _hours(text: str) -> str:
    read_hours(text)
    return text


def _number(text: str) -> str:
    if ".." in text and number_range(text) is None:
        raise ValueError(f"{text[:60]!r} is no range such as 200..299, the smaller number first")
    return text


def _name(text: str) -> str:
    if _PERSONAL.search(text):
        raise ValueError("a name stands in manifests, which are never erased: no telephone number, no address in it")
    return text


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - only where one is named

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone; one is called Europe/Berlin") from None
    return name


Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_name)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Numbers = Annotated[
    tuple[Annotated[Text, AfterValidator(_number)], ...],
    Field(strict=False, max_length=1024),
]


class Section(BaseModel):
    """What tables of the configuration are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Words(Section):
    """Which calls a rule is about; nothing given: all."""

    callers: Numbers = ()
    callees: Numbers = ()
    extensions: Numbers = ()
    agents: Texts = ()
    networks: Networks = ()
    header: str = ""
    value: Text = "*"
    directions: tuple[Direction, ...] = Field(default=(), strict=False, max_length=4)
    domains: Texts = ()
    codecs: Texts = ()
    sites: Texts = ()
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] = Field(default=(), strict=False, max_length=64)

    @model_validator(mode="after")
    def _header_is_one(self) -> Self:
        if self.header and not HEADER.fullmatch(self.header):
            raise ValueError("this is no name of a SIP header")
        if "value" in self.model_fields_set and not self.header:
            raise ValueError("value belongs to a header")
        return self

    def condition(self, zone: str) -> Condition:
        """Return it as the capture side takes it. zone: of the hours."""
        return Condition(
            callers=self.callers,
            callees=self.callees,
            numbers=self.extensions,
            agents=self.agents,
            networks=tuple(ipaddress.ip_network(text) for text in self.networks),
            header=HeaderIs(self.header, self.value) if self.header else None,
            directions=self.directions,
            domains=self.domains,
            codecs=self.codecs,
            sites=self.sites,
            hours=tuple(map(read_hours, self.hours)),
            zone=zone,
        )

    def told(self) -> str:
        """Return it in words, for people; "all calls" when nothing is given."""
        words = [f"{name} {', '.join(getattr(self, name))}" for name in _LISTS if getattr(self, name)]
        words += [f"{self.header}: {self.value}"] if self.header else []
        return "; ".join(words) or "all calls"


_LISTS: Final = (
    "callers",
    "callees",
    "extensions",
    "agents",
    "networks",
    "directions",
    "domains",
    "codecs",
    "sites",
    "hours",
)


def read_hours(text: str) -> Hours:
    """Return the hours that a text says. ValueError when it says none.

    >>> read_hours("sat-sun 22:00-06:00").days == frozenset({5, 6})
    True
    """
    found = _HOURS.fullmatch(text.strip().lower())
    if found is None or not found[0]:
        raise ValueError(f"{text[:60]!r} is no time such as mon-fri 08:00-18:00, sat, or 22:00-06:00")
    first, last = (_DAYS.index(day) if day else None for day in found.group(1, 2))
    begin = 0 if first is None else first
    end = 6 if first is None else begin if last is None else last
    days = frozenset((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    if found[3] is None:
        return Hours(days)
    hour, minute, to_hour, to_minute = map(int, found.group(3, 4, 5, 6))
    if hour > 23 or minute > 59 or to_minute > 59 or to_hour * 60 + to_minute > 24 * 60:
        raise ValueError(f"{text[:60]!r}: a day has 24 hours")
    return Hours(days, hour * 60 + minute, to_hour * 60 + to_minute)
