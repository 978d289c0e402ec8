"""Codes that a telephone shows (TOTP, RFC 6238), and recovery codes for when it is lost.

The secret must be readable to check a code, so it is sealed with a key in a file of its own: whoever copies the
catalogue alone has no codes. AES-256-GCM (NIST SP 800-38D), nonce 12 bytes, bound to the factor and its user.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import totp

from vittne.appliance.access.invitations import new_code
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.keyfile import KeyFile, KeyGone

KEY_FILE: Final = "keys/logins.key"  # a backup has it, sealed, like every secret in that folder
STEP_S: Final = 30
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
_SECRET_BYTES: Final = 20  # RFC 4226 R6; what every telephone takes
_NONCE_BYTES: Final = 12
_EITHER_WAY: Final = 1  # steps that a telephone's clock may be off (RFC 6238 5.2)


class FactorLost(StoreError):
    """A secret cannot be opened: its key is not here."""


def new_secret() -> bytes:
    """Return a secret for a telephone."""
    return secrets.token_bytes(_SECRET_BYTES)


def address_of(secret: bytes, user: str, host: str) -> str:
    """Return what a telephone reads from the QR code.

    >>> address_of(bytes(20), "anna", "rec.example")
    'otpauth://totp/Vittne%20rec.example:anna?secret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&issuer=Vittne%20rec.example'
    """
    issuer = quote(f"Vittne {host}", safe="")
    return f"otpauth://totp/{issuer}:{quote(user, safe='')}?secret={shown(secret)}&issuer={issuer}"


def shown(secret: bytes) -> str:
    """Return a secret as it is typed into a telephone that has no camera: base32."""
    return base64.b32encode(secret).decode()


def step_of(secret: bytes, code: str, now_s: int) -> int | None:
    """Return the step of a code that is right now, or was or will be in half a minute; None when it is none."""
    typed = "".join(letter for letter in code if letter.isalnum())
    found = None
    for step in range(now_s // STEP_S - _EITHER_WAY, now_s // STEP_S + _EITHER_WAY + 1):
        # All three are compared, each in constant time.
        if hmac.compare_digest(code_at(secret, step).encode(), typed.encode()):
            found = step
    return found


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a step, which is 30 s long and counted from 1970."""
    return totp.TOTP(secret, DIGITS, SHA1(), STEP_S).generate(step * STEP_S).decode()  # noqa: S303 - RFC 6238 says so


def new_recovery_codes() -> list[str]:
    """Return codes of 74 bits, each good once: XXXXX-XXXXX-XXXXX."""
    return [new_code()[: 3 * 5 + 2] for _ in range(RECOVERY_CODES)]


def seal(data_dir: Path, secret: bytes, factor: str, user: str) -> str:
    """Return what is kept of a secret. Raises StoreError."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_key(data_dir, is_new=True)).encrypt(nonce, secret, _bound(factor, user))
    return base64.b64encode(nonce + sealed).decode()


def unseal(data_dir: Path, sealed: str, factor: str, user: str) -> bytes:
    """Return a secret. Raises FactorLost, StoreError."""
    data = base64.b64decode(sealed)
    try:
        return AESGCM(_key(data_dir)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(factor, user))
    except InvalidTag:
        raise _lost(data_dir) from None


def _bound(factor: str, user: str) -> bytes:
    return f"vittne totp {factor} {user}".encode()


def _key(data_dir: Path, is_new: bool = False) -> bytes:
    """Return the key; is_new: make it where there is none yet."""
    file = _key_file(data_dir)
    try:
        return file.read_or_make() if is_new else file.read()
    except KeyGone:
        raise _lost(data_dir) from None


def _key_file(data_dir: Path) -> KeyFile:
    return KeyFile(data_dir / KEY_FILE, "the key of second factors", "put it back, or use a recovery code")


def _lost(data_dir: Path) -> FactorLost:
    file = _key_file(data_dir)
    return FactorLost("codes cannot be checked: their key is not here, or another one", file.path, file.remedy)
