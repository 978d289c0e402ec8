"""The keys of an archive, as those use them who seal and open recordings.

    DIR/keys/keyring.json    root, epoch keys and the archive's private key, everything under the root; 0600
    DIR/keys/archive.pub     the archive's public key, PEM: all that the capture worker has
    DIR/keys.db              a data key for each part: in a capsule, or wrapped under a bucket

Who loses the root loses every recording; who has it can hear every one. How the keys hang together is in
FORMAT.md, what makes and changes them in keyring/. The key that signs is in signing.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vittne.appliance.keyring.archive import (
    PUBLIC_FILE,
    ArchivePair,
    ArchivePublic,
    make_capsule,
    open_capsule,
    read_public,
)
from vittne.appliance.keyring.errors import KeysExist, KeysExposed, KeysLocked, KeysMismatch, KeysMissing
from vittne.appliance.keyring.secretfile import passphrase_from
from vittne.appliance.seal.capsule import CapsuleRefused, Kept, KeyStore

if TYPE_CHECKING:  # a capture worker needs none of it
    from vittne.appliance.keyring.opening import OpenKeys
    from vittne.appliance.keyring.vault import Vault

__all__ = [
    "ArchiveKey",
    "ArchivePair",
    "ArchivePublic",
    "CapsuleRefused",
    "Kept",
    "KeyStore",
    "KeysExist",
    "KeysExposed",
    "KeysLocked",
    "KeysMismatch",
    "KeysMissing",
    "archive_key_warning",
    "make_capsule",
    "open_capsule",
    "open_keys",
    "passphrase_from",
    "unlock",
]


class ArchiveKey(ArchivePair):
    """The archive's pair, and where it is. directory is always the data directory, DIR."""

    @staticmethod
    def create(directory: Path) -> ArchivePair:
        """Make the keys of a data directory, durable on return; finish what a crash left. Raises KeysExist."""
        from vittne.appliance.keyring.opening import create_keys  # noqa: PLC0415 - not in a capture worker

        return create_keys(directory).archive

    @staticmethod
    def load_public(directory: Path) -> ArchivePublic:
        """Read archive.pub. Raises KeysMissing, KeysMismatch."""
        return read_public(directory / "keys" / PUBLIC_FILE)

    @staticmethod
    def load_private(directory: Path, passphrase: bytes | None = None) -> ArchivePair:
        """Unlock the archive and return its pair. Raises KeysMissing, -Exposed, -Locked, -Mismatch."""
        return unlock(directory, passphrase).archive


def unlock(directory: Path, passphrase: bytes | None = None) -> Vault:
    """Unlock the archive in this process; without a passphrase by what environment and configuration say.

    Raises KeysMissing, -Exposed, -Locked, -Mismatch.
    """
    from vittne.appliance.keyring.opening import open_vault  # noqa: PLC0415

    return open_vault(directory, passphrase)


def open_keys(directory: Path, passphrase: bytes | None = None) -> OpenKeys:
    """Unlock the archive and open the store of data keys: data_key(recording, part) is what is wanted of it.

    Raises as unlock() does, KeysMissing when there is no keys.db, StoreError.
    """
    from vittne.appliance.keyring.opening import OpenKeys  # noqa: PLC0415

    return OpenKeys(directory, unlock(directory, passphrase))


def archive_key_warning(directory: Path) -> str | None:
    """Say what the keys still lack, for every start of the program; None when nothing. Raises KeysMissing."""
    from vittne.appliance.keyring.opening import keys_warning  # noqa: PLC0415

    return keys_warning(directory)
