"""What can be set about the ledger: how often it is published, and who is told of each checkpoint.

[ledger]
publish_s = 60

[[ledger.syslog]]
name = "siem"
host = "10.0.0.8"
transport = "tls"

Nothing is sent anywhere that is not named here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.mailing import MailServer
from vittne.appliance.seal.cosignature import parse_witness_key
from vittne.appliance.seal.signing import VerifyKey, parse_verifier
from vittne.appliance.triggers.settings import Name, Word

_LONGEST_S = 31 * 86_400.0


def _witness_key(text: str) -> str:
    if parse_witness_key(text) is None:
        raise ValueError("a witness's key is expected: name+id+key, Ed25519 for cosignatures (type 04)")
    return text


def _ledger_key(text: str) -> str:
    if parse_verifier(text) is None:
        raise ValueError("a ledger's key is expected: the line in its keys/ledger.vkey")
    return text


def _prefix(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address such as https://witness.example/prefix is expected")
    if parts.username is not None:
        raise ValueError("it must hold no password")
    return text.rstrip("/")


LedgerKey = Annotated[str, AfterValidator(_ledger_key)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TargetSettings(_Section):
    """What all targets have. every_s: at least so long between two checkpoints, s."""

    name: Name
    every_s: float = Field(default=0.0, ge=0, le=_LONGEST_S)


class SyslogSettings(TargetSettings):
    """A syslog server (RFC 5424), or this machine's own."""

    transport: Literal["udp", "tcp", "tls", "local"] = "tls"
    host: Word | None = None
    port: int | None = Field(default=None, ge=1, le=65_535)
    ca_file: Path | None = Field(default=None, strict=False)
    socket: Path = Field(default=Path("/dev/log"), strict=False)

    @property
    def port_in_force(self) -> int:
        """The port, by the transport when none was given."""
        return self.port or {"udp": 514, "tcp": 601, "tls": 6514, "local": 0}[self.transport]

    @model_validator(mode="after")
    def _host_where_one_is_needed(self) -> Self:
        if (self.host is None) != (self.transport == "local"):
            raise ValueError('host is needed, but for transport = "local"')
        if self.ca_file is not None and self.transport != "tls":
            raise ValueError('ca_file means something with transport = "tls" only')
        return self


class MailSettings(TargetSettings, MailServer):
    """A mailbox. A mail a day, if nothing else is set."""

    every_s: float = Field(default=86_400.0, ge=0, le=_LONGEST_S)

    @model_validator(mode="after")
    def _password_with_its_user(self) -> Self:
        if self.username is not None and self.password_file is None:
            raise ValueError("username and password_file go together")
        return self


class DirectorySettings(TargetSettings):
    """A directory, such as another machine's that is mounted."""

    path: Path = Field(strict=False)
    mounted: bool = False  # it must be a mount point: what lies below an empty one is this machine's own disk


class WitnessSettings(TargetSettings):
    """A witness that cosigns (C2SP tlog-witness)."""

    url: Annotated[str, AfterValidator(_prefix)]
    key: Annotated[str, AfterValidator(_witness_key)]
    ca_file: Path | None = Field(default=None, strict=False)


class LedgerConfig(_Section):
    """The section [ledger]."""

    publish_s: float = Field(default=60.0, ge=1, le=86_400)
    syslog: tuple[SyslogSettings, ...] = Field(default=(), strict=False, max_length=8)
    mail: tuple[MailSettings, ...] = Field(default=(), strict=False, max_length=8)
    directory: tuple[DirectorySettings, ...] = Field(default=(), strict=False, max_length=8)
    witness: tuple[WitnessSettings, ...] = Field(default=(), strict=False, max_length=8)
    witness_of: tuple[LedgerKey, ...] = Field(default=(), strict=False, max_length=64)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [one.name for some in (self.syslog, self.mail, self.directory, self.witness) for one in some]
        if len(set(names)) < len(names):
            raise ValueError("two targets have one name")
        return self

    def witnessed(self) -> list[VerifyKey]:
        """Return the keys of the other ledgers that this recorder is a witness of."""
        return [key for key in map(parse_verifier, self.witness_of) if key is not None]
