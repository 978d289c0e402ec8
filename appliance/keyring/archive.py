"""The archive's P-256 pair: the public half seals data keys into capsules, the private half opens them.

The capture worker has the public half only (keys/archive.pub). The private half is in keyring.json, under the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from vittne.appliance.keyring.errors import KeysMismatch, KeysMissing
from vittne.appliance.seal.capsule import make_capsule_for, open_capsule_with
from vittne.appliance.store.errors import explain

PUBLIC_FILE: Final = "archive.pub"
_LIMIT: Final = 4096
_NEXT: Final = "restore it from a backup"


@dataclass(frozen=True, slots=True)
class ArchivePublic:
    """The half that makes capsules. kid is its JWK thumbprint (RFC 7638, SHA-256)."""

    key: ec.EllipticCurvePublicKey
    jwk: ECKey
    kid: str

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Self:
        """Wrap a P-256 public key."""
        jwk = ECKey.import_key(key)
        return cls(key, jwk, jwk.thumbprint())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a key as archive.pub holds it: how a process gets it that may not look into keys/."""
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError as error:
            raise KeysMismatch("no public key", PUBLIC_FILE, _NEXT) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeysMismatch("the archive key is not P-256", PUBLIC_FILE, _NEXT)
        return cls.of(key)

    def pem(self) -> bytes:
        """Return the key as archive.pub holds it."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class ArchivePair:
    """Both halves."""

    private: ec.EllipticCurvePrivateKey
    jwk: ECKey
    public: ArchivePublic

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey) -> Self:
        """Wrap a P-256 private key."""
        return cls(private, ECKey.import_key(private), ArchivePublic.of(private.public_key()))

    @classmethod
    def generate(cls) -> Self:
        """Make a pair."""
        return cls.of(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read a pair that der() gave. ValueError when it is none."""
        key = serialization.load_der_private_key(der, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("not P-256")
        return cls.of(key)

    def der(self) -> bytes:
        """Return the private half, PKCS #8."""
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def read_public(path: Path) -> ArchivePublic:
    """Read archive.pub. Raises KeysMissing, KeysMismatch."""
    try:
        with path.open("rb") as stream:
            return ArchivePublic.from_pem(stream.read(_LIMIT))
    except FileNotFoundError as error:
        raise KeysMissing("there is no key here", path, "create it, or restore it from a backup") from error
    except OSError as error:
        raise explain(error, "read a key", path) from error


def make_capsule(public: ArchivePublic, key: bytes, recording_id: str, part_no: int) -> str:
    """Return a data key as a compact JWE that only the archive's private key opens."""
    return make_capsule_for(public.jwk, public.kid, key, recording_id, part_no)


def open_capsule(pair: ArchivePair, capsule: str, recording_id: str, part_no: int) -> bytes:
    """Return the data key of this recording and part. Another part's capsule is a CapsuleRefused too."""
    return open_capsule_with(pair.jwk, pair.public.kid, capsule, recording_id, part_no)
