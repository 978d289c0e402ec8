"""Whether a token is true: over these bytes, by this authority, its certificates good when it was made.

Two programs may say so: the library rfc3161-client, and where that one refuses, openssl. The library wants a
token's certificates in DER's order, and several authorities' software does not sort them; openssl does not
mind. Which one said yes is kept. Certificates are looked at as of genTime (RFC 3161 section 4.3), not of today:
a token outlives the certificate that signed it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from vittne.appliance.stamps.token import BadToken, Token, read_answer
from vittne.appliance.store.errors import StoreError, explain

LIBRARY: Final = "rfc3161-client"
OPENSSL: Final = "openssl"
_OPENSSL_S: Final = 30
_CA_LIMIT: Final = 1 << 22
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificates whose word counts. Whoever made one of them can make a time stamp that holds."""

    source: str
    roots: tuple[x509.Certificate, ...]

    def pem(self) -> bytes:
        """Return them as openssl reads them."""
        return b"".join(root.public_bytes(Encoding.PEM) for root in self.roots)


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that holds, and who found that. library_said: why the library refused it, "" when it did not."""

    token: Token
    verified_by: str
    library_said: str = ""


def load_trust(ca_file: Path | None) -> Trust:
    """Return the certificates in a file, or those that this system believes. Raises StoreError."""
    path = ca_file or _bundle()
    try:
        with path.open("rb") as stream:
            data = stream.read(_CA_LIMIT)
    except OSError as error:
        raise explain(error, "read the certificates of time stamping authorities", path) from error
    # One by one: a list of a whole system holds old ones that this library will not read for ever.
    found = _loaded(re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", data, re.DOTALL))
    if not found:
        raise StoreError("there is no certificate in it that can be read", path, "PEM is expected (ca_file)")
    return Trust(str(path), tuple(found))


def check_token(answer: bytes, data: bytes, trust: Trust, nonce: int | None = None, policy: str = "") -> Verified:
    """Return what an answer proves about data. Raises BadToken saying what is wrong with it.

    nonce, policy: what was asked, when that is known.
    """
    token = read_answer(answer)
    if hashlib.new(token.hash, data).digest() != token.imprint:
        raise BadToken("it is a stamp over something else")
    if nonce is not None and token.nonce != nonce:
        raise BadToken("it answers another request: the nonce differs")
    if policy and token.policy != policy:
        raise BadToken(f"it was given under the policy {token.policy}, and {policy} was asked for")
    refused = _library_refuses(answer, data, trust)
    if not refused:
        return Verified(token, LIBRARY)
    failed = _openssl_refuses(answer, data, trust, token.gen_time_us // 1_000_000)
    if failed:
        raise BadToken(f"neither program accepts it: {LIBRARY}: {refused}; {OPENSSL}: {failed}")
    return Verified(token, OPENSSL, refused)


def signing_chain(token: Token, trust: Trust) -> list[x509.Certificate]:
    """Return the certificate that signed and its issuers up to a root, as far as token and trust hold them."""
    there = [*_loaded(token.certificates), *trust.roots]
    current = next((one for one in there if _is_signer(one, token)), None)
    chain: list[x509.Certificate] = []
    while current is not None and current not in chain and len(chain) < 10:
        chain.append(current)
        current = next((one for one in there if one != current and _has_issued(one, current)), None)
    return chain


def _library_refuses(answer: bytes, data: bytes, trust: Trust) -> str:
    """Return why the library does not accept an answer; "" when it does."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response  # noqa: PLC0415

    try:
        # Only what is trusted: it would take any self-signed certificate that it is given for a root.
        VerifierBuilder(roots=list(trust.roots)).build().verify_message(decode_timestamp_response(answer), data)
    except (VerificationError, ValueError, AttributeError) as error:
        return _words(str(error) or type(error).__name__)
    except BaseException as error:  # a panic in the library's Rust is no Exception; the answer is somebody else's bytes
        if type(error).__module__ != "pyo3_runtime":
            raise
        return _words(f"it broke ({error})")
    return ""


def _openssl_refuses(answer: bytes, data: bytes, trust: Trust, at_s: int) -> str:
    """Return why openssl does not accept an answer; "" when it does."""
    with tempfile.TemporaryDirectory(prefix="vittne-stamp-") as folder:
        files = {"token.tsr": answer, "data": data, "roots.pem": trust.pem()}
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        command = ["openssl", "ts", "-verify", "-in", "token.tsr", "-data", "data", "-CAfile", "roots.pem"]
        try:
            done = subprocess.run(
                [*command, "-attime", str(at_s)],
                cwd=folder,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_OPENSSL_S,
                check=False,
            )
        except FileNotFoundError:
            return "the program is not installed"
        except (OSError, subprocess.TimeoutExpired) as error:
            return _words(str(error))
    if done.returncode == 0 and b"Verification: OK" in done.stdout:
        return ""
    return _words(_reasons(done.stderr.decode("utf-8", "replace")))


def _reasons(said: str) -> str:
    """Return what openssl's lines of error say, without where in its source that is."""
    lines = [line.split(":") for line in said.splitlines() if ":error:" in line]
    found = [" ".join(part.strip() for part in (parts[5:6] + parts[8:]) if part.strip()) for parts in lines]
    return "; ".join(dict.fromkeys(filter(None, found))) or "no reason given"


def _words(text: str) -> str:
    return " ".join(text.split())[:300]


def _bundle() -> Path:
    known = [ssl.get_default_verify_paths().cafile, *_BUNDLES]
    for path in known:
        if path and Path(path).is_file():
            return Path(path)
    raise StoreError("this system has no list of certificates", _BUNDLES[0], "set ca_file of the authority")


def _loaded(certificates: Sequence[bytes]) -> list[x509.Certificate]:
    """Return those, DER or PEM, that can be read: others sign nothing that we could follow."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for one in certificates:
            is_pem = one.startswith(b"-----")
            with contextlib.suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(one) if is_pem else x509.load_der_x509_certificate(one))
    return found


def _is_signer(certificate: x509.Certificate, token: Token) -> bool:
    if token.signer is None:
        return False
    issuer, serial = token.signer
    return certificate.serial_number == serial and certificate.issuer.public_bytes() == issuer


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
