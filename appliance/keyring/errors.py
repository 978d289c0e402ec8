"""What can be wrong with keys, said so that somebody can act on it."""

from __future__ import annotations

from typing import Final

from vittne.appliance.store.errors import StoreError

RECOVER: Final = "use the recovery shares: vittne keys recover"


class KeysMissing(StoreError):
    """There is no such key, or no such file."""


class KeysExposed(StoreError):
    """Others than the owner can read a secret."""


class KeysExist(StoreError):
    """There is a key already; it is not overwritten."""


class KeysLocked(StoreError):
    """The root did not open: no passphrase or PIN, the wrong one, no token, other firmware."""


class KeysMismatch(StoreError):
    """Files that should belong together do not, or a file is no key."""


class TokenMissing(KeysLocked):
    """The module, the token or its key is not there."""


class PinRefused(KeysLocked):
    """The PIN is wrong, or it was wrong before and is not tried again."""


class PcrsChanged(KeysLocked):
    """The TPM does not unseal: firmware, boot loader or kernel are not what the root was sealed to."""


class NotApproved(StoreError):
    """The FIPS profile was asked for and this machine does not give it."""
