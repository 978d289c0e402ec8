"""Passwords: argon2id (RFC 9106), and what one must be like (NIST SP 800-63B: long, not known, nothing else)."""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vittne.appliance.store.errors import StoreError

LEAST: Final = 12
MOST: Final = 256
# RFC 9106 section 4, second choice: 64 MiB, three passes; one lane, for two cores that record calls meanwhile.
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
_NOBODYS: Final = _HASHER.hash("a password that nobody has, for users that are not there")
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
