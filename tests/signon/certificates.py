"""A certificate authority for a test, and a server's certificate under it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Made:
    """PEM files. chain: the server's certificate; ca: who vouches for it."""

    chain: Path
    key: Path
    ca: Path


def certificate_for(folder: Path, host: str) -> Made:
    """Make one for a name."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A test's authority")])
    now = datetime.now(UTC)

    def begun(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        return made.not_valid_after(now + timedelta(days=7))

    root = begun(issuer, authority).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    ca = root.sign(authority, hashes.SHA256())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    leaf = begun(name, own).add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    server = leaf.sign(authority, hashes.SHA256())
    found = Made(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    found.chain.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    found.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    found.key.chmod(0o600)
    return found
