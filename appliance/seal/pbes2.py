"""A private key as PKCS #8 PEM, under a passphrase that is worth something.

The library's own encryption of PKCS #8 asks 2048 rounds of PBKDF2 of whoever tries
passphrases: a graphics card tries millions a second. So the envelope is written here, with
scrypt (RFC 7914 section 7) in PBES2 (RFC 8018 section 6.2). Reading it needs nothing of
ours: the library and `openssl pkey` do.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# 16 MiB, five times over: as hard as 64 MiB once, but openssl refuses more than 32 MiB.
SCRYPT_N: Final = 1 << 14
SCRYPT_R: Final = 8
SCRYPT_P: Final = 5

_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_INTEGER: Final = 0x02
_OID_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_OID_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_OID_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42


def private_pem(key: EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    """Return the key as PEM: plain when there is no passphrase."""
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if not passphrase:
        raise ValueError("an empty passphrase protects nothing")
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    text = base64.encodebytes(_enveloped(plain, passphrase)).replace(b"\n", b"")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    head, tail = (b"-----%s ENCRYPTED PRIVATE KEY-----" % word for word in (b"BEGIN", b"END"))
    return b"\n".join([head, *lines, tail, b""])


def _enveloped(plain: bytes, passphrase: bytes) -> bytes:
    """Return an EncryptedPrivateKeyInfo (RFC 5958 section 3), DER."""
    salt, iv = os.urandom(16), os.urandom(16)
    key = hashlib.scrypt(passphrase, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=64 << 20, dklen=32)
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    fill = 16 - len(plain) % 16
    sealed = cipher.update(plain + bytes([fill]) * fill) + cipher.finalize()
    cost = (_integer(SCRYPT_N), _integer(SCRYPT_R), _integer(SCRYPT_P))
    kdf = _der(_SEQUENCE, _OID_SCRYPT, _der(_SEQUENCE, _der(_OCTETS, salt), *cost))
    scheme = _der(_SEQUENCE, _OID_AES_256_CBC, _der(_OCTETS, iv))
    algorithm = _der(_SEQUENCE, _OID_PBES2, _der(_SEQUENCE, kdf, scheme))
    return _der(_SEQUENCE, algorithm, _der(_OCTETS, sealed))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def _integer(value: int) -> bytes:
    """Return a non-negative INTEGER; its first bit is 0."""
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
