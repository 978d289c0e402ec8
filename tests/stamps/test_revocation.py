"""What is said about revocation when a token is stamped, and kept beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from rig.authority import Authority, Issued, serving

from vittne.appliance.registrar import Registrar
from vittne.appliance.stamps.folders import read_stamp
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig
from vittne.appliance.stamps.stamper import Stamper

NOW = datetime.now(UTC)


@dataclass
class Lists:
    """A place that serves files by path."""

    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = self.files.get(request.path)
        return web.Response(status=404) if body is None else web.Response(body=body)


@asynccontextmanager
async def lists() -> AsyncIterator[Lists]:
    found = Lists()
    app = web.Application()
    app.router.add_route("*", "/{name}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def crl(by: Issued, *revoked: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject)
    builder = builder.last_update(NOW).next_update(NOW + timedelta(days=1))
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def response(authority: Authority, status: ocsp.OCSPCertStatus, is_forged: bool = False) -> bytes:
    by, is_revoked = authority.middle, status == ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        authority.signer.certificate,
        by.certificate,
        hashes.SHA1(),
        status,
        NOW,
        None,
        NOW if is_revoked else None,
        None,
    )
    answers = authority.root if is_forged else by
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, answers.certificate)
    return builder.sign(answers.key, hashes.SHA256()).public_bytes(Encoding.DER)


def names(url: str) -> list[x509.ExtensionType]:
    """Extensions that name a list and a responder."""
    name = x509.UniformResourceIdentifier
    point = x509.DistributionPoint([name(f"{url}/list.crl")], None, None, None)
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name(f"{url}/ocsp"))
    return [x509.CRLDistributionPoints([point]), x509.AuthorityInformationAccess([access])]


def stamped(registrar: Registrar, folder: Path, make: str) -> tuple[Path, Lists, list[str]]:
    """Stamp with an authority whose certificate names places; return the stamp and what was logged."""

    async def whole() -> tuple[Path, Lists, list[str]]:
        async with lists() as found:
            authority = Authority(folder, extensions=names(found.url))
            serial = authority.signer.certificate.serial_number
            if "crl" in make:
                by = authority.root if "forged" in make else authority.middle
                found.files["/list.crl"] = crl(by, *([serial] if "revoked" in make else []))
            if "ocsp" in make:
                status = ocsp.OCSPCertStatus.REVOKED if "revoked" in make else ocsp.OCSPCertStatus.GOOD
                found.files["/ocsp"] = response(authority, status, "forged" in make)
            if "garbage" in make:
                found.files |= {"/list.crl": b"hello", "/ocsp": b"hello"}
            async with serving(authority) as served:
                one = AuthoritySettings(name="one", url=served.url, ca_file=authority.ca_file)
                with structlog.testing.capture_logs() as logged:
                    (outcome,) = await Stamper(registrar, StampsConfig(authorities=(one,))).stamp_now()
        assert outcome.folder is not None
        return outcome.folder, found, [line["event"] for line in logged]

    return asyncio.run(whole())


def test_a_list_and_an_answer_are_kept_as_they_came(registrar: Registrar, tmp_path: Path) -> None:
    folder, found, logged = stamped(registrar, tmp_path / "tsa", "crl ocsp")

    assert (folder / "0.crl").read_bytes() == found.files["/list.crl"]
    assert (folder / "0.ocsp").read_bytes() == found.files["/ocsp"]
    said = read_stamp(folder).revocation
    assert said["0"] == "good"
    assert said["1"].startswith("not asked")
    assert logged == []


@pytest.mark.parametrize("make", ["crl revoked", "ocsp revoked"])
def test_a_revoked_certificate_is_an_alarm_and_the_stamp_is_kept(
    registrar: Registrar, tmp_path: Path, make: str
) -> None:
    folder, _, logged = stamped(registrar, tmp_path / "tsa", make)

    assert read_stamp(folder).revocation["0"].startswith("revoked")
    assert logged == ["alarm: a certificate of an authority was revoked"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ("", "its list cannot be had (HTTP 404)"),
        ("garbage", "its list cannot be read"),
        ("crl forged", "its list is not signed by its issuer"),
        ("ocsp forged", "its OCSP responder says good, in an answer that it did not sign"),
        ("ocsp", "good"),
    ],
)
def test_what_cannot_be_had_or_believed_is_said(registrar: Registrar, tmp_path: Path, make: str, words: str) -> None:
    folder, _, logged = stamped(registrar, tmp_path / "tsa", make)

    assert words in read_stamp(folder).revocation["0"]
    assert logged == []
