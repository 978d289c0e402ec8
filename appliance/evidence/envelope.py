"""Files for one recipient: CMS AuthEnvelopedData (RFC 5083), AES-256-GCM, made and opened by the openssl program.

    openssl cms -decrypt -inform DER -in call.cms -recip certificate.pem -inkey key.pem -out call.flac

What is put in goes through a pipe, or lies in memory only: it never touches a disk in clear.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import now_us

_LIMIT: Final = 1 << 20
_RSA_BITS: Final = 2048
_NEXT: Final = "ask the recipient for a certificate with an RSA key of 2048 bits or more, or an EC key"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whose key opens it."""

    certificate: x509.Certificate
    path: Path

    @property
    def name(self) -> str:
        """The certificate's subject."""
        return self.certificate.subject.rfc4514_string()


def read_recipient(path: Path) -> Recipient:
    """Read a certificate, PEM. Raises StoreError when it is none, has expired, or its key cannot be used."""
    try:
        with path.open("rb") as stream:
            certificate = x509.load_pem_x509_certificate(stream.read(_LIMIT))
    except OSError as error:
        raise explain(error, "read the recipient's certificate", path) from error
    except ValueError as error:
        raise StoreError("this is no certificate", path, "PEM is expected") from error
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) and not (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS
    ):
        raise StoreError("this certificate's key is none to encrypt for", path, _NEXT)
    if (
        not certificate.not_valid_before_utc.timestamp()
        <= now_us() / 1e6
        <= certificate.not_valid_after_utc.timestamp()
    ):
        raise StoreError("this certificate is not valid today", path, "ask the recipient for a new one")
    return Recipient(certificate, path)


@contextmanager
def memory_file() -> Iterator[BinaryIO]:
    """Yield a file that lies in memory only."""
    with os.fdopen(os.memfd_create("vittne", os.MFD_CLOEXEC), "w+b") as stream:
        yield stream


def seal_for(recipient: Recipient, plain: BinaryIO, target: BinaryIO) -> None:
    """Encrypt plain, from its beginning, into target. Raises StoreError."""
    command = ["openssl", "cms", "-encrypt", "-binary", "-stream", "-outform", "DER", "-aes-256-gcm", "-recip"]
    padding = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]
    is_rsa = isinstance(recipient.certificate.public_key(), rsa.RSAPublicKey)
    plain.flush()
    plain.seek(0)
    pem = recipient.certificate.public_bytes(Encoding.PEM)
    read_end, write_end = os.pipe()
    try:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(pem)
        done = subprocess.run(
            [*command, f"/dev/fd/{read_end}", *(padding if is_rsa else [])],
            stdin=plain,
            stdout=target,
            stderr=subprocess.PIPE,
            pass_fds=(read_end,),
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise StoreError("openssl is not installed", "openssl cms", "install it, or leave --to out") from error
    except OSError as error:
        raise explain(error, "encrypt for the recipient", recipient.path) from error
    finally:
        os.close(read_end)
    if done.returncode:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
        raise StoreError(f"openssl cannot encrypt for the recipient ({words})", recipient.path, _NEXT)
