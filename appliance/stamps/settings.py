"""What can be set about time stamps: the section [stamps], and the tables [[stamps.authorities]]."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_OID: Final = re.compile(r"[0-2](\.(0|[1-9]\d{0,17})){1,31}")


def _named(text: str) -> str:
    # It becomes part of a folder's name, and stands in the ledger.
    if not _NAME.fullmatch(text):
        raise ValueError("small letters, digits, dashes and underscores are expected, 32 at most")
    return text


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError("an object identifier such as 1.3.6.1.4.1.99999.1 is expected")
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or not text.isprintable():
        raise ValueError("an address that begins with https:// or http:// is expected")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no password in an address: it is shown and stored; use username and password_file")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AuthoritySettings(_Section):
    """A time stamping authority. Without url it is asked by hand: `vittne stamp export` and `import`."""

    name: Annotated[str, AfterValidator(_named)]
    url: Annotated[str, AfterValidator(_address)] | None = None
    ca_file: Path | None = Field(default=None, strict=False)  # roots (PEM) believed to sign tokens
    policy: Annotated[str, AfterValidator(_oid)] | None = None
    hash: Literal["sha256", "sha384", "sha512"] = "sha256"
    username: str | None = Field(default=None, min_length=1, max_length=255, pattern=r"^[^:\x00-\x1f\x7f]+$")
    password_file: Path | None = Field(default=None, strict=False)
    tls_ca_file: Path | None = Field(default=None, strict=False)  # whose TLS certificates are believed
    client_certificate: Path | None = Field(default=None, strict=False)
    client_key: Path | None = Field(default=None, strict=False)
    timeout_s: float = Field(default=10.0, ge=1, le=120)

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together")
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key belong together")
        has_tls = self.tls_ca_file is not None or self.client_certificate is not None
        if has_tls and not self._is_tls:
            raise ValueError("tls_ca_file, client_certificate and client_key mean something with https:// only")
        if self.username is not None and not (self._is_tls or self._is_here):
            raise ValueError("the password would cross the network readable: use https://")
        return self

    @property
    def _is_tls(self) -> bool:
        return self.url is not None and self.url.startswith("https://")

    @property
    def _is_here(self) -> bool:
        host = urlsplit(self.url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.lower() == "localhost"


class StampsConfig(_Section):
    """The section [stamps]."""

    authorities: tuple[AuthoritySettings, ...] = Field(default=(), strict=False, max_length=8)
    every_minutes: float = Field(default=60.0, ge=1, le=7 * 24 * 60)
    late_after_minutes: float = Field(default=180.0, ge=1, le=30 * 24 * 60)
    revocation: bool = True

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len({one.name for one in self.authorities}) < len(self.authorities):
            raise ValueError("two authorities have one name")
        if self.late_after_minutes <= self.every_minutes:
            raise ValueError("late_after_minutes is not longer than every_minutes")
        return self
