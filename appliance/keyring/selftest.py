"""Each primitive that Vittne uses: what for, in which library, whether FIPS 140-3 approves it, and a known answer run.

The vectors are of the standards named beside them. `fips = true` refuses to start where a library is not in FIPS mode.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap

from vittne.appliance.keyring.errors import NotApproved
from vittne.appliance.keyring.ring import read_ring
from vittne.appliance.seal.verifykey import ECDSA, VerifyKey

FipsSetting = bool | Literal["primitives"]

_hex: Final = bytes.fromhex


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive. known: does it, and says whether the answer is the standard's."""

    name: str
    purpose: str
    library: str
    approved: bool
    vector: str
    known: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    primitive: Primitive
    passed: bool


def primitives() -> list[Primitive]:
    """Return all that are used, in either profile."""
    crypto, python = library_of_cryptography(), library_of_python()
    return [
        Primitive("AES-256-GCM", "recordings (FLOE), root on a token", crypto, True, "GCM spec, case 16", _gcm),
        Primitive("HMAC-SHA-384", "keys of groups (HKDF-Expand)", python, True, "RFC 4231, case 2", _hmac384),
        Primitive("HMAC-SHA-256", "MAC of the key ring", python, True, "RFC 4231, case 2", _hmac256),
        Primitive("AES-256 key wrap", "data keys, buckets, epochs", crypto, True, "RFC 3394, 4.6", _key_wrap),
        Primitive("AES key wrap, padded", "private keys under the root", crypto, True, "RFC 5649, 6", _padded),
        Primitive("ECDH P-256", "capsules (ECDH-ES)", crypto, True, "RFC 5903, 8.1", _ecdh),
        Primitive("SHA-256", "manifest, ledger", python, True, "FIPS 180-4, abc", _sha256),
        Primitive("ECDSA P-256", "signatures, FIPS profile", crypto, True, "RFC 6979, A.2.5", _ecdsa),
        Primitive("Ed25519", "signatures, standard profile", crypto, True, "RFC 8032, 7.1 test 1", _ed25519),
        Primitive("PBKDF2-HMAC-SHA-512", "passphrase, FIPS profile", python, True, "1 round, public", _pbkdf2),
        Primitive("scrypt", "passphrase, standard profile", python, False, "RFC 7914, 12", _scrypt),
        Primitive("SLIP-39", "recovery shares", "shamir-mnemonic", False, "SLIP-39, vector 1", _slip39),
    ]


def run() -> list[Result]:
    """Run every known answer. A primitive that is not there, because a FIPS module refuses it, has not passed."""
    return [Result(one, _passes(one)) for one in primitives()]


def library_of_cryptography() -> str:
    """Return which OpenSSL the package cryptography brings, and in which mode."""
    return f"{openssl.openssl_version_text()}{' (FIPS)' if openssl.is_fips_enabled() else ''}"


def library_of_python() -> str:
    """Return which OpenSSL Python's hashlib uses, and in which mode."""
    import ssl  # noqa: PLC0415 - only here

    return f"{ssl.OPENSSL_VERSION}{' (FIPS)' if _python_in_fips_mode() else ''}"


def check_profile(fips: FipsSetting) -> list[str]:
    """Return warnings about the FIPS profile. Raises NotApproved where it was asked for and is not to be had."""
    if fips is False:
        return []
    outside = [
        name
        for name, inside in (
            (library_of_cryptography(), openssl.is_fips_enabled()),
            (library_of_python(), _python_in_fips_mode()),
        )
        if not inside
    ]
    if outside and fips is True:
        next_step = 'run on a system in FIPS mode; or fips = "primitives": approved algorithms, no validated module'
        raise NotApproved("keys.fips is true, and not in FIPS mode is", ", ".join(outside), next_step)
    return [f"keys.fips: approved algorithms, but not by a validated module: {name}" for name in outside]


def check_keys(data_dir: Path, signer: VerifyKey) -> None:
    """See that the keys of a data directory are of approved kinds. Raises NotApproved."""
    if signer.kind != ECDSA:
        raise NotApproved(
            "the ledger is signed with Ed25519, the profile wants P-256", data_dir, "vittne keys rotate --ledger"
        )
    if read_ring(data_dir).root.envelope.get("kdf") == "scrypt":
        raise NotApproved(
            "the passphrase is stretched by scrypt, the profile wants PBKDF2", data_dir, "vittne keys passphrase"
        )


def _passes(primitive: Primitive) -> bool:
    try:
        return primitive.known()
    except Exception:  # whatever a library that refuses an algorithm raises
        return False


def _python_in_fips_mode() -> bool:
    import _hashlib  # noqa: PLC0415 - CPython's own

    return bool(_hashlib.get_fips_mode())


def _gcm() -> bool:
    key = _hex("feffe9928665731c6d6a8f9467308308") * 2
    plain = _hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    data = _hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    sealed = AESGCM(key).encrypt(_hex("cafebabefacedbaddecaf888"), plain, data)
    return sealed.hex() == (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )


def _hmac384() -> bool:
    return hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha384").hex() == (
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
    )


def _hmac256() -> bool:
    return hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha256").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def _key_wrap() -> bool:
    kek, key = bytes(range(32)), _hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    return aes_key_wrap(kek, key).hex() == (
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    )


def _padded() -> bool:
    kek = _hex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
    wrapped = _hex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")
    return aes_key_unwrap_with_padding(kek, wrapped).hex() == "c37b7e6492584340bed12207808941155068f738"


def _ecdh() -> bool:
    private = ec.derive_private_key(
        int("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433", 16), ec.SECP256R1()
    )
    other = (
        "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
        "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"
    )
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _hex(other))
    shared = private.exchange(ec.ECDH(), peer)
    return shared.hex() == "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"


def _sha256() -> bool:
    return hashlib.sha256(b"abc").hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _ecdsa() -> bool:
    public = ec.EllipticCurvePublicNumbers(
        int("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6", 16),
        int("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299", 16),
        ec.SECP256R1(),
    ).public_key()
    signature = utils.encode_dss_signature(
        int("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", 16),
        int("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8", 16),
    )
    return _verifies(lambda text: public.verify(signature, text, ec.ECDSA(SHA256())), b"sample")


def _ed25519() -> bool:
    public = ed25519.Ed25519PublicKey.from_public_bytes(
        _hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    )
    signature = _hex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    return _verifies(lambda text: public.verify(signature, text), b"")


def _verifies(verify: Callable[[bytes], object], text: bytes) -> bool:
    """The right text is accepted, another one refused."""
    verify(text)
    try:
        verify(text + b"x")
    except InvalidSignature:
        return True
    return False


def _pbkdf2() -> bool:
    return hashlib.pbkdf2_hmac("sha512", b"password", b"salt", 1, 32).hex() == (
        "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
    )


def _scrypt() -> bool:
    return hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=16, dklen=32, maxmem=64 << 20).hex() == (
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
    )


def _slip39() -> bool:
    from shamir_mnemonic import combine_mnemonics  # noqa: PLC0415

    share = (
        "duckling enlarge academic academic agency result length solution fridge kidney coal piece deal husband erode"
        " duke ajar critical decision keyboard"
    )
    return bool(combine_mnemonics([share], b"TREZOR").hex() == "bb54aac4b89dc868ba37d9cc21b2cece")
