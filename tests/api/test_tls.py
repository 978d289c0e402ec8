"""The certificate as openssl, curl and a strict client see it, and what happens when its files change."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api.harness import Served, run_served
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import Files, ServerCertificate, TlsError, fingerprint, self_signed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("box.example.net", "localhost", "127.0.0.1", "::1")


def own(folder: Path) -> Files:
    return Files(folder / "tls/certificate.pem", folder / "tls/key.pem", NAMES)


def openssl(*arguments: object) -> str:
    ran = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True)
    return ran.stdout


def made_by_openssl(folder: Path, name: str, days: int = 90) -> Files:
    """A certificate that an operator brings; RSA, so that it is surely not ours."""
    folder.mkdir(exist_ok=True)
    files = Files(folder / f"{name}.pem", folder / f"{name}.key")
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", days, *subject]
    openssl(*new, "-keyout", files.key, "-out", files.certificate)
    return files


def test_openssl_reads_our_certificate_as_it_is_meant(tmp_path: Path) -> None:
    found = ServerCertificate(own(tmp_path), NOW)

    text = openssl("x509", "-in", found.files.certificate, "-noout", "-text", "-nameopt", "RFC2253")
    assert "Public Key Algorithm: id-ecPublicKey" in text
    assert "NIST CURVE: P-256" in text
    assert "DNS:box.example.net, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1" in text
    assert "CA:FALSE" in text
    assert "TLS Web Server Authentication" in text
    assert "Subject: CN=box.example.net" in text
    dates = openssl("x509", "-in", found.files.certificate, "-noout", "-dates", "-dateopt", "iso_8601")
    assert dates == "notBefore=2025-12-31 23:00:00Z\nnotAfter=2027-02-01 23:00:00Z\n"
    said = openssl("x509", "-in", found.files.certificate, "-noout", "-fingerprint", "-sha256")
    assert said.strip().endswith(f"ingerprint={found.fingerprint}")


def test_a_strict_verifier_takes_it(tmp_path: Path) -> None:
    path = ServerCertificate(own(tmp_path), NOW).files.certificate
    at = str(int(NOW.timestamp()) + 3600)

    for name in (["-verify_hostname", "localhost"], ["-verify_ip", "::1"]):
        said = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-attime", at, *name, "-CAfile", path, path)
        assert said == f"{path}: OK\n"


def test_the_key_is_for_its_owner_only_and_fits(tmp_path: Path) -> None:
    files = ServerCertificate(own(tmp_path), NOW).files

    assert os.stat(files.key).st_mode & 0o7777 == 0o600
    assert os.stat(files.key.parent).st_mode & 0o7777 == 0o700
    public = openssl("x509", "-in", files.certificate, "-noout", "-pubkey")
    assert openssl("pkey", "-in", files.key, "-pubout") == public


def test_a_key_that_others_may_read_is_told(tmp_path: Path) -> None:
    files = ServerCertificate(own(tmp_path), NOW).files
    files.key.chmod(0o640)

    with capture_logs() as lines:
        ServerCertificate(files, NOW)

    assert any("others may read" in line["event"] for line in lines)


def test_a_restart_keeps_the_certificate(tmp_path: Path) -> None:
    first = ServerCertificate(own(tmp_path), NOW)

    assert ServerCertificate(own(tmp_path), NOW + timedelta(days=300)).fingerprint == first.fingerprint


def test_it_is_renewed_in_its_last_thirty_days_with_the_same_key(tmp_path: Path) -> None:
    found = ServerCertificate(own(tmp_path), NOW)
    first, key = found.fingerprint, found.files.key.read_bytes()
    end = NOW - timedelta(hours=1) + timedelta(days=397)

    assert not found.refresh(end - timedelta(days=30))
    assert found.refresh(end - timedelta(days=30) + timedelta(seconds=1))

    assert found.fingerprint != first
    assert found.files.key.read_bytes() == key
    assert not found.refresh(end - timedelta(days=29))


def test_a_certificate_that_lost_its_name_is_told_and_kept(tmp_path: Path) -> None:
    first = ServerCertificate(own(tmp_path), NOW)

    with capture_logs() as lines:
        again = ServerCertificate(Files(first.files.certificate, first.files.key, (*NAMES, "10.0.0.5")), NOW)

    assert again.fingerprint == first.fingerprint
    assert [line["missing"] for line in lines] == [["10.0.0.5"]]


def test_a_key_without_certificate_gets_one(tmp_path: Path) -> None:
    found = ServerCertificate(own(tmp_path), NOW)
    key = found.files.key.read_bytes()
    found.files.certificate.unlink()

    ServerCertificate(own(tmp_path), NOW)

    assert found.files.key.read_bytes() == key


async def seen_fingerprint(served: Served) -> str:
    """Return what a client is shown now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(*served.address, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return str(x509.load_der_x509_certificate(shown).fingerprint(hashes.SHA256()).hex(":").upper())


def test_a_replaced_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    files, other = made_by_openssl(tmp_path / "given", "one"), made_by_openssl(tmp_path / "given", "two")
    settings = ApiSettings(listen=("127.0.0.1",), certificate=files.certificate, key=files.key)

    async def use(served: Served) -> None:
        old, new = fingerprint(files.certificate), fingerprint(other.certificate)
        assert await seen_fingerprint(served) == old

        other.key.replace(files.key)
        with capture_logs() as lines:  # half of the pair: told once, the old one serves on
            assert not served.certificate.refresh(datetime.now(UTC))
            assert not served.certificate.refresh(datetime.now(UTC))
        assert [line["log_level"] for line in lines] == ["error"]
        assert await seen_fingerprint(served) == old
        assert (await served.get("health")).status == 200

        other.certificate.replace(files.certificate)
        with capture_logs() as lines:
            assert served.certificate.refresh(datetime.now(UTC))
        assert await seen_fingerprint(served) == new
        assert lines[-1]["fingerprint_sha256"] == new

    run_served(tmp_path, use, settings=settings)


def test_a_file_that_is_gone_does_not_end_service(tmp_path: Path) -> None:
    files = made_by_openssl(tmp_path / "given", "one")
    settings = ApiSettings(listen=("127.0.0.1",), certificate=files.certificate, key=files.key)

    async def use(served: Served) -> None:
        files.key.unlink()
        assert not served.certificate.refresh(datetime.now(UTC))
        assert await seen_fingerprint(served) == served.certificate.fingerprint

    run_served(tmp_path, use, settings=settings)


def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    one, two = made_by_openssl(tmp_path, "one"), made_by_openssl(tmp_path, "two")
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", one.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    empty = tmp_path / "empty.pem"
    empty.touch()

    for files in (Files(one.certificate, two.key), Files(one.certificate, locked), Files(empty, one.key)):
        with pytest.raises(TlsError, match="cannot be used"):
            ServerCertificate(files, NOW)


def test_a_broken_key_of_our_own_is_not_replaced_silently(tmp_path: Path) -> None:
    files = own(tmp_path)
    files.key.parent.mkdir()
    files.key.write_text("x")

    with pytest.raises(TlsError, match="the API's key is none"):
        ServerCertificate(files, NOW)
    assert files.key.read_text() == "x"


def test_a_given_certificate_that_ends_soon_is_told(tmp_path: Path) -> None:
    files = made_by_openssl(tmp_path, "one", days=10)

    with capture_logs() as lines:
        ServerCertificate(files, datetime.now(UTC))

    assert lines[0]["days_left"] == 9


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert await version_agreed(served, version) == version.name.replace("_", ".")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await version_agreed(served, ssl.TLSVersion.TLSv1_1)

    run_served(tmp_path, use)


async def version_agreed(served: Served, version: ssl.TLSVersion) -> str:
    context = ssl.create_default_context(cafile=served.certificate.files.certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    _, writer = await asyncio.open_connection(*served.address, ssl=context)
    found = str(writer.get_extra_info("ssl_object").version())
    writer.close()
    return found


def test_curl_trusts_the_file_and_the_pin_that_is_logged(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        with capture_logs() as lines:
            served.certificate.tell("now")
        pin = lines[0]["public_key_sha256"]
        url = f"https://localhost:{served.address[1]}/api/v1/health"
        for trust in (["--cacert", str(served.certificate.files.certificate)], ["-k", "--pinnedpubkey", pin]):
            found = await asyncio.to_thread(
                subprocess.run, ["curl", "-sS", *trust, url], capture_output=True, text=True, check=True
            )
            assert found.stdout == '{"status":"ok"}'

    run_served(tmp_path, use)


def test_the_servers_own_certificate_names_this_machine(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        text = openssl("x509", "-in", served.certificate.files.certificate, "-noout", "-ext", "subjectAltName")
        for name in (f"DNS:{socket.gethostname()}", "DNS:localhost", "IP Address:127.0.0.1"):
            assert name in text

    run_served(tmp_path, use)


def test_a_long_host_name_still_gives_a_certificate() -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    found = self_signed(key, ("a" * 60 + ".example.net", "localhost"), NOW)

    assert found.subject.rdns[0].rfc4514_string() == "CN=" + "a" * 60 + ".exa"
