"""What can be set for a connection to a PBX: strict values, no unknown keys, no secret among them.

[[triggers.ami]]
name = "pbx1"
host = "10.0.0.5"
username = "vittne"
secret_file = "/etc/vittne/ami-pbx1.secret"
payment_destinations = ["8500", "+4930123456"]
"""

from __future__ import annotations

import ipaddress
import re
import stat
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.datadir import ConfigError
from vittne.appliance.store.errors import explain

_SECRET_LIMIT: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


def _named(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("letters, digits, dots, dashes and underscores are expected, 32 at most")
    return text


def _one_word(text: str) -> str:
    # What is written into a line of a protocol must not be able to end that line.
    if not 0 < len(text) <= 255 or not text.isprintable() or any(letter.isspace() for letter in text):
        raise ValueError("one word without spaces is expected, 255 letters at most")
    return text


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(words)) < len(words):
        raise ValueError("one is named twice")
    return words


Name = Annotated[str, AfterValidator(_named)]
Word = Annotated[str, AfterValidator(_one_word)]
Words = Annotated[tuple[Word, ...], Field(strict=False, max_length=256), AfterValidator(_distinct)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EventNames(_Section):
    """Names of events that mean pause or resume. Upper and lower case are the same."""

    pause: Words
    resume: Words

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if {name.lower() for name in self.pause} & {name.lower() for name in self.resume}:
            raise ValueError("one event cannot mean both pause and resume")
        return self


class LinkSettings(_Section):
    """What both PBXs need."""

    name: Name
    host: Word
    tls: bool = False
    ca_file: Path | None = Field(default=None, strict=False)
    verify: bool = True  # the certificate and the host's name in it
    plain_login: bool = False  # the secret may cross the network readable
    secret_file: Path = Field(strict=False)
    payment_destinations: Words = ()
    resume_on_leave: bool = False

    @property
    def is_private(self) -> bool:
        """Nobody on the network reads along: TLS, or this machine."""
        return self.tls or _is_loopback(self.host)

    @model_validator(mode="after")
    def _tls_where_its_keys_are(self) -> Self:
        if not self.tls and (self.ca_file is not None or not self.verify):
            raise ValueError("ca_file and verify mean something with tls = true only")
        return self


class AmiSettings(LinkSettings):
    """A connection to Asterisk's manager interface."""

    port: int = Field(default=5038, ge=1, le=65535)
    username: Word
    user_events: EventNames = EventNames(pause=("VittnePause",), resume=("VittneResume",))
    call_id_variables: Words = ("SIPCALLID", "CHANNEL(pjsip,call-id)")


class EslSettings(LinkSettings):
    """A connection to FreeSWITCH's event socket."""

    port: int = Field(default=8021, ge=1, le=65535)
    user: Word | None = None  # user@domain of the directory; none: the socket's own password
    custom_events: EventNames = EventNames(pause=("vittne::pause",), resume=("vittne::resume",))

    @model_validator(mode="after")
    def _readable_on_purpose(self) -> Self:
        if not (self.is_private or self.plain_login):
            raise ValueError(
                "the event socket takes its password as plain text only: use tls = true with stunnel in front of "
                "FreeSWITCH, a host on this machine, or plain_login = true"
            )
        return self


class TriggersConfig(_Section):
    """The section [triggers]: the PBXs that are followed."""

    ami: tuple[AmiSettings, ...] = Field(default=(), strict=False, max_length=16)
    esl: tuple[EslSettings, ...] = Field(default=(), strict=False, max_length=16)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for some in (self.ami, self.esl):
            if len({one.name for one in some}) < len(some):
                raise ValueError("two PBXs of one kind have one name")
        return self


def read_secret(path: Path) -> str:
    """Return the one line of a secret's file. Raises ConfigError, StoreError; never with the secret in it."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(path.stat().st_mode)
            raw = stream.read(_SECRET_LIMIT + 1)
    except OSError as error:
        raise explain(error, "read the secret", path) from error
    if mode & stat.S_IROTH:
        raise ConfigError("everybody on this machine can read the secret", path, f"chmod o-rwx {path}")
    try:
        secret = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError("the secret is no text", path, "write it as one line of UTF-8") from None
    if not 0 < len(raw) <= _SECRET_LIMIT or not secret or not secret.isprintable():
        raise ConfigError("the secret is not one line of text", path, "write it as one line and nothing else")
    return secret


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
