"""Passwords: argon2id (RFC 9106), and what one must be like (NIST SP 800-63B: long, not known, nothing else)."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vittne.appliance.store.errors import StoreError

LEAST: Final = 12
MOST: Final = 256
# RFC 9106 section 4, second choice: 64 MiB, three passes; one lane, for two cores that record calls meanwhile.
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
# For users that are not there: as dear to check, and the hash of no password anybody knows, made without hashing one.
_NOBODYS: Final = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${b64encode(os.urandom(15)).decode()}${b64encode(os.urandom(30)).decode()}"
)
_COMMON: Final = frozenset({"password1234", "passwordpassword", "123456789012", "qwertyuiopas", "administrator"})


class WeakPassword(StoreError):
    """A password that will not do, and why."""


def hash_password(password: str, name: str) -> str:
    """Return what is kept of a password. Takes some 100 ms and 64 MiB. Raises WeakPassword."""
    if not LEAST <= len(password) <= MOST:
        raise WeakPassword(f"the password has {len(password)} characters", "", f"{LEAST} to {MOST} are taken")
    if password.casefold() in _COMMON or password.casefold() in (name.casefold() * MOST)[:MOST]:
        raise WeakPassword("anybody would try this password", "", "take several words that do not belong together")
    if len(set(password)) < 5:
        raise WeakPassword("the password is a few characters, again and again", "", "take several words")
    return _HASHER.hash(password)


def is_right(password: str, kept: str) -> bool:
    """Say whether a password is the one; it takes as long for a user who has none, or is not there (kept "")."""
    try:
        return _HASHER.verify(kept or _NOBODYS, password[: MOST + 1]) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False
