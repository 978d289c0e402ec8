"""Rules that pause and resume by what the mirrored signalling shows: the tables [[rules]] of the configuration.

[[rules]]
name = "record key"          # telephones with a record key: INFO with `Record: off`
on = "request"
method = "INFO"
header = "Record"
value = "off"
then = "pause"
networks = ["10.0.0.0/8"]    # only from here

[[rules]]
name = "payment line"
on = "number"
numbers = ["8500", "+49301234567"]
then = "pause"
resume_on_leave = true

[[rules]]
name = "star code"
on = "digits"
digits = "*123"
users = ["2??"]              # agents' extensions: the outside party must not stop the recording
then = "pause"
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.datadir import ConfigError
from vittne.capture.rules import DECISIONS, Network, On, Rule, Then

_DIGITS: Final = re.compile(r"[0-9*#A-D]{2,12}")
HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "request": ("header", "body"),
    "number": ("numbers", "hosts"),
    "digits": ("digits",),
    "sdp": (),
    "siprec": (),
}
_OF_ALL: Final = frozenset({"name", "on", "then", "networks", "users", "anyone"})
_BELONGS: Final[dict[str, frozenset[str]]] = {
    "request": frozenset({"method", "header", "value", "body"}),
    "number": frozenset({"numbers", "hosts", "resume_on_leave"}),
    "digits": frozenset({"digits"}),
    "sdp": frozenset(),
    "siprec": frozenset(),
}
_EITHER_WAY: Final = frozenset({"digits", "sdp", "siprec"})  # what pauses by these resumes by them as well
_NOT_CAPTURES: Final = frozenset({"networks", "anyone"})


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no network such as 10.0.0.0/8") from None
    return text


Text = Annotated[str, Field(min_length=1, max_length=256)]
Texts = Annotated[tuple[Text, ...], Field(strict=False, max_length=256)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Field(strict=False, max_length=64)]


class RuleConfig(BaseModel):
    """One rule, see capture/rules.py."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Text
    on: On
    then: Then = "pause"
    method: str = ""
    header: str = ""
    value: Text = "*"
    body: str = Field(default="", max_length=1024)
    numbers: Texts = ()
    hosts: Texts = ()
    resume_on_leave: bool = False
    digits: str = ""
    networks: Networks = ()
    users: Texts = ()
    anyone: bool = False  # said on purpose: the outside party may have it fire

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needs = _NEEDS[self.on]
        if needs and not any(getattr(self, name) for name in needs):
            raise ValueError(f'on = "{self.on}" needs {" or ".join(needs)}')
        strange = sorted(self.model_fields_set - _OF_ALL - _BELONGS[self.on])
        if strange:
            raise ValueError(f'{strange[0]} means nothing with on = "{self.on}"')
        if self.then in DECISIONS and self.on in ("sdp", "siprec"):
            raise ValueError(f'on = "{self.on}" pauses and resumes; it decides no gate')
        if self.on == "digits" and not _DIGITS.fullmatch(self.digits):
            raise ValueError("digits are 2 to 12 of 0 to 9, *, #, A to D")
        if self.anyone and (self.users or self.networks):
            raise ValueError("anyone = true and networks or users contradict each other: leave one out")
        if self.on == "digits" and self.obeys_anybody:
            raise ValueError("digits need users or networks: whom you record must not be able to stop the recording")
        if self.header and not HEADER.fullmatch(self.header):
            raise ValueError("this is no name of a SIP header")
        if self.method and not self.method.isupper():
            raise ValueError("a method is written in capitals, such as INFO")
        return self

    @property
    def obeys_anybody(self) -> bool:
        """Whether whoever is in the call can resume by it, or pause by keys, and nobody said that this is meant."""
        is_meant = self.anyone or self.networks or self.users
        return not is_meant and (self.then == "resume" or self.on in _EITHER_WAY)

    def rule(self) -> Rule:
        """Return it as the capture side takes it."""
        networks: tuple[Network, ...] = tuple(ipaddress.ip_network(text) for text in self.networks)
        values = {name: getattr(self, name) for name in RuleConfig.model_fields if name not in _NOT_CAPTURES}
        return Rule(**values, networks=networks)


def refuse_anybody(configured: tuple[RuleConfig, ...]) -> None:
    """Raise ConfigError for rules by which the outside party could have itself recorded again, or not at all."""
    open_ = [one.name for one in configured if one.obeys_anybody]
    if open_:
        what = f"these rules obey anybody in a call, the outside party too: {', '.join(open_)[:500]}"
        raise ConfigError(what, "rules", "give each networks or users, or write anyone = true if that is meant")


def rules(configured: tuple[RuleConfig, ...]) -> tuple[Rule, ...]:
    """Return all rules as the capture side takes them."""
    return tuple(one.rule() for one in configured)
