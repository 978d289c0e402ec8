"""Who the API is: TLS 1.2 or later, with a certificate that was given, or one of its own.

    DATA/tls/key.pem            P-256, 0600, made once
    DATA/tls/certificate.pem    self-signed, 397 days, made anew when less than 30 are left

A renewed certificate keeps the key, so that a client which pins the public key goes on. A client may also pin the
certificate; its fingerprint is logged. A file that was replaced is taken without a restart.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.config import Config
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import write_atomically

log = structlog.get_logger()

FOLDER: Final = "tls"
DAYS: Final = 397  # what browsers take at most
RENEW_DAYS: Final = 30
_HOUR: Final = timedelta(hours=1)  # a client's clock may be late
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # TLS 1.2; those of 1.3 are all good


class TlsError(StoreError):
    """A certificate or key that cannot be used."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where certificate and key are. names: what a certificate of our own names; empty when it was given."""

    certificate: Path
    key: Path
    names: tuple[str, ...] = ()


def files_of(data: Path, settings: ApiSettings) -> Files:
    """Return where certificate and key are, or will be when they are our own."""
    if settings.certificate is not None and settings.key is not None:
        return Files(settings.certificate, settings.key)
    folder = data / FOLDER
    return Files(folder / "certificate.pem", folder / "key.pem", own_names(settings.listen, socket.gethostname()))


def own_names(listen: Sequence[str], hostname: str) -> tuple[str, ...]:
    """Return what our own certificate names: this machine's name, localhost, loopback, addresses listened on.

    >>> own_names(["127.0.0.1", "0.0.0.0", "192.0.2.5"], "box")
    ('box', 'localhost', '127.0.0.1', '::1', '192.0.2.5')
    """
    addresses = [text.partition("%")[0] for text in listen if not ipaddress.ip_address(text).is_unspecified]
    host = [hostname] if hostname and hostname.isascii() and not any(map(str.isspace, hostname)) else []
    return tuple(dict.fromkeys([*host, "localhost", "127.0.0.1", "::1", *addresses]))


class ServerCertificate:
    """An SSL context that follows its files."""

    def __init__(self, files: Files, now: datetime) -> None:
        """Load, or make, certificate and key. Raises StoreError."""
        self.files = files
        if files.names:
            _ensure_own(files, now)
            _warn_of_missing_names(files)
        self._told = ""
        self._seen = _stamp(files)
        self._check(now)
        self.context = server_context()
        _load(self.context, files)
        self.fingerprint = fingerprint(files.certificate)

    def refresh(self, now: datetime) -> bool:
        """Renew our own certificate when its time has come, take files that changed; say whether they were taken.

        Files that cannot be used are told once, and the old ones serve on.
        """
        if self.files.names:
            self._renew(now)
        stamp = _stamp(self.files)
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._check(now)
            _load(self.context, self.files)
        except StoreError as error:
            log.error("the API's new certificate cannot be used; the old one serves on", reason=str(error))
            return False
        self.fingerprint = fingerprint(self.files.certificate)
        self.tell("the API has a new certificate")
        return True

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what has the files served as they are now. Raises StoreError: they cannot be used."""
        now = datetime.now(UTC)
        if self.files.names:
            self._renew(now)
        self._check(now)
        return lambda: self._serve_anew(now)

    def _serve_anew(self, now: datetime) -> None:
        self._seen = ()
        self.refresh(now)

    def _renew(self, now: datetime) -> None:
        try:
            _ensure_own(self.files, now)
            self._told = ""
        except StoreError as error:
            if str(error) != self._told:
                log.error("the API's certificate could not be renewed", reason=str(error))
            self._told = str(error)

    def tell(self, event: str) -> None:
        """Write to the log how a client knows us."""
        found = _read_certificate(self.files.certificate)
        log.info(
            event,
            certificate=str(self.files.certificate),
            fingerprint_sha256=self.fingerprint,
            public_key_sha256=public_key_pin(found),
            until=found.not_valid_after_utc.isoformat(),
        )

    def _check(self, now: datetime) -> None:
        """Load the files into a context of no use: one that serves must not be left with half of a pair."""
        _load(server_context(), self.files)
        left = _read_certificate(self.files.certificate).not_valid_after_utc - now
        if left < timedelta(days=RENEW_DAYS):
            log.warning("the API's certificate ends soon, or has ended", days_left=left.days)
        if self.files.names and os.stat(self.files.key).st_mode & 0o077:
            log.warning("others may read the API's key: take their rights away", file=str(self.files.key))


def days_left(certificate: Path, now: datetime) -> float | None:
    """Return for how many days a certificate is good; None where there is none that can be read."""
    try:
        return (_read_certificate(certificate).not_valid_after_utc - now) / timedelta(days=1)
    except StoreError:
        return None


def server_context() -> ssl.SSLContext:
    """Return a context for a server, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    return context


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of a file's first certificate as `openssl x509 -fingerprint -sha256` writes it."""
    return _read_certificate(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def public_key_pin(certificate: x509.Certificate) -> str:
    """Return what curl's --pinnedpubkey takes."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256//{base64.b64encode(hashlib.sha256(key).digest()).decode()}"


def _load(context: ssl.SSLContext, files: Files) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except ssl.SSLError as error:
        next_step = "give a PEM certificate with its chain, and the PEM key that belongs to it, without a passphrase"
        raise TlsError(
            f"the API's certificate and key cannot be used ({error})", files.certificate, next_step
        ) from error
    except OSError as error:
        raise explain(error, "read the API's certificate and key", files.certificate) from error


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise explain(error, "read the API's certificate", path) from error
    except ValueError as error:
        raise TlsError("the API's certificate is none", path, "give a certificate in PEM") from error


def certificate_end(path: Path) -> datetime:
    """Return when a file's first certificate ends. Raises TlsError."""
    return _read_certificate(path).not_valid_after_utc


def _stamp(files: Files) -> tuple[object, ...]:
    """Return what changes when a file is replaced or written anew."""
    found: list[object] = []
    for path in (files.certificate, files.key):
        try:
            state = path.stat()
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
        except OSError as error:
            found.append(error.errno)
    return tuple(found)


def _ensure_own(files: Files, now: datetime) -> None:
    """Make key and certificate where they are missing or soon too old. Raises StoreError."""
    try:
        files.key.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise explain(error, "make a folder", files.key.parent) from error
    if not files.key.exists():
        _write_key(files.key)
    if not files.certificate.exists() or _is_old(files, now):
        certificate = self_signed(_read_key(files.key), files.names, now)
        write_atomically(files.certificate, certificate.public_bytes(Encoding.PEM))


def _is_old(files: Files, now: datetime) -> bool:
    return _read_certificate(files.certificate).not_valid_after_utc - now < timedelta(days=RENEW_DAYS)


def _warn_of_missing_names(files: Files) -> None:
    """Say what our certificate should name and does not. Not renewed for that: clients may have pinned it."""
    missing = set(files.names) - set(_names_in(_read_certificate(files.certificate)))
    if missing:
        where = str(files.certificate)
        log.warning(
            "the API's certificate lacks names; remove it to have a new one", missing=sorted(missing), file=where
        )


def _write_key(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomically(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise explain(error, "read the API's key", path) from error
    except (ValueError, TypeError) as error:
        raise TlsError("the API's key is none", path, "remove it: a new one is made, and clients pin that") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsError("the API's key is of another kind", path, "remove it: a new one is made")
    return key


def self_signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> x509.Certificate:
    """Return a certificate that says of itself who it is, for servers only, not for signing others."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    public = key.public_key()
    extensions: list[tuple[Any, bool]] = [
        (x509.SubjectAlternativeName([_general_name(text) for text in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_signs_only(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    ]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _HOUR).not_valid_after(now - _HOUR + timedelta(days=DAYS))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _signs_only() -> x509.KeyUsage:
    no = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    return x509.KeyUsage(digital_signature=True, encipher_only=False, decipher_only=False, **dict.fromkeys(no, False))


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _names_in(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def utc_now() -> datetime:
    """Return what the machine's clock says."""
    return datetime.now(UTC)
