"""What a backup holds of keys/, so that who gets the backup alone can neither hear nor sign.

- public halves, as they are;
- the archive key, as it is, if it is under a passphrase (or whatever else keeps it); one that lies open is left out;
- all other secrets (the key that signs, the API's) in one box, secrets.json, that only the archive key opens.

A box is made without any secret: a new key, in a capsule for the archive, and AES-256-GCM under it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vittne.appliance.backup.copying import copy_file
from vittne.appliance.backup.place import NoBackup, make_folders
from vittne.appliance.keyring.changes import PENDING_FILE
from vittne.appliance.keyring.ring import RING_FILE, parse_ring, read_ring
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.seal.keys import ArchiveKey, CapsuleRefused, KeysMissing, make_capsule, open_capsule, unlock
from vittne.appliance.seal.ledgerstate import HEAD_FILE
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import write_atomically

BOX_FILE: Final = "secrets.json"
ARCHIVE_KEY_FILE: Final = RING_FILE
_PUBLIC: Final = (".pub", ".pub.pem", ".vkey")
_LEFT_OUT: Final = (HEAD_FILE, PENDING_FILE)  # of a moment
_WHERE: Final = "00000000-0000-0000-0000-000000000000"
_NONCE: Final = 12
_ABOUT: Final = b"vittne backup secrets/1"


def is_sealed(data_dir: Path) -> bool:
    """Say whether the root is under a passphrase, a token or a TPM, so that a copy of it does not lie open."""
    try:
        return not read_ring(data_dir).is_open
    except KeysMissing:
        return False


def open_archive(data_dir: Path) -> Vault:
    """Unlock the keys of a data directory; the passphrase comes from where it always does. Raises StoreError."""
    return unlock(data_dir)


def copy_keys(data_dir: Path, staging: Path) -> bool:
    """Copy what may be copied of the keys; return whether the archive key is with them. Raises StoreError."""
    keys = data_dir / "keys"
    target = staging / "keys"
    make_folders(target)
    secrets: dict[str, bytes] = {}
    sealed = is_sealed(data_dir)
    try:
        for path in sorted(path for path in keys.iterdir() if path.is_file() and path.name[0] != "."):
            if path.name == ARCHIVE_KEY_FILE:
                if sealed:
                    copy_file(path, target / path.name, lambda _: None)
            elif path.name.endswith(_PUBLIC):
                copy_file(path, target / path.name, lambda _: None)
            elif path.name not in _LEFT_OUT:
                secrets[f"keys/{path.name}"] = path.read_bytes()
        for path in sorted((data_dir / "tls").glob("*.pem")):
            secrets[f"tls/{path.name}"] = path.read_bytes()
    except OSError as error:
        raise explain(error, "copy keys", target) from error
    write_atomically(staging / BOX_FILE, seal_box(data_dir, secrets))
    return sealed


def copied_epoch(snapshot: Path) -> int | None:
    """Return the epoch of the keys in a snapshot; None when they are not in it. Raises StoreError."""
    path = snapshot / "keys" / ARCHIVE_KEY_FILE
    try:
        return parse_ring(path.read_bytes(), path).epoch.number
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain(error, "read a backup", path) from error


def seal_box(data_dir: Path, secrets: Mapping[str, bytes]) -> bytes:
    """Return secrets, by their paths below the data directory, as only the archive key opens them."""
    key, nonce = os.urandom(32), os.urandom(_NONCE)
    capsule = make_capsule(ArchiveKey.load_public(data_dir), key, _WHERE, 0)
    told = json.dumps({name: base64.b64encode(data).decode() for name, data in secrets.items()})
    sealed = AESGCM(key).encrypt(nonce, told.encode(), _ABOUT)
    return json.dumps({"v": 1, "capsule": capsule, "box": base64.b64encode(nonce + sealed).decode()}).encode() + b"\n"


def open_box(path: Path, vault: Vault) -> dict[str, bytes]:
    """Return what is in a box. Raises NoBackup."""
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        box = base64.b64decode(said["box"])
        inner = open_capsule(vault.archive, said["capsule"], _WHERE, 0)
        told = json.loads(AESGCM(inner).decrypt(box[:_NONCE], box[_NONCE:], _ABOUT))
        return {_below(name): base64.b64decode(data) for name, data in told.items()}
    except CapsuleRefused as error:
        raise NoBackup(str(error), path, "give the archive key that was in use then: --archive-key") from error
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoBackup("the box of secrets was altered", path, "take another --snapshot") from error
    except OSError as error:
        raise explain(error, "read a backup", path) from error


def _below(name: str) -> str:
    folder, _, file = name.partition("/")
    if folder not in ("keys", "tls") or not file or "/" in file or file[0] == ".":
        raise ValueError("a path that leads elsewhere")
    return name
