"""The root: another passphrase or provider for it, another root, and the way back with recovery shares."""

from __future__ import annotations

import secrets
from pathlib import Path

from vittne.appliance.keyring import changes
from vittne.appliance.keyring.providers import seal
from vittne.appliance.keyring.ring import Root, read_ring
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.keyring.wrapping import new_key
from vittne.appliance.seal import events
from vittne.appliance.store.times import now_us, rfc3339


def reseal(data_dir: Path, vault: Vault, ledger: changes.Books, config: KeysConfig, secret: bytes | None) -> None:
    """Put the same root into a new envelope: another passphrase, or another provider. Raises StoreError.

    Whoever has an old keyring.json and the old passphrase still has the root: if that is to be feared, rotate_root.
    """
    envelope = seal(vault.root, vault.ring.root.id, config, secret)
    event = {"t": events.KEY_SEAL, "key": vault.ring.root.id, "provider": config.provider}
    changes.commit(data_dir, vault, vault.enveloped(envelope), event, ledger)


def rotate_root(data_dir: Path, vault: Vault, ledger: changes.Books, config: KeysConfig, secret: bytes | None) -> None:
    """Make a new root and wrap the ring under it; backups and shares of the old one are void. Raises StoreError."""
    root, root_id, former = new_key(), secrets.token_hex(8), vault.ring.root.id
    told = Root(id=root_id, created=rfc3339(now_us()), envelope=seal(root, root_id, config, secret))
    event = {"t": events.KEY_ROTATE, "kind": "root", "key": root_id, "former": former, "provider": config.provider}
    changes.commit(data_dir, vault, vault.under(root, told), event, ledger, root)


def vault_of(data_dir: Path, root: bytes) -> Vault:
    """Unlock with a root that came from recovery shares. Raises KeysMissing, KeysMismatch."""
    return Vault.open(read_ring(data_dir), root)


def recover(data_dir: Path, vault: Vault, ledger: changes.Books, config: KeysConfig, secret: bytes | None) -> None:
    """Seal a recovered root under a new passphrase or provider. Raises StoreError."""
    envelope = seal(vault.root, vault.ring.root.id, config, secret)
    event = {"t": events.KEY_RECOVER, "key": vault.ring.root.id, "provider": config.provider}
    changes.commit(data_dir, vault, vault.enveloped(envelope), event, ledger)
