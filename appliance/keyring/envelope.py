"""The root under a passphrase: what guessing costs, and the envelope that says so.

    {"provider": "passphrase", "kdf": "scrypt", "n": 131072, "r": 8, "p": 1, "salt": .., "wrapped": ..}
    {"provider": "passphrase", "kdf": "pbkdf2-sha512", "rounds": 600000, "salt": .., "wrapped": ..}
    {"provider": "none", "root": ..}        before a passphrase was set; complained about at every start

wrapped is the root under AES key wrap (RFC 3394) with the key that the function gives; bytes are base64. scrypt
(RFC 7914) takes 128 MiB for each guess, PBKDF2 (SP 800-132) no memory: it is for the FIPS profile only.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch
from vittne.appliance.keyring.secretfile import PASSPHRASE_VARIABLE
from vittne.appliance.keyring.wrapping import KEY_BYTES, WrongKey, unwrap, wrap

PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a provider
NONE: Final = "none"
SCRYPT: Final = {"n": 1 << 17, "r": 8, "p": 1}
ROUNDS: Final = 600_000
_MOST_MEMORY: Final = 1 << 30  # a file that asks for more is not ours
_MOST_ROUNDS: Final = 100_000_000
_NEXT: Final = "restore keys/keyring.json from a backup"

Envelope = dict[str, Any]


def plain(root: bytes) -> Envelope:
    """Return the root in the open, as a first start keeps it."""
    return {"provider": NONE, "root": encoded(root)}


def sealed(root: bytes, passphrase: bytes, fips: bool = False) -> Envelope:
    """Return the root under a passphrase."""
    if not passphrase:
        raise ValueError("an empty passphrase protects nothing")
    cost: Envelope = {"kdf": "pbkdf2-sha512", "rounds": ROUNDS} if fips else {"kdf": "scrypt", **SCRYPT}
    head: Envelope = {"provider": PASSPHRASE, **cost, "salt": encoded(secrets.token_bytes(16))}
    return {**head, "wrapped": encoded(wrap(_stretched(head, passphrase), root))}


def opened(envelope: Mapping[str, Any], passphrase: bytes | None, where: str) -> bytes:
    """Return the root, 32 bytes. Raises KeysLocked, KeysMismatch."""
    try:
        if envelope["provider"] == NONE:
            root = decoded(envelope["root"])
            if len(root) != KEY_BYTES:
                raise ValueError("length")
            return root
        wrapped = decoded(envelope["wrapped"])
        if passphrase is None:
            raise KeysLocked("the archive's keys have a passphrase", where, f"name its file in {PASSPHRASE_VARIABLE}")
        key = _stretched(envelope, passphrase)
    except (KeyError, ValueError, TypeError) as error:
        raise KeysMismatch("the envelope of the root cannot be read", where, _NEXT) from error
    try:
        return unwrap(key, wrapped)
    except WrongKey as error:
        raise KeysLocked("the passphrase does not open the archive's keys", where, "check it") from error


def encoded(data: bytes) -> str:
    """Return bytes as they stand in JSON."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """Return bytes as they stood in JSON. Raises ValueError, TypeError."""
    return base64.b64decode(text, validate=True)


def _stretched(head: Mapping[str, Any], passphrase: bytes) -> bytes:
    salt = decoded(head["salt"])
    if head["kdf"] == "scrypt":
        n, r, p = (int(head[name]) for name in ("n", "r", "p"))
        memory = 128 * n * r
        if memory > _MOST_MEMORY or not 0 < p <= 16:
            raise ValueError("cost")
        return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=memory + (32 << 20), dklen=KEY_BYTES)
    if head["kdf"] == "pbkdf2-sha512":
        rounds = int(head["rounds"])
        if not 0 < rounds <= _MOST_ROUNDS:
            raise ValueError("cost")
        return hashlib.pbkdf2_hmac("sha512", passphrase, salt, rounds, KEY_BYTES)
    raise ValueError("kdf")
