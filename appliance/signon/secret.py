"""Secrets for sources: from a private file, or a credential of systemd; read when needed: a new one counts at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vittne.appliance.keyring.secretfile import read_secret
from vittne.appliance.signon.identity import Away
from vittne.appliance.store.errors import StoreError


def secret_for(name: str, file: Path | None, option: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a secret. name: of systemd's credential; option: that names the file. Raises Away, without the secret."""
    folder = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    path = file or (Path(folder) / name if folder else None)
    if path is None:
        raise Away("there is no secret for this source", name, f"set {option}, or give the credential {name}")
    try:
        text = read_secret(path).decode()
    except UnicodeDecodeError:
        raise Away("the secret is no text", path, "one line is expected") from None
    except StoreError as error:
        raise Away(error.what, error.where, error.next_step) from error
    if not text.isprintable():
        raise Away("the secret is not one line of text", path, "one line is expected")
    return text
