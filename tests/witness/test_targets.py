"""Checkpoints on their way to syslog, mailboxes and directories: real servers on loopback, small."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.note import note_in_line, open_checkpoint
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store
from vittne.appliance.witness.folder import DirectoryTarget
from vittne.appliance.witness.mail import MailTarget
from vittne.appliance.witness.settings import DirectorySettings, LedgerConfig, MailSettings, SyslogSettings
from vittne.appliance.witness.syslog import SyslogTarget
from vittne.appliance.witness.target import OneThread, Published

RFC5424 = re.compile(rb"<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ vittne \d+ checkpoint - (checkpoint .*)")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    Store(tmp_path / "data").close()
    ledger = open_ledger(tmp_path / "data")
    ledger.record({"t": "start", "run": 1, "version": "1"})
    return ledger


@pytest.fixture
def published(ledger: Ledger) -> Published:
    return Published(*ledger.publish_note())


def tls_files(data: Path) -> tuple[Path, Path]:
    """A certificate for localhost and 127.0.0.1, and its key."""
    files = files_of(data, ApiSettings(listen=("127.0.0.1",)))
    ServerCertificate(files, datetime.now(UTC))
    return files.certificate, files.key


def is_of(ledger: Ledger, line: bytes) -> bool:
    """Whether a line holds the ledger's signed checkpoint."""
    note = note_in_line(line)
    return note is not None and open_checkpoint(note, ledger.key.verifier) == ledger.published


async def take_stream(send: Callable[[int], Awaitable[None]], context: ssl.SSLContext | None = None) -> bytes:
    """Return what one connection to a server brought."""
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    async with server:
        await send(server.sockets[0].getsockname()[1])
        return await done


def test_syslog_over_udp_is_one_message_of_rfc_5424(ledger: Ledger, published: Published) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        settings = SyslogSettings(name="siem", transport="udp", host="127.0.0.1", port=port)
        asyncio.run(SyslogTarget(settings).send(published))
        message = server.recv(4096)

    found = RFC5424.fullmatch(message)
    assert found is not None
    assert is_of(ledger, found[1])


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_syslog_over_a_stream_counts_its_octets(
    transport: Any, ledger: Ledger, published: Published, tmp_path: Path
) -> None:
    certificate, key = tls_files(tmp_path / "data")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    is_tls = transport == "tls"

    async def send(port: int) -> None:
        ca_file = certificate if is_tls else None
        settings = SyslogSettings(name="siem", transport=transport, host="127.0.0.1", port=port, ca_file=ca_file)
        await SyslogTarget(settings).send(published)

    frame = asyncio.run(take_stream(send, context if is_tls else None))

    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    assert RFC5424.fullmatch(message)
    assert is_of(ledger, message)


def test_syslog_over_tls_believes_no_stranger(published: Published, tmp_path: Path) -> None:
    certificate, key = tls_files(tmp_path / "data")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def whole() -> None:
        server = await asyncio.start_server(lambda _r, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await SyslogTarget(SyslogSettings(name="siem", host="127.0.0.1", port=port)).send(published)

    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(whole())


def test_the_local_syslog_is_told_too(ledger: Ledger, published: Published, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        settings = SyslogSettings(name="journal", transport="local", socket=tmp_path / "log")
        asyncio.run(SyslogTarget(settings).send(published))
        message = server.recv(4096)

    assert message.startswith(f"<110>vittne[{os.getpid()}]: checkpoint origin=".encode())
    assert is_of(ledger, message)


def test_a_syslog_that_is_not_there_is_an_error(published: Published, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write to the local syslog"):
        asyncio.run(SyslogTarget(SyslogSettings(name="x", transport="local", socket=tmp_path / "none")).send(published))


class Mailbox:
    """Keeps what a mail server was given."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"


@contextmanager
def mail_server(data: Path, **options: Any) -> Iterator[tuple[Mailbox, int, Path]]:
    certificate, key = tls_files(data)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    mailbox = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if options.pop("tls", True):
        options |= {"tls_context": context, "require_starttls": True}
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield mailbox, port, certificate
    finally:
        controller.stop()


def only_ann(_server: Any, _session: Any, _envelope: Any, _mechanism: str, found: LoginPassword) -> AuthResult:
    return AuthResult(success=found == LoginPassword(b"ann", b"right"), handled=False)


def mail_settings(port: int, **more: Any) -> MailSettings:
    given: dict[str, Any] = {"name": "audit", "host": "127.0.0.1", "port": port, "sender": "vittne@example.org"}
    return MailSettings(**given, to=("audit@example.org",), **more)


def test_a_mail_holds_the_signed_note(ledger: Ledger, published: Published, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    secret.chmod(0o600)
    with mail_server(tmp_path / "data", authenticator=only_ann, auth_required=True) as (mailbox, port, certificate):
        settings = mail_settings(port, username="ann", password_file=secret, ca_file=certificate)
        asyncio.run(MailTarget(settings).send(published))

    ((sender, recipients, content),) = mailbox.mails
    mail = message_from_bytes(content)
    (note,) = [part.get_payload(decode=True) for part in mail.walk() if part.get_filename() == "checkpoint-1"]
    assert (sender, recipients) == ("vittne@example.org", ["audit@example.org"])
    assert mail["Subject"] == f"checkpoint of {ledger.key.name}: 1 entries"
    assert isinstance(note, bytes)
    assert open_checkpoint(note, ledger.key.verifier) == published.checkpoint


def test_a_wrong_password_is_told_without_it(published: Published, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong-password\n")
    secret.chmod(0o600)
    with mail_server(tmp_path / "data", authenticator=only_ann, auth_required=True) as (mailbox, port, certificate):
        settings = mail_settings(port, username="ann", password_file=secret, ca_file=certificate)
        with pytest.raises(StoreError, match="refuses username or password") as raised:
            asyncio.run(MailTarget(settings).send(published))

    assert "wrong-password" not in str(raised.value)
    assert mailbox.mails == []


def test_no_mail_is_sent_readable_when_tls_is_asked_for(published: Published, tmp_path: Path) -> None:
    with mail_server(tmp_path / "data", tls=False) as (mailbox, port, _), pytest.raises(StoreError, match="lacks"):
        asyncio.run(MailTarget(mail_settings(port)).send(published))

    assert mailbox.mails == []


def test_a_directory_gets_the_newest_note_and_a_line_for_each(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    target = DirectoryTarget(DirectorySettings(name="nas", path=tmp_path / "share"))
    for _ in range(2):
        ledger.record({"t": "stop"})
        asyncio.run(target.send(Published(*ledger.publish_note())))

    (folder,) = (tmp_path / "share").iterdir()
    lines = (folder / "checkpoints.log").read_bytes().splitlines()
    assert open_checkpoint((folder / "checkpoint").read_bytes(), ledger.key.verifier) == ledger.published
    assert [b" size=2 " in lines[0], b" size=3 " in lines[1], len(lines)] == [True, True, 2]
    assert is_of(ledger, lines[1])


def test_a_directory_that_is_missing_or_not_mounted_is_not_made(published: Published, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        asyncio.run(DirectoryTarget(DirectorySettings(name="nas", path=tmp_path / "share")).send(published))
    (tmp_path / "share").mkdir()
    settings = DirectorySettings(name="nas", path=tmp_path / "share", mounted=True)
    with pytest.raises(StoreError, match="nothing is mounted"):
        asyncio.run(DirectoryTarget(settings).send(published))
    assert list((tmp_path / "share").iterdir()) == []


def test_what_hangs_is_not_started_twice_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs")

    def hang() -> None:
        (tmp_path / "hangs").write_bytes(b"nobody reads")

    async def whole() -> None:
        thread = OneThread()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await thread.run(hang)
        with pytest.raises(TimeoutError, match="still hangs"):
            await thread.run(lambda: None)

    asyncio.run(whole())
    (tmp_path / "hangs").read_bytes()  # let it end


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"syslog": [{"name": "a"}]}, "host is needed"),
        ({"syslog": [{"name": "a", "host": "h", "transport": "udp", "ca_file": "x"}]}, "ca_file means something"),
        ({"syslog": [{"name": "a", "host": "h"}], "directory": [{"name": "a", "path": "x"}]}, "two targets"),
        ({"mail": [{"name": "a", "host": "h", "sender": "x y", "to": ["a@b"]}]}, "an address such as"),
        ({"mail": [{"name": "a", "host": "h", "sender": "a@b", "to": ["a@b"], "username": "u"}]}, "go together"),
        ({"witness": [{"name": "a", "url": "https://u:p@h", "key": "k"}]}, "no password"),
        ({"witness": [{"name": "a", "url": "https://h", "key": "k"}]}, "a witness's key is expected"),
        ({"witness_of": ["k"]}, "a ledger's key is expected"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LedgerConfig.model_validate(section)
