"""Codes with which a user sets a password: printed once, kept as a hash, good once and for some days."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"  # none that look alike, and no U
_GROUPS: Final = 5
_IN_GROUP: Final = 5  # 31 letters to the power of 25: 123 bits
DAYS: Final = 7
DAY_US: Final = 24 * 3600 * 1_000_000


def new_code() -> str:
    """Return a code as people read it: XXXXX-XXXXX-XXXXX-XXXXX-XXXXX."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_IN_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def code_sha256(code: str) -> str:
    """Return what is kept of a code, in hex, however it was typed.

    >>> code_sha256("abcde-23456") == code_sha256(" ABCDE 23456 ")
    True
    """
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
