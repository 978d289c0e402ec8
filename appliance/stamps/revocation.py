"""What is said about revocation of the certificates that signed a token, fetched when it is stamped.

Kept as evidence: years later the authority's lists are gone, and whether its certificate was good then can be
shown with these files only (RFC 3161 section 4, RFC 3628). The addresses stand in certificates of a chain that
was verified before. What cannot be had is said; it makes no stamp invalid.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

GOOD: Final = "good"
REVOKED: Final = "revoked"
_FILE_LIMIT: Final = 1 << 20  # longer ones are said to be too long, and not kept
_ALL_S: Final = 20.0
_ONE_S: Final = 8.0


@dataclass(slots=True)
class Said:
    """files: by name, to be kept as they came. states: of each certificate, by its place in the chain."""

    files: dict[str, bytes] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    @property
    def revoked(self) -> bool:
        """Some certificate of the chain was revoked."""
        return any(state.startswith(REVOKED) for state in self.states.values())


async def ask_revocation(chain: list[x509.Certificate]) -> Said:
    """Return what lists and responders say of a chain, the signer first; its root is not asked about."""
    said = Said()
    timeout = aiohttp.ClientTimeout(total=_ONE_S)
    try:
        async with (
            asyncio.timeout(_ALL_S),
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
        ):
            for place, (one, issuer) in enumerate(itertools.pairwise(chain)):
                said.states[str(place)] = await _ask_about(session, one, issuer, place, said.files)
    except TimeoutError:
        said.states["rest"] = "not asked: it took too long"
    return said


async def _ask_about(
    session: aiohttp.ClientSession, one: x509.Certificate, issuer: x509.Certificate, place: int, files: dict[str, bytes]
) -> str:
    """Return what is known of a certificate: good, revoked, or why it is not known."""
    found = []
    for url in _crl_addresses(one)[:1]:
        data = await _fetch(session, "GET", url)
        if isinstance(data, str):
            found.append(f"its list {data}")
            continue
        files[f"{place}.crl"] = data
        found.append(_in_list(data, one, issuer))
    for url in _ocsp_addresses(one)[:1]:
        request = ocsp.OCSPRequestBuilder().add_certificate(one, issuer, SHA1()).build()  # noqa: S303 - a name, no proof
        data = await _fetch(session, "POST", url, request.public_bytes(Encoding.DER))
        if isinstance(data, str):
            found.append(f"its OCSP responder {data}")
            continue
        files[f"{place}.ocsp"] = data
        found.append(_in_response(data, one, issuer))
    if not found:
        return "not asked: the certificate names no list and no responder"
    revoked = [words for words in found if words.startswith(REVOKED)]
    return (revoked or [words for words in found if words == GOOD] or ["; ".join(found)])[0]


async def _fetch(session: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None) -> bytes | str:
    """Return what is there, or words for why it cannot be had."""
    if urlsplit(url).scheme not in ("http", "https"):
        return "is not on the web"
    headers = {"Content-Type": "application/ocsp-request"} if body is not None else {}
    try:
        async with session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                return f"cannot be had (HTTP {answer.status})"
            data = bytearray()
            async for piece in answer.content.iter_chunked(1 << 16):
                data += piece
                if len(data) > _FILE_LIMIT:
                    return f"is longer than {_FILE_LIMIT} bytes"
            return bytes(data)
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        return f"cannot be had ({type(error).__name__})"


def _in_list(data: bytes, one: x509.Certificate, issuer: x509.Certificate) -> str:
    try:
        crl = x509.load_der_x509_crl(data)
        if crl.issuer != issuer.subject or not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            return "its list is not signed by its issuer"
        entry = crl.get_revoked_certificate_by_serial_number(one.serial_number)
    except (ValueError, TypeError) as error:
        return f"its list cannot be read ({type(error).__name__})"
    return GOOD if entry is None else f"{REVOKED} {entry.revocation_date_utc.isoformat()}"


def _in_response(data: bytes, one: x509.Certificate, issuer: x509.Certificate) -> str:
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            return f"its OCSP responder says {response.response_status.name.lower()}"
        if response.serial_number != one.serial_number:
            return "its OCSP responder speaks of another certificate"
        status = response.certificate_status
        is_signed = _is_signed(response, issuer)
        is_late = response.next_update_utc is not None and response.next_update_utc < datetime.now(UTC)
    except (ValueError, TypeError) as error:
        return f"its OCSP responder cannot be understood ({type(error).__name__})"
    # One that is not its signature may warn, and not vouch.
    if status == ocsp.OCSPCertStatus.REVOKED:
        return f"{REVOKED} (its OCSP responder says so{'' if is_signed else ', in an answer that it did not sign'})"
    if not is_signed:
        return f"its OCSP responder says {status.name.lower()}, in an answer that it did not sign"
    if status == ocsp.OCSPCertStatus.GOOD and not is_late:
        return GOOD
    return f"its OCSP responder says {status.name.lower()}{', and that it may be out of date' if is_late else ''}"


def _is_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """Say whether an answer is signed by the issuer, or by whom it named for that (RFC 6960 section 4.2.2.2)."""
    named = [one for one in response.certificates if _may_answer(one, issuer)]
    return any(_has_signed(one.public_key(), response) for one in (issuer, *named))


def _may_answer(responder: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        responder.verify_directly_issued_by(issuer)
        uses = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, x509.ExtensionNotFound, ValueError, TypeError):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in uses and _is_now(responder)


def _is_now(one: x509.Certificate) -> bool:
    return one.not_valid_before_utc <= datetime.now(UTC) <= one.not_valid_after_utc


def _has_signed(key: object, response: ocsp.OCSPResponse) -> bool:
    signature, said, digest = response.signature, response.tbs_response_bytes, response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, said, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, said, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, said)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _crl_addresses(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = [name for point in points for name in point.full_name or ()]
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]


def _ocsp_addresses(certificate: x509.Certificate) -> list[str]:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    wanted = [one for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]
    places = [one.access_location for one in wanted]
    return [place.value for place in places if isinstance(place, x509.UniformResourceIdentifier)]
