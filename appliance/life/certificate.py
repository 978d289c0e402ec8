"""The deletion certificate: a signed sheet that says that a recording was erased, when, why and by whom.

DIR/certificates/<recording>.json   canonical JSON, no personal data of the parties
DIR/certificates/<recording>.sig    64 bytes: Ed25519 over it as it is, by the ledger's key

openssl pkeyutl -verify -pubin -inkey ledger.pub.pem -rawin -in <recording>.json -sigfile <recording>.sig
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vittne.appliance.life.table import Erasure
from vittne.appliance.seal.canonical import Json, canonical
from vittne.appliance.seal.signing import SigningKey, VerifyKey
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import checked_id, open_plain
from vittne.appliance.store.times import rfc3339

FOLDER: Final = "certificates"
TYPE: Final = "vittne-deletion-certificate"
FINAL: Final = (
    "at the first key epoch after this time: until then a copy of keys.db that was made before it still opens the "
    "recording, where somebody also has its files from before"
)
_LIMIT: Final = 65_536


def write_certificate(data_dir: Path, erasure: Erasure, key: SigningKey) -> Path:
    """Write an erasure's certificate; one that is there and signed stays. Not synced. Raises StoreError."""
    folder = data_dir / FOLDER
    path = folder / f"{checked_id(erasure.recording)}.json"
    if _is_signed(path, key.verifier):
        return path
    said: dict[str, Json] = {
        "type": TYPE,
        "v": 1,
        "rec": erasure.recording,
        "manifest": erasure.manifest,
        "erased_at": rfc3339(erasure.at_us),
        "word": erasure.word,
        "reason": erasure.reason,
        "by": erasure.by,
        "approvers": list(erasure.approvers),
        "entry": erasure.entry,
        "final": FINAL,
        "signer": key.verifier.text(),
    }
    data = canonical(said)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write(path.with_suffix(".sig"), key.sign(data))
        _write(path, data)
    except OSError as error:
        raise explain(error, "write a certificate", path) from error
    return path


def read_certificate(data_dir: Path, recording: str, key: VerifyKey) -> tuple[bytes, bytes]:
    """Return a certificate and its signature, once that holds. Raises StoreError."""
    path = data_dir / FOLDER / f"{checked_id(recording)}.json"
    if not path.exists():
        raise StoreError("there is no deletion certificate", recording, "was it erased? see `vittne history`")
    if not _is_signed(path, key):
        raise StoreError("the certificate is not signed by the ledger's key", path, "see `vittne verify`")
    return _read(path), _read(path.with_suffix(".sig"))


def is_certified(data_dir: Path, folder: Path, key: VerifyKey) -> bool:
    """Say whether a folder holds no part, and a certificate says that this is so."""
    if any(folder.glob("part-*")):
        return False
    path = data_dir / FOLDER / f"{folder.name}.json"
    return _is_signed(path, key) and f'"rec":"{folder.name}"'.encode() in _read(path)


def _is_signed(path: Path, key: VerifyKey) -> bool:
    try:
        return key.accepts(_read(path.with_suffix(".sig")), _read(path))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise explain(error, "read a certificate", path) from error


def _read(path: Path) -> bytes:
    with open_plain(path) as stream:
        return stream.read(_LIMIT)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as stream:
        stream.write(data)
