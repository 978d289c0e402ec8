"""The key of the hash that says which calls a percentage takes: DIR/keys/sampling.key, made once.

Whoever knew it could make up Call-IDs that are not recorded; nothing else hangs on it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from vittne.appliance.store.errors import StoreError, explain

FILE: Final = "sampling.key"
_BYTES: Final = 32


def sampling_key(data_dir: Path) -> bytes:
    """Return the key of a data directory, and make it if there is none. Raises StoreError."""
    path = data_dir / "keys" / FILE
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise explain(error, "read a key", path) from error
    if len(key) != _BYTES:
        raise StoreError("this is no sampling key", path, "restore it, or delete it: other calls are chosen then")
    return key


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(_BYTES)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise explain(error, "write a key", path) from error
    return key
