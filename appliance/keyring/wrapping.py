"""AES key wrap, as the whole hierarchy uses it: RFC 3394 for keys of 32 bytes, RFC 5649 for anything else.

Both find a wrong key and every changed bit: the chance that they do not is 2^-64 (RFC 3394) and 2^-32 (RFC 5649).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap,
    aes_key_wrap_with_padding,
)

KEY_BYTES: Final = 32
WRAPPED_BYTES: Final = 40


class WrongKey(ValueError):
    """What was wrapped does not open with this key: another key's, or altered."""


def new_key() -> bytes:
    """Return 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def wrap(kek: bytes, key: bytes) -> bytes:
    """Return a key of 32 bytes wrapped: 40 bytes (RFC 3394)."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return aes_key_wrap(kek, key)


def unwrap(kek: bytes, wrapped: bytes) -> bytes:
    """Return the key in what wrap() gave. Raises WrongKey."""
    if len(wrapped) != WRAPPED_BYTES:
        raise WrongKey(f"a wrapped key has {WRAPPED_BYTES} bytes")
    try:
        return aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap as error:
        raise WrongKey("it was wrapped by another key, or altered") from error


def wrap_bytes(kek: bytes, data: bytes) -> bytes:
    """Return data of any length wrapped (RFC 5649)."""
    return aes_key_wrap_with_padding(kek, data)


def unwrap_bytes(kek: bytes, wrapped: bytes) -> bytes:
    """Return the data in what wrap_bytes() gave. Raises WrongKey."""
    try:
        return aes_key_unwrap_with_padding(kek, wrapped)
    except (InvalidUnwrap, ValueError) as error:
        raise WrongKey("it was wrapped by another key, or altered") from error


def derive(key: bytes, purpose: bytes) -> bytes:
    """Return a key of 32 bytes for one purpose: HKDF-Expand of one block (RFC 5869 2.3), SHA-256."""
    return hmac.digest(key, purpose + b"\x01", "sha256")
