"""A backup of the keys in one file, and the proof that it opens.

    {"v": 1, "type": "vittne keys", "at": .., "ring": keyring.json, "ledger": {"vkey": .., "wrapped": ..}}

Everything secret in it is under the root, and the root under passphrase, token, TPM or shares: the file alone opens
nothing. It holds no data keys: those are rows of keys.db, copied as often as recordings are. It is good from one key
epoch to the next (renewal.py), then it is to be made anew and the old one destroyed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vittne.appliance.keyring.archive import make_capsule, open_capsule, read_public
from vittne.appliance.keyring.changes import write_public
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.keyring.errors import KeysExist, KeysLocked, KeysMismatch, KeysMissing
from vittne.appliance.keyring.opening import PROOF_FILE, has_proof, public_path
from vittne.appliance.keyring.ring import FOLDER, Ring, create_ring, make_folder, parse_ring, read_ring, ring_path
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.keyring.wrapping import WrongKey, unwrap_bytes, wrap_bytes
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.seal.signing import KEY_FILE, SigningKey, load_key, load_verifier, parse_verifier, save_key
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import write_atomically

TYPE: Final = "vittne keys"
_LIMIT: Final = 1 << 20
_WHERE: Final = "00000000-0000-0000-0000-000000000000"

Unseal = Callable[[Ring], bytes]  # gives the root of a ring: by passphrase, token or shares


def write_backup(data_dir: Path, vault: Vault, file: Path, at: str) -> None:
    """Write the keys into a file, 0600. Raises KeysLocked while there is no passphrase, KeysExist, StoreError."""
    if vault.ring.is_open:
        raise KeysLocked("the keys have no passphrase: a backup would lie open", file, "vittne keys passphrase")
    if file.exists():
        raise KeysExist("there is a file already", file, "choose another name; destroy old backups after an epoch")
    key = load_key(data_dir / FOLDER)
    ledger = {"vkey": key.verifier.text(), "wrapped": encoded(wrap_bytes(vault.root, key.pem()))}
    told = {"v": 1, "type": TYPE, "at": at, "ring": json.loads(vault.ring.text()), "ledger": ledger}
    write_atomically(file, json.dumps(told, indent=1).encode() + b"\n")


def prove_backup(data_dir: Path, file: Path, unseal: Unseal, at: str) -> str:
    """Open a backup and everything in it, and note that it could be done; return its root's id.

    Raises KeysMissing, KeysLocked, KeysMismatch: then nothing is noted.
    """
    ring, key = _read(file, unseal)
    here = read_ring(data_dir)
    if ring.ring.root.id != here.root.id or ring.ring.pair.kid != here.pair.kid:
        raise KeysMismatch("this backup is from before the keys in use", file, "make a new one, destroy this one")
    secret = secrets.token_bytes(32)
    try:
        capsule = make_capsule(read_public(public_path(data_dir)), secret, _WHERE, 0)
        is_good = open_capsule(ring.archive, capsule, _WHERE, 0) == secret
    except CapsuleRefused:
        is_good = False
    if not is_good or key.verifier.key_id != load_verifier(data_dir / FOLDER).key_id:
        raise KeysMismatch("this is not a backup of the keys in use", file, "make a new one")
    proof: dict[str, Any] = {"root": here.root.id, "archive": here.pair.kid, "epoch": here.epoch.number}
    proof |= {"ledger": key.verifier.key_id.hex(), "at": at}
    write_atomically(data_dir / FOLDER / PROOF_FILE, json.dumps(proof).encode())
    assert has_proof(data_dir, here)
    return here.root.id


def restore(data_dir: Path, file: Path, unseal: Unseal) -> Vault:
    """Put the keys of a backup into a data directory that has none; return them unlocked. Raises StoreError."""
    vault, key = _read(file, unseal)
    make_folder(data_dir)
    if ring_path(data_dir).exists() or (data_dir / FOLDER / KEY_FILE).exists():
        raise KeysExist("there are keys already", data_dir / FOLDER, "move that folder away first")
    save_key(data_dir / FOLDER, key)
    write_public(data_dir, vault.ring)
    create_ring(data_dir, vault.ring)
    return vault


def _read(file: Path, unseal: Unseal) -> tuple[Vault, SigningKey]:
    """Open a backup: its keys unlocked, and the key that signs."""
    try:
        with file.open("rb") as stream:
            told: Any = json.loads(stream.read(_LIMIT))
        if told["v"] != 1 or told["type"] != TYPE:
            raise ValueError("type")
        ring = parse_ring(json.dumps(told["ring"]).encode(), file)
        vkey, wrapped = parse_verifier(told["ledger"]["vkey"]), decoded(told["ledger"]["wrapped"])
        if vkey is None:
            raise ValueError("vkey")
    except FileNotFoundError as error:
        raise KeysMissing("there is no such backup", file, "check its name") from error
    except OSError as error:
        raise explain(error, "read a backup", file) from error
    except (ValueError, KeyError, TypeError) as error:
        raise KeysMismatch("this is no backup of keys", file, "`vittne keys backup` makes one") from error
    vault = Vault.open(ring, unseal(ring))
    try:
        key = SigningKey.from_pem(unwrap_bytes(vault.root, wrapped), vkey)
    except (WrongKey, ValueError) as error:
        raise KeysMismatch("the ledger's key in the backup does not open", file, "make a new backup") from error
    return vault, key
