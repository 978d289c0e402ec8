"""[catalogue]: the catalogue that several recorders share, in PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vittne.appliance.store.address import address_of

_ROLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def _database(text: str) -> str:
    if text:
        address_of(text)
    return text


def _console(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme != "https" or not parts.hostname or parts.query or parts.username is not None):
        raise ValueError("an address such as https://berlin.example.org is expected")
    return text.rstrip("/")


def _role(text: str) -> str:
    if text and not _ROLE.fullmatch(text):
        raise ValueError("the name of a role in PostgreSQL is expected: small letters, digits, underscores")
    return text


class CatalogueSettings(BaseModel):
    """The section [catalogue]. url: "" for none. name, console: of this recorder, for those who search over several."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: Annotated[str, AfterValidator(_database)] = Field(default="", max_length=300)
    password_file: Path | None = Field(default=None, strict=False)
    ca_file: Path | None = Field(default=None, strict=False)
    reader: Annotated[str, AfterValidator(_role)] = ""  # may read what is searched, and nothing else
    reader_password_file: Path | None = Field(default=None, strict=False)
    name: str = Field(default="", max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")
    console: Annotated[str, AfterValidator(_console)] = Field(default="", max_length=200)
    every_s: float = Field(default=2.0, ge=0.2, le=3600)
    late_after_minutes: float = Field(default=15.0, ge=0.01, le=24 * 60)
