"""A small real time stamping authority: certificates made here, tokens signed by the openssl program."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

POLICY: Final = "1.3.6.1.4.1.99999.1"
OTHER_POLICY: Final = "1.3.6.1.4.1.99999.2"
ALL_DIGESTS: Final = "sha256, sha384, sha512"
_UTC: Final = {**os.environ, "TZ": "UTC"}
_DAY: Final = timedelta(days=1)
_CONFIG: Final = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_digest = sha256
default_policy = {policy}
other_policies = {other}
digests = {digests}
accuracy = secs:1, millisecs:500, microsecs:100
ordering = yes
tsa_name = {named}
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def issue(name: str, by: Issued | None = None, ca: bool = True, **given: Any) -> Issued:
    """Make a certificate. given: begin, end (datetimes), usage (the key usages of a leaf), extensions."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(given.get("serial") or x509.random_serial_number())
        .not_valid_before(given.get("begin") or now - _DAY)
        .not_valid_after(given.get("end") or now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if by is not None:
        found = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(found, critical=False)
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    builder = builder.add_extension(usage, critical=True)
    if not ca:
        usages = given.get("usage") or [ExtendedKeyUsageOID.TIME_STAMPING]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=True)
    for extension in given.get("extensions", ()):
        builder = builder.add_extension(extension, critical=False)
    return Issued(builder.sign((by or Issued(None, key)).key, hashes.SHA256()), key)  # type: ignore[arg-type]


class Authority:
    """Answers requests with tokens. leaf: settings of issue() for the certificate that signs; ca_begin."""

    def __init__(self, folder: Path, chained: bool = False, digests: str = ALL_DIGESTS, **leaf: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.chained = chained
        begin = leaf.pop("ca_begin", None)
        self.root = issue("Vittne Test Root", begin=begin)
        self.middle = issue("Vittne Test Issuing CA", self.root, begin=begin)
        self.signer = issue("Vittne Test TSA", self.middle, ca=False, **leaf)
        self.ca_file = self._write("roots.pem", self.root.pem + (b"" if chained else self.middle.pem))
        self._write("chain.pem", self.middle.pem)
        self._write("signer.pem", self.signer.pem)
        key = self.signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._write("signer.key", key)
        self._write("serial", b"1000")
        text = _CONFIG.format(folder=folder, policy=POLICY, other=OTHER_POLICY, digests=digests, named="yes")
        self._write("tsa.cnf", text.encode())

    def answer(self, request: bytes, at: str = "") -> bytes:
        """Return the TimeStampResp to a TimeStampReq. at: what the authority's clock says, "2020-01-02 03:04:05"."""
        question = self._write("request.tsq", request)
        reply = self.folder / "reply.tsr"
        command = ["openssl", "ts", "-reply", "-config", str(self.folder / "tsa.cnf"), "-queryfile", str(question)]
        command += ["-signer", str(self.folder / "signer.pem"), "-inkey", str(self.folder / "signer.key")]
        command += ["-chain", str(self.folder / "chain.pem")] if self.chained else []
        faked = ["faketime", at] if at else []
        subprocess.run([*faked, *command, "-out", str(reply)], check=True, capture_output=True, env=_UTC)
        return reply.read_bytes()

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


Behaviour = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


class Served:
    """An authority on loopback. behaviour: set it, and it answers otherwise than it should."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.behaviour: Behaviour | None = None
        self.requests: list[web.Request] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        asked = await request.read()
        if self.behaviour is not None:
            return await self.behaviour(request, asked)
        return reply(await asyncio.to_thread(self.authority.answer, asked))


def reply(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/timestamp-reply")


@asynccontextmanager
async def serving(authority: Authority, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Serve an authority for as long as the block lasts."""
    served = Served(authority)
    app = web.Application()
    app.router.add_post("/tsa", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/tsa"
    try:
        yield served
    finally:
        await runner.cleanup()


def openssl_accepts(folder: Path, authority: Authority) -> bool:
    """Say whether openssl, by itself, takes a stored stamp for one over the checkpoint beside it."""
    command = ["openssl", "ts", "-verify", "-in", str(folder / "token.tsr"), "-CAfile", str(authority.ca_file)]
    asked = [["-data", str(folder / "checkpoint")], ["-queryfile", str(folder / "request.tsq")]]
    return all(not subprocess.run([*command, *one], capture_output=True, check=False).returncode for one in asked)
