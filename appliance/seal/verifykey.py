"""The public half of a key that signs ledger and manifests, and the one line that it is handed over in.

Sources: C2SP signed-note. The key's name is the ledger's origin. Its id is the first four bytes of SHA-256: over name,
newline, type and public key for Ed25519 (type 01), over the public key's SPKI for ECDSA on P-256 (type 02).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

SIGNATURE_LIMIT: Final = 72  # Ed25519 has 64 bytes, ECDSA on P-256 (DER) up to 72
ED25519: Final = b"\x01"
ECDSA: Final = b"\x02"
_ED25519_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A name and a public key: enough to check, not to sign. public: 32 bytes of Ed25519, or SPKI in DER.

    former: keys that this one followed, the last one first. until: the size of the last checkpoint that a former key
    may have signed.
    """

    name: str
    public: bytes
    kind: bytes = ED25519
    former: tuple[VerifyKey, ...] = field(default=(), compare=False)
    until: int | None = field(default=None, compare=False)

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key signed."""
        told = self.public if self.kind == ECDSA else self.name.encode() + b"\n" + ED25519 + self.public
        return hashlib.sha256(told).digest()[:4]

    def text(self) -> str:
        """Return the key as one line, to be handed to whoever checks."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.kind + self.public).decode()}"

    def pem(self) -> bytes:
        """Return the key as openssl reads it."""
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def accepts(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature is over data, by this key or one that it followed."""
        return self.signed(signature, data) or any(key.signed(signature, data) for key in self.former)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature is this very key's over data."""
        key = self._key()
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(signature, data)
            else:
                key.verify(signature, data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
        if self.kind == ED25519:
            return Ed25519PublicKey.from_public_bytes(self.public)
        key = load_der_public_key(self.public)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # parse_verifier saw to it
        return key


def parse_verifier(text: str) -> VerifyKey | None:
    """Read a key from its one line; None when it is none, or its id does not fit."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    kind, public = raw[:1], raw[1:]
    if not is_key_name(name) or not (_is_ed25519(kind, public) or _is_p256(kind, public)):
        return None
    key = VerifyKey(name, public, kind)
    return key if key.key_id.hex() == key_id else None


def _is_ed25519(kind: bytes, public: bytes) -> bool:
    return kind == ED25519 and len(public) == _ED25519_BYTES


def _is_p256(kind: bytes, public: bytes) -> bool:
    if kind != ECDSA:
        return False
    try:
        key = load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public


def is_key_name(name: str) -> bool:
    """Say whether a text may name a key: not empty, no space, no plus (C2SP signed-note)."""
    return (
        0 < len(name) <= 200
        and name.isprintable()
        and " " not in name
        and "+" not in name
        and not any(c.isspace() for c in name)
    )
