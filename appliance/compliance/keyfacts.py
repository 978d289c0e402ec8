"""What is known of the keys that open recordings."""

from __future__ import annotations

from pathlib import Path

from vittne.appliance.seal.keys import archive_key_warning
from vittne.appliance.store.errors import StoreError


def keys_lack(data: Path) -> str:
    """Say what the keys lack, or why nobody can say; "" when nothing."""
    try:
        return archive_key_warning(data) or ""
    except StoreError as error:
        return str(error)
