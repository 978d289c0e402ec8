"""The access key of a bucket: two lines in a private file, or a credential of systemd. Never argv, never a variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vittne.appliance.keyring.secretfile import read_secret
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import TargetAway
from vittne.appliance.store.errors import StoreError


def credentials_of(settings: StorageTarget, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return (id, secret) of the access key: from credentials_file, else from systemd's credential storage-NAME.

    Raises TargetAway, never with the secret in it.
    """
    folder = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    path = settings.credentials_file or (Path(folder) / f"storage-{settings.name}" if folder else None)
    if path is None:
        next_step = f"set credentials_file, or give the credential storage-{settings.name}"
        raise TargetAway("there is no access key for this bucket", settings.name, next_step)
    try:
        lines = read_secret(path).decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise TargetAway("the access key is no text", path, "write its id and its secret, a line each") from None
    except StoreError as error:
        raise TargetAway(error.what, error.where, error.next_step) from error
    key, secret = (line.strip() for line in lines) if len(lines) == 2 else ("", "")
    if not key or not secret or not (key + secret).isprintable() or " " in key + secret:
        raise TargetAway("the access key is not two lines", path, "write its id and its secret, a line each")
    return key, secret
