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

from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.keyfile import KeyFile

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
    box = ChaCha20Poly1305(_key_file(data_dir).read_or_make()).encrypt(nonce, secret.encode(), webhook.encode())
    return base64.b64encode(nonce + box).decode()


def opened(data_dir: Path, webhook: str, kept: str) -> str:
    """Return a secret as it was shown. Raises StoreError."""
    raw = base64.b64decode(kept)
    try:
        cipher = ChaCha20Poly1305(_key_file(data_dir).read())
        return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], webhook.encode()).decode()
    except InvalidTag:
        where = data_dir / "keys" / FILE
        raise StoreError("a webhook's secret does not open", where, "give it a new one") from None


def _key_file(data_dir: Path) -> KeyFile:
    remedy = "restore it, or give each webhook a new secret"
    return KeyFile(data_dir / "keys" / FILE, "the key of webhooks' secrets", remedy)
