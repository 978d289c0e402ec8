"""Secrets of webhooks, and what they sign: Standard Webhooks 1.0 (standardwebhooks.com), v1, HMAC with SHA-256.

A secret is shown once. At rest it is sealed under DIR/keys/webhooks.key: who has the catalogue only, has none of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vittne.appliance.store.errors import StoreError, explain

FILE: Final = "webhooks.key"
PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def new_secret() -> str:
    """Return a secret as it is shown."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def headers_of(secret: str, message: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message. message: its id; at_s: seconds since 1970 UTC, of this try."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message}.{at_s}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def sealed(data_dir: Path, webhook: str, secret: str) -> str:
    """Return a secret as it is kept. Raises StoreError."""
    nonce = os.urandom(_NONCE_BYTES)
    box = ChaCha20Poly1305(_key(data_dir, make=True)).encrypt(nonce, secret.encode(), webhook.encode())
    return base64.b64encode(nonce + box).decode()


def opened(data_dir: Path, webhook: str, kept: str) -> str:
    """Return a secret as it was shown. Raises StoreError."""
    raw = base64.b64decode(kept)
    try:
        cipher = ChaCha20Poly1305(_key(data_dir, make=False))
        return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], webhook.encode()).decode()
    except InvalidTag:
        where = data_dir / "keys" / FILE
        raise StoreError("a webhook's secret does not open", where, "give it a new one") from None


def _key(data_dir: Path, make: bool) -> bytes:
    path = data_dir / "keys" / FILE
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not make:
            raise StoreError("the key of webhooks' secrets is gone", path, "give each webhook a new secret") from None
        return _make(path)
    except OSError as error:
        raise explain(error, "read a key", path) from error
    if len(key) != _SECRET_BYTES:
        raise StoreError("this is no key of webhooks' secrets", path, "restore it, or give each a new secret")
    return key


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(_SECRET_BYTES)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise explain(error, "write a key", path) from error
    return key
