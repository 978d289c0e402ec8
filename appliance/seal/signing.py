"""The key that signs ledger and manifests: Ed25519, apart from the keys that encrypt.

    DIR/keys/ledger.key      private, PKCS #8 PEM, 0600
    DIR/keys/ledger.pub.pem  public, PEM: what `openssl pkeyutl -verify -pubin -inkey` takes
    DIR/keys/ledger.vkey     public, one line: name+id+key (C2SP signed-note, "verifier key")

The key's name is the ledger's origin. Its id is the first four bytes of SHA-256 over name, newline, type and
public key (C2SP signed-note). Checkpoints begin with the origin and manifests with a brace, so that a
signature of one is never one of the other.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import write_atomically

KEY_FILE: Final = "ledger.key"
PUBLIC_FILE: Final = "ledger.pub.pem"
VKEY_FILE: Final = "ledger.vkey"
SIGNATURE_BYTES: Final = 64
_ED25519: Final = b"\x01"
_TEXT_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A name and a public key of 32 bytes: enough to check, not to sign."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key signed."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """Return the key as one line, to be handed to whoever checks."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def pem(self) -> bytes:
        """Return the key as openssl reads it."""
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def accepts(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature is this key's over data."""
        try:
            self._key().verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its name."""

    private: Ed25519PrivateKey
    name: str

    @property
    def verifier(self) -> VerifyKey:
        """The half of it that may be known."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifyKey(self.name, raw)

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature over data."""
        return self.private.sign(data)


def new_key() -> SigningKey:
    """Make a key under a new random name, "vittne/<16 hex digits>": no two ledgers can be taken for one."""
    return SigningKey(Ed25519PrivateKey.generate(), f"vittne/{secrets.token_hex(8)}")


def save_key(keys_dir: Path, key: SigningKey) -> None:
    """Write the three files, the private one last: when it is there, all are. Raises StoreError."""
    write_atomically(keys_dir / PUBLIC_FILE, key.verifier.pem())
    write_atomically(keys_dir / VKEY_FILE, key.verifier.text().encode() + b"\n")
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(keys_dir / KEY_FILE, pem)


def load_key(keys_dir: Path) -> SigningKey:
    """Read the private key. Raises StoreError when it is missing, broken or not the public one's half."""
    path = keys_dir / KEY_FILE
    verifier = load_verifier(keys_dir)
    try:
        private = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError) as error:
        raise StoreError("the ledger's key cannot be read", path, "restore it from a backup") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StoreError("the ledger's key is not Ed25519", path, "restore it from a backup")
    key = SigningKey(private, verifier.name)
    if key.verifier != verifier:
        raise StoreError("the ledger's keys do not belong together", path, "restore keys/ from a backup")
    return key


def load_verifier(keys_dir: Path) -> VerifyKey:
    """Read the public key. Raises StoreError when it is missing or broken."""
    path = keys_dir / VKEY_FILE
    key = parse_verifier(_read(path).decode("utf-8", "replace").removesuffix("\n"))
    if key is None:
        raise StoreError("the ledger's public key cannot be read", path, "restore it from a backup")
    return key


def parse_verifier(text: str) -> VerifyKey | None:
    """Read a key from its one line; None when it is none, or its id does not fit."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if not is_key_name(name) or len(raw) != 33 or raw[:1] != _ED25519:
        return None
    key = VerifyKey(name, raw[1:])
    return key if key.key_id.hex() == key_id else None


def is_key_name(name: str) -> bool:
    """Say whether a text may name a key: not empty, no space, no plus (C2SP signed-note)."""
    return (
        0 < len(name) <= 200
        and name.isprintable()
        and " " not in name
        and "+" not in name
        and not any(c.isspace() for c in name)
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_TEXT_LIMIT)
    except OSError as error:
        raise explain(error, "read a key", path) from error
