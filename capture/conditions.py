"""What rules about calls look at: the facts of a call, and conditions on them. Pure: values in, a yes or no out.

One set of words serves the rules that say what is recorded (recordrules.py) and, at sealing, those that say for how
long and on what ground it is kept (appliance/policy). What a condition leaves empty is not looked at; of the texts of
one word any may fit; all words must. Texts are globs without regard to case.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from vittne.capture.columns import SECOND
from vittne.capture.numbers import same_number

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Direction = Literal["inbound", "outbound", "internal", "transit"]

_RANGE: Final = re.compile(r"(\+?)(\d{1,18})\.\.(\+?)(\d{1,18})")
_NO_DIGIT: Final = re.compile(r"\D")
_GLOB: Final = frozenset("*?[")
_REMEMBERED: Final = 1 << 16  # answers: a few hundred rules are asked of the same few thousand numbers again and again


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call. Users are the user parts of SIP addresses; addresses those of its signalling's ends."""

    callers: tuple[str, ...] = ()
    callees: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # names of conditions that a message met, see HeaderIs
    domains: tuple[str, ...] = ()  # called
    codecs: tuple[str, ...] = ()  # that were agreed on, of voices
    direction: str = ""
    site: str = ""
    at_ns: int = 0  # UTC, when it began
    tags: tuple[str, ...] = ()
    announced: bool = False  # somebody told, or heard, that the legal announcement was played


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of the week: days 0 (Monday) to 6, from one minute of a day to another; over midnight if to <= from."""

    days: frozenset[int]
    from_minute: int = 0
    to_minute: int = 24 * 60

    def covers(self, at_ns: int, zone: str) -> bool:
        """Whether a time lies in it. What goes over midnight belongs to the day it began on."""
        moment = datetime.fromtimestamp(at_ns // SECOND, UTC).astimezone(ZoneInfo(zone))
        minute, day = moment.hour * 60 + moment.minute, moment.weekday()
        if self.from_minute < self.to_minute:
            return day in self.days and self.from_minute <= minute < self.to_minute
        if minute >= self.from_minute:
            return day in self.days
        return minute < self.to_minute and (day - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class HeaderIs:
    """A SIP header with a value. Messages are held against it as they come; its name is what stays as a fact."""

    header: str
    value: str

    @property
    def name(self) -> str:
        return f"{self.header}: {self.value}".casefold()

    def met_by(self, values: Iterable[str]) -> bool:
        """Whether one of the header's values fits."""
        return any(like(value, self.value) for value in values)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies. zone: in which hours are meant."""

    callers: tuple[str, ...] = ()
    callees: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()  # caller or callee
    agents: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    header: HeaderIs | None = None
    directions: tuple[Direction, ...] = ()
    domains: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    hours: tuple[Hours, ...] = ()
    zone: str = "UTC"
    tags: tuple[str, ...] = ()
    announced: bool | None = None

    def meets(self, facts: Facts) -> bool:
        """Whether a call is one that the rule is about."""
        return (
            _any_number(self.callers, facts.callers)
            and _any_number(self.callees, facts.callees)
            and _any_number(self.numbers, (*facts.callers, *facts.callees))
            and _any_like(self.agents, facts.agents)
            and (not self.networks or any(_is_in(address, self.networks) for address in facts.addresses))
            and (self.header is None or self.header.name in facts.headers)
            and (not self.directions or facts.direction in self.directions)
            and _any_like(self.domains, facts.domains)
            and _any_like(self.codecs, facts.codecs)
            and _any_like(self.sites, (facts.site,))
            and (not self.hours or any(hours.covers(facts.at_ns, self.zone) for hours in self.hours))
            and _any_like(self.tags, facts.tags)
            and self.announced in (None, facts.announced)
        )


@lru_cache(maxsize=_REMEMBERED)
def like(text: str, pattern: str) -> bool:
    """Whether a text fits a glob, whatever the case."""
    return fnmatchcase(text.strip().casefold(), pattern.casefold())


def _any_like(patterns: tuple[str, ...], texts: Iterable[str]) -> bool:
    return not patterns or any(like(text, pattern) for text in texts for pattern in patterns)


def _any_number(patterns: tuple[str, ...], users: Iterable[str]) -> bool:
    return not patterns or any(is_number(user, pattern) for user in users for pattern in patterns)


@lru_cache(maxsize=_REMEMBERED)
def is_number(user: str, pattern: str) -> bool:
    """Whether a user part is a number (however written), begins with a prefix (`+4930*`), or lies in a range.

    >>> is_number("0049301234", "+4930*"), is_number("215", "200..299"), is_number("2150", "200..299")
    (True, True, False)
    """
    if not user:
        return False
    ends = number_range(pattern)
    if ends is not None:
        text = _plain(user)
        first, last = ends
        return text.isdigit() and len(first) <= len(text) <= len(last) and int(first) <= int(text) <= int(last)
    if _GLOB & set(pattern):
        return like(user, pattern) or like("+" + _plain(user), pattern)
    return same_number(user, pattern)


@lru_cache(maxsize=_REMEMBERED)
def number_range(pattern: str) -> tuple[str, str] | None:
    """Return the first and the last number of a range `200..299`, as digits; None when it is none."""
    found = _RANGE.fullmatch(pattern)
    if found is None or found[1] != found[3] or len(found[2]) > len(found[4]) or int(found[2]) > int(found[4]):
        return None
    return found[2], found[4]


def _plain(user: str) -> str:
    """Return the digits of a number in international form; of what holds anything else, that."""
    text = user.removeprefix("+")
    if text == user and text.startswith("00"):
        text = text[2:]
    digits = _NO_DIGIT.sub("", text)
    return digits if digits and not re.search("[A-Za-z]", text) else text


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def direction_of(callers: Iterable[str], callees: Iterable[str], own: tuple[str, ...]) -> Direction | Literal[""]:
    """Return which way a call goes, by the numbers that are ours; "" when no numbers are said to be."""
    if not own:
        return ""
    from_us, to_us = (
        any(is_number(user, pattern) for user in users for pattern in own) for users in (callers, callees)
    )
    if from_us:
        return "internal" if to_us else "outbound"
    return "inbound" if to_us else "transit"
