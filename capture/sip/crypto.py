"""SRTP keys in SDP: the a=crypto attribute.

Sources: RFC 4568 section 9 (attribute, AES_CM, F8), RFC 6188 (AES_192, AES_256), RFC 7714 (GCM), RFC 5669
(SEED). Names are those of the registry; older spellings in use are brought to them.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

MAX_ATTRIBUTE: Final = 2048

# Bytes of master key and master salt together.
KEY_AND_SALT: Final = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "F8_128_HMAC_SHA1_80": 30,
    "AES_192_CM_HMAC_SHA1_80": 38,
    "AES_192_CM_HMAC_SHA1_32": 38,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM_8": 28,
    "AEAD_AES_256_GCM_8": 44,
    "NULL_HMAC_SHA1_80": 30,
    "NULL_HMAC_SHA1_32": 30,
    "SEED_CTR_128_HMAC_SHA1_80": 30,
    "SEED_128_CCM_80": 28,
    "SEED_128_GCM_96": 28,
}

# From drafts before RFC 6188; phones and PBXs still write them.
_ALIASES: Final = {
    "AES_CM_192_HMAC_SHA1_80": "AES_192_CM_HMAC_SHA1_80",
    "AES_CM_192_HMAC_SHA1_32": "AES_192_CM_HMAC_SHA1_32",
    "AES_CM_256_HMAC_SHA1_80": "AES_256_CM_HMAC_SHA1_80",
    "AES_CM_256_HMAC_SHA1_32": "AES_256_CM_HMAC_SHA1_32",
}


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line. Key material is kept out of repr, so that it shows in no log."""

    tag: int
    suite: str  # the registry's name in upper case, or as written when it has none
    key_salt: bytes = field(repr=False)  # b"" when it is no base64, or not as long as the suite wants
    lifetime: str = ""  # as written: "2^31" or a number
    mki: int | None = None
    mki_length: int = 0  # bytes of the MKI in a packet; 0: none
    further_keys: int = 0  # RFC 4568 6.1: more keys, told apart by their MKI
    session_params: tuple[str, ...] = ()  # KDR=.., UNENCRYPTED_SRTP, ...
    raw: str = field(default="", repr=False)


def read_crypto(value: str) -> Crypto | None:
    """Return what an a=crypto attribute says; None when it has no tag, suite and inline key.

    >>> crypto = read_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "|2^20|1:4 KDR=0")
    >>> crypto.mki, crypto.mki_length, crypto.lifetime, len(crypto.key_salt)
    (1, 4, '2^20', 30)
    """
    words = value[:MAX_ATTRIBUTE].split()
    if len(words) < 3 or not (words[0].isascii() and words[0].isdecimal()) or len(words[0]) > 9:
        return None
    suite = words[1].upper()
    suite = _ALIASES.get(suite, suite)
    first, *further = words[2].split(";")
    method, _, key_info = first.partition(":")
    if method.lower() != "inline":
        return None
    key, *options = key_info.split("|")
    lifetime, mki, mki_length = _read_options(options)
    return Crypto(
        int(words[0]),
        suite,
        _read_key(key, suite),
        lifetime,
        mki,
        mki_length,
        len(further),
        tuple(words[3:]),
        value,
    )


def _read_key(text: str, suite: str) -> bytes:
    """Return master key and salt."""
    try:
        # Some phones leave the padding out.
        key = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return key if len(key) == KEY_AND_SALT.get(suite, len(key)) else b""


def _read_options(options: list[str]) -> tuple[str, int | None, int]:
    """Return lifetime, MKI and MKI length; either may be missing."""
    lifetime, mki, mki_length = "", None, 0
    for option in options[:2]:
        value, colon, length = option.partition(":")
        if not colon:
            lifetime = option[:40]
        elif value.isdecimal() and length.isdecimal() and len(value) <= 40 and len(length) <= 3:
            number, size = int(value), int(length)
            if 1 <= size <= 128 and number < 1 << 8 * size:
                mki, mki_length = number, size
    return lifetime, mki, mki_length
