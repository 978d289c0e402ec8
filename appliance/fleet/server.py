"""From the settings to the database: which schema, and the password, which is read anew for each connection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.keyring.secretfile import read_secret
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer

CREDENTIAL: Final = "catalogue"  # of systemd
READER_CREDENTIAL: Final = "catalogue-reader"
PREFIX: Final = "box_"


def schema_of(ledger: str) -> str:
    """Return the schema of a recorder by its ledger's name, which no two have.

    >>> schema_of("vittne/0123456789abcdef")
    'box_0123456789abcdef'
    """
    name = ledger.rsplit("/", 1)[-1].lower()
    return PREFIX + "".join(one if one.isascii() and one.isalnum() else "_" for one in name)[:40]


def server_of(settings: CatalogueSettings, schema: str, environ: Mapping[str, str] | None = None) -> DatabaseServer:
    """Return where a recorder's part of the shared catalogue is."""
    path = settings.password_file or _credential(CREDENTIAL, environ)
    return DatabaseServer(settings.url, schema, lambda: _password(path), settings.ca_file)


def all_of(settings: CatalogueSettings, environ: Mapping[str, str] | None = None) -> DatabaseServer:
    """Return the shared catalogue as its reader sees it. Raises StoreError where nobody may read all of it."""
    if not settings.url or not settings.reader:
        what = "no shared catalogue is configured, or nobody who may read all of it"
        raise StoreError(what, "[catalogue]", "set catalogue.url, catalogue.reader and its password")
    parts = urlsplit(settings.url)
    url = urlunsplit(parts._replace(netloc=f"{settings.reader}@{parts.netloc.rpartition('@')[2]}"))
    path = settings.reader_password_file or _credential(READER_CREDENTIAL, environ)
    return DatabaseServer(url, "pg_catalog", lambda: _password(path), settings.ca_file)


def _credential(name: str, environ: Mapping[str, str] | None) -> Path | None:
    folder = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    held = Path(folder) / name if folder else None
    return held if held is not None and held.exists() else None


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return read_secret(path).decode()
    except UnicodeDecodeError:
        raise StoreError("the password is no text", path, "write it in UTF-8") from None
