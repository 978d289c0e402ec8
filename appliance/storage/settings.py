"""What can be set about storage targets: the tables [[storage]]."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ALWAYS: Final = "always"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,7}")
_DAYS: Final = re.compile(r"days: ([1-9]\d{0,3})")

Promised = Literal["none", "governance", "compliance", "immutable"]


def _named(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("small letters, digits, dashes and underscores are expected, 32 at most")
    return text


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("an address such as https://s3.example.org is expected, without a path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no password in an address: it is shown and stored; use credentials_file")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError("https:// is expected: http:// only to this machine")
    return text


def _prefix(text: str) -> str:
    if text and (not _PREFIX.fullmatch(text) or ".." in text.split("/") or "." in text.split("/")):
        raise ValueError("names of letters, digits, dots and dashes are expected, with / between them")
    return text


def _kept(text: str) -> str:
    if text != ALWAYS and not _DAYS.fullmatch(text):
        raise ValueError('"always" or "days: N" is expected')
    return text


KeepLocal = Annotated[str, AfterValidator(_kept)]


def days_kept(keep_local: str) -> int | None:
    """Return after how many days what is kept elsewhere may leave the disk; None for never.

    >>> days_kept("days: 30"), days_kept("always")
    (30, None)
    """
    found = _DAYS.fullmatch(keep_local)
    return int(found[1]) if found else None


class StorageTarget(BaseModel):
    """A table [[storage]]: a bucket at an endpoint, or a path. lock: what the target promises."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, AfterValidator(_named)]
    path: Path | None = Field(default=None, strict=False)
    mounted: bool = False  # something must be mounted at the path
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    bucket: str | None = Field(default=None, min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]+$")
    region: str = Field(default="us-east-1", min_length=1, max_length=64, pattern=r"^[a-z0-9-]+$")
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(default="", max_length=200)
    credentials_file: Path | None = Field(default=None, strict=False)
    ca_file: Path | None = Field(default=None, strict=False)
    timeout_s: float = Field(default=30.0, ge=1, le=600)
    lock: Promised = "none"
    verify: Literal["read", "checksum"] = "read"
    mb_per_s: float = Field(default=20.0, ge=0.1, le=10_000)
    late_after_hours: float = Field(default=24.0, ge=0.1, le=24 * 31)
    check_days: float = Field(default=90.0, ge=1, le=3660)

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.path is None) == (self.bucket is None):
            raise ValueError("path or bucket is expected, one of the two")
        if (self.endpoint is None) != (self.bucket is None):
            raise ValueError("bucket and endpoint belong together")
        if self.path is not None and not self.path.is_absolute():
            raise ValueError("path begins with /")
        if self.bucket is not None and (self.lock == "immutable" or self.mounted):
            raise ValueError("lock = immutable and mounted mean something with a path only")
        if self.path is not None and self.lock in ("governance", "compliance"):
            raise ValueError("lock = governance and compliance mean something with a bucket only")
        return self

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return str(self.path) if self.path is not None else f"{self.endpoint}/{self.bucket}"


def names_differ(targets: tuple[StorageTarget, ...]) -> tuple[StorageTarget, ...]:
    """Return the targets. ValueError when two have one name."""
    if len({one.name for one in targets}) < len(targets):
        raise ValueError("two storage targets have one name")
    if len({(one.where, one.prefix) for one in targets}) < len(targets):
        raise ValueError("two storage targets are one place")
    return targets


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
