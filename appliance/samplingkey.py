"""The key of the hash that says which calls a percentage takes: DIR/keys/sampling.key, made once.

Whoever knew it could make up Call-IDs that are not recorded; nothing else hangs on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vittne.appliance.store.keyfile import KeyFile

FILE: Final = "sampling.key"


def sampling_key(data_dir: Path) -> bytes:
    """Return the key of a data directory, and make it if there is none. Raises StoreError."""
    remedy = "restore it, or delete it: other calls are chosen then"
    return KeyFile(data_dir / "keys" / FILE, "the key of sampling", remedy).read_or_make()
