"""Making the keys of a data directory, unlocking them in this process, and what is missing for them to be safe."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from vittne.appliance.keyring import changes
from vittne.appliance.keyring.archive import PUBLIC_FILE, read_public
from vittne.appliance.keyring.errors import KeysExist, KeysMismatch, KeysMissing
from vittne.appliance.keyring.providers import TPM2, secret_for, unseal
from vittne.appliance.keyring.ring import FOLDER, Ring, create_ring, make_folder, read_ring, ring_path
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.seal import events
from vittne.appliance.seal.capsule import KeyStore
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

if TYPE_CHECKING:
    from vittne.appliance.keyring.settings import KeysConfig

STORE_FILE: Final = "keys.db"
PROOF_FILE: Final = "backup.json"


def create_keys(data_dir: Path) -> Vault:
    """Make the keys of a data directory, durable on return; finish what a crash left half made. Raises KeysExist.

    The root lies there in clear until a passphrase is set (DESIGN 11.9): somebody who records for the first time should
    not be able to lose everything by forgetting a word.
    """
    make_folder(data_dir)
    if ring_path(data_dir).exists():
        if public_path(data_dir).exists():
            raise KeysExist("there are keys already", ring_path(data_dir), "keep them")
        changes.write_public(data_dir, read_ring(data_dir))
        return open_vault(data_dir)
    vault = Vault.create(secrets.token_hex(8), rfc3339(now_us()))
    event = {"t": events.KEY_CREATE, "kind": "root", "key": vault.ring.root.id, "archive": vault.ring.pair.kid}
    changes.announce(data_dir, vault.ring, event)
    create_ring(data_dir, vault.ring)
    changes.write_public(data_dir, vault.ring)
    return vault


def open_vault(
    data_dir: Path,
    secret: bytes | None = None,
    environ: Mapping[str, str] | None = None,
    config: KeysConfig | None = None,
) -> Vault:
    """Unlock the keys of a data directory in this process.

    secret: the passphrase or PIN; None has it looked for where environment and configuration say. Raises
    KeysMissing, KeysExposed, KeysLocked and its kinds, KeysMismatch.
    """
    ring = read_ring(data_dir)
    check_public(data_dir, ring)
    if secret is None:
        secret = secret_for(ring.provider, os.environ if environ is None else environ, config)
    root = unseal(ring.root.envelope, ring.root.id, secret, str(ring_path(data_dir)))
    return Vault.open(ring, root)


class OpenKeys:
    """Data keys of a data directory whose archive is unlocked in this process."""

    def __init__(self, data_dir: Path, vault: Vault, store: type[KeyStore] = KeyStore) -> None:
        """Open the store of keys as well. Raises KeysMissing, StoreError."""
        if not (data_dir / STORE_FILE).exists():
            raise KeysMissing("there is no store of data keys", data_dir / STORE_FILE, "restore it from a backup")
        self.data_dir = data_dir
        self.vault = vault
        self.store = store(data_dir / STORE_FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def data_key(self, recording_id: str, part_no: int) -> bytes:
        """Return the key of a part, in whatever form it is kept. Raises KeysMissing, CapsuleRefused, StoreError."""
        kept = self.store.get(recording_id, part_no)
        if kept is None:
            raise KeysMissing(f"the key of part {part_no} is gone: nobody can hear it", recording_id, "was it erased?")
        return self.vault.data_key(kept, recording_id, part_no)

    def adopt(self, recording_id: str, site: str, retention: str, month: str) -> int:
        """Wrap all keys of a recording under its bucket, whatever form they have; return how many changed.

        month: YYYY-MM. One transaction; nothing of a capsule stays in the database. Raises CapsuleRefused, StoreError.
        """
        return changes.adopt(self.store, self.vault, recording_id, (site, retention, month))


def public_path(data_dir: Path) -> Path:
    """Return where the capture worker finds the archive's public key."""
    return data_dir / FOLDER / PUBLIC_FILE


def check_public(data_dir: Path, ring: Ring) -> None:
    """See that archive.pub is the ring's. Raises KeysMismatch.

    A public half that is somebody else's would have new recordings sealed for him.
    """
    path = public_path(data_dir)
    if path.exists() and read_public(path).kid not in {pair.kid for pair in ring.archive}:
        raise KeysMismatch("archive.pub is not the archive key's", path, "find out who changed it")


def keys_warning(data_dir: Path) -> str | None:
    """Say what the keys still lack, for every start of the program; None when nothing. Raises KeysMissing."""
    ring = read_ring(data_dir)
    lacks = []
    if ring.is_open:
        lacks.append("have no passphrase (`vittne keys passphrase` sets one)")
    if not has_proof(data_dir, ring):
        lacks.append("have no backup that was proven by opening it (`vittne keys backup`)")
    if ring.provider == TPM2 and not has_shares(ring):
        lacks.append("hang on one TPM and on PCRs without recovery shares (`vittne keys shares`)")
    if not lacks:
        return None
    return f"the keys in {ring_path(data_dir)} {' and '.join(lacks)}: without them no recording can be heard"


def has_shares(ring: Ring) -> bool:
    """Say whether recovery shares of the present root were made."""
    return ring.shares is not None and ring.shares.root == ring.root.id


def has_proof(data_dir: Path, ring: Ring) -> bool:
    """Say whether a backup of the present keys was proven by opening it."""
    try:
        proof = json.loads((data_dir / FOLDER / PROOF_FILE).read_bytes())
        held = (proof["root"], proof["archive"], proof["ledger"])
        return bool(held == (ring.root.id, ring.pair.kid, load_verifier(data_dir / FOLDER).key_id.hex()))
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return False
