"""The key that signs ledger and manifests: Ed25519 or ECDSA on P-256, apart from the keys that encrypt.

    DIR/keys/ledger.key      private, PKCS #8 PEM, 0600
    DIR/keys/ledger.pub.pem  public, PEM: what `openssl pkeyutl -verify -pubin -inkey` takes
    DIR/keys/ledger.vkey     public, one line: name+id+key (verifykey.py)

Checkpoints begin with the origin and manifests with a brace, so that a signature of one is never one of the other.
A key may have followed others (succession.py): what is read here knows them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from vittne.appliance.seal.succession import following, read_succession
from vittne.appliance.seal.verifykey import ECDSA, ED25519, VerifyKey, parse_verifier
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import overwriting, write_atomically

__all__ = [
    "KEY_FILE",
    "PUBLIC_FILE",
    "VKEY_FILE",
    "SigningKey",
    "VerifyKey",
    "load_key",
    "load_verifier",
    "new_key",
    "parse_verifier",
    "read_verifier",
    "save_key",
]

KEY_FILE: Final = "ledger.key"
PUBLIC_FILE: Final = "ledger.pub.pem"
VKEY_FILE: Final = "ledger.vkey"
LEDGER_FOLDER: Final = "ledger"  # beside the folder of keys
_TEXT_LIMIT: Final = 4096

Private = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its name. former: as in VerifyKey."""

    private: Private
    name: str
    former: tuple[VerifyKey, ...] = ()

    @classmethod
    def from_pem(cls, pem: bytes, verifier: VerifyKey) -> Self:
        """Read a private key. ValueError when it is none, or not the public one's half."""
        private = load_pem_private_key(pem, None)
        if not isinstance(private, Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("neither Ed25519 nor ECDSA")
        key = cls(private, verifier.name)
        if key.verifier != verifier:
            raise ValueError("the two halves do not belong together")
        return key

    @property
    def verifier(self) -> VerifyKey:
        """The half of it that may be known."""
        public = self.private.public_key()
        if isinstance(public, Ed25519PublicKey):
            return VerifyKey(self.name, public.public_bytes(Encoding.Raw, PublicFormat.Raw), ED25519, self.former)
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return VerifyKey(self.name, spki, ECDSA, self.former)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over data."""
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(data)
        return self.private.sign(data, ec.ECDSA(SHA256()))

    def pem(self) -> bytes:
        """Return the private half, PKCS #8."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key(fips: bool = False, name: str = "") -> SigningKey:
    """Make a key: Ed25519, or ECDSA on P-256 in the FIPS profile.

    Without a name it gets a new random one, "vittne/<16 hex digits>": no two ledgers can be taken for one.
    """
    name = name or f"vittne/{secrets.token_hex(8)}"
    return SigningKey(ec.generate_private_key(ec.SECP256R1()) if fips else Ed25519PrivateKey.generate(), name)


def save_key(keys_dir: Path, key: SigningKey) -> None:
    """Write the three files, the private one last: when it is there, all are. Raises StoreError."""
    write_atomically(keys_dir / PUBLIC_FILE, key.verifier.pem())
    write_atomically(keys_dir / VKEY_FILE, key.verifier.text().encode() + b"\n")
    with overwriting(keys_dir / KEY_FILE):
        write_atomically(keys_dir / KEY_FILE, key.pem())


def load_key(keys_dir: Path) -> SigningKey:
    """Read the private key. Raises StoreError when it is missing, broken or not the public one's half."""
    path = keys_dir / KEY_FILE
    verifier = read_verifier(keys_dir)
    former = read_succession(keys_dir.parent / LEDGER_FOLDER).before(verifier)
    try:
        return replace(SigningKey.from_pem(_read(path), verifier), former=former)
    except (ValueError, TypeError) as error:
        what = f"the ledger's key cannot be read ({error})"
        raise StoreError(what, path, "restore keys/ from a backup") from error


def load_verifier(keys_dir: Path) -> VerifyKey:
    """Read the public key with those that it followed. Raises StoreError, LedgerDamaged when their list is broken."""
    return following(keys_dir.parent / LEDGER_FOLDER, read_verifier(keys_dir))


def read_verifier(keys_dir: Path) -> VerifyKey:
    """Read the public key alone. Raises StoreError when it is missing or broken."""
    path = keys_dir / VKEY_FILE
    key = parse_verifier(_read(path).decode("utf-8", "replace").removesuffix("\n"))
    if key is None:
        raise StoreError("the ledger's public key cannot be read", path, "restore it from a backup")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_TEXT_LIMIT)
    except OSError as error:
        raise explain(error, "read a key", path) from error
