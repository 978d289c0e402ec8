"""Whose signature is believed: that of a certificate that somebody gave, or of one it issued (x5c, RFC 7515 4.1.6).

No list of the machine's is asked, nothing is fetched, and no revocation is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from vittne.appliance.store.errors import StoreError, explain


@dataclass(frozen=True, slots=True)
class Trusted:
    """Certificates that were given."""

    certificates: tuple[x509.Certificate, ...]


def read_trusted(path: Path) -> Trusted:
    """Read certificates, PEM. Raises StoreError."""
    try:
        with path.open("rb") as stream:
            found = x509.load_pem_x509_certificates(stream.read(1 << 20))
    except OSError as error:
        raise explain(error, "read a certificate", path) from error
    except ValueError as error:
        raise StoreError("this is no certificate", path, "one or more are expected, as PEM") from error
    return Trusted(tuple(found))


def wrong_with(chain: list[x509.Certificate], trusted: Trusted, now: datetime | None = None) -> str:
    """Say why a signer's certificate does not lead to a given one; "" when it does. chain: the signer's first."""
    at = now or datetime.now(UTC)
    left = chain
    for place, one in enumerate(left):
        if one in trusted.certificates:
            return ""
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            return (
                f"the certificate of {one.subject.rfc4514_string()} is not valid now: give it itself, if you trust it"
            )
        if place and not _may_issue(one):
            return f"{one.subject.rfc4514_string()} may issue no certificates"
        if any(_issued(one, issuer) and _may_issue(issuer) for issuer in trusted.certificates):
            return ""
        if place + 1 < len(left) and not _issued(one, left[place + 1]):
            break
    return "its signature is by somebody whom none of the given certificates vouches for"


def _issued(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _may_issue(one: x509.Certificate) -> bool:
    try:
        return bool(one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
