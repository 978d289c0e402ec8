"""Alarms that reach people: by a real mail server and net-snmp's own receiver."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from vittne.appliance.alarming.desk import AlarmDesk
from vittne.appliance.alarming.mail import MailCarrier
from vittne.appliance.alarming.notice import Notice, notice_of, subject, trial
from vittne.appliance.alarming.settings import AlarmMail, AlarmSnmp
from vittne.appliance.alarming.snmp import OBJECTS, TRAPS, SnmpCarrier
from vittne.appliance.alarming.way import Pace, Way
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of
from vittne.appliance.console.texts import read_texts
from vittne.appliance.events.alarms import Alarm, Alarms
from vittne.appliance.events.bus import Bus
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

SECRET = "correct-horse-battery"
MIB = Path(__file__).resolve().parents[2] / "docs" / "VITTNE-MIB.txt"


@dataclass
class Mailbox:
    """A mail server that keeps what comes, and refuses when it is told to."""

    came: list[Message] = field(default_factory=list)
    refuses: bool = False
    port: int = 0
    ca: Path = Path()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 try again"
        self.came.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"

    def settings(self, tmp_path: Path, **more: Any) -> AlarmMail:
        secret = tmp_path / "smtp"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        given = {"name": "duty", "host": "localhost", "port": self.port, "ca_file": self.ca, "username": "me"}
        given |= {"password_file": secret, "sender": "vittne@example.org", "to": ("duty@example.org",)}
        return AlarmMail.model_validate({**given, **more})


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    files = files_of(tmp_path, ApiSettings(listen=("127.0.0.1",)))
    ServerCertificate(files, datetime.now(UTC))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    found = Mailbox(ca=files.certificate)

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given.password == SECRET.encode(), handled=False)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Controller(
            found,
            hostname="127.0.0.1",
            port=free.getsockname()[1],
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=check,
        )
    server.start()
    found.port = server.port
    try:
        yield found
    finally:
        server.stop()


def raised(alarms: Alarms, words: str, **line: object) -> Alarm:
    alarms.raise_(words, line)
    return alarms.all()[0]


def way_of(settings: AlarmMail, **pace: Any) -> Way:
    return Way("mail", settings, MailCarrier(settings, str), Pace(**pace))


def test_a_burst_is_one_mail_and_its_end_another(mailbox: Mailbox, tmp_path: Path) -> None:
    bus = Bus()
    alarms = Alarms(lambda what, alarm: bus.tell("alarm", what, now_us(), alarm))
    way = way_of(mailbox.settings(tmp_path))
    bus.also(AlarmDesk(alarms, [way]).hear)
    for _ in range(30):
        alarms.raise_("the disk is nearly full", {"percent": 4.2})
    alarms.raise_("the backup failed", {"reason": "no route to +4930123456", "agent": "Hedda Gabler"})

    asyncio.run(way.turn())
    (first,) = mailbox.came
    alarms.clear("disk-full")
    asyncio.run(way.turn())

    assert "(+1)" in first["Subject"]
    text = first.get_content()  # type: ignore[attr-defined]
    assert text.count("the disk is nearly full") == 1
    assert "percent 4.2" in text
    assert "+4930123456" not in text
    assert "Gabler" not in text
    assert first["Auto-Submitted"] == "auto-generated"
    assert "over: the disk is nearly full" in mailbox.came[1].get_content()  # type: ignore[attr-defined]
    assert way.as_json()["sent"] == 3


def test_mails_speak_the_language_that_was_set(mailbox: Mailbox, tmp_path: Path) -> None:
    say = read_texts()["de"].gettext
    notice = notice_of("raised", raised(Alarms(), "the disk is nearly full"))
    assert "die" in subject([notice], say, "box").lower()
    assert "the disk is nearly full" not in subject([notice], say, "box")


def test_who_wants_only_what_is_grave_is_told_nothing_else(mailbox: Mailbox, tmp_path: Path) -> None:
    alarms = Alarms()
    warning = notice_of("raised", raised(alarms, "the capture ring is nearly full"))
    grave = notice_of("raised", raised(alarms, "the disk is nearly full"))
    assert [way_of(mailbox.settings(tmp_path, weight="bad")).takes(one) for one in (warning, grave)] == [False, True]
    only = way_of(mailbox.settings(tmp_path, only=("ring-full",)))
    assert [only.takes(one) for one in (warning, grave)] == [True, False]


def test_a_server_that_refuses_is_tried_again_and_is_an_alarm_on_the_others(
    mailbox: Mailbox, tmp_path: Path, alarms: Alarms
) -> None:
    way = way_of(mailbox.settings(tmp_path))
    other = way_of(mailbox.settings(tmp_path, name="other"))
    mailbox.refuses = True
    way.offer(notice_of("raised", raised(Alarms(), "the disk is nearly full")))
    for _ in range(3):
        asyncio.run(way.turn())

    (alarm,) = alarms.all()
    assert (alarm.id, alarm.times) == ("alarms-untold:duty", 1)
    notice = notice_of("raised", alarm)
    assert (way.takes(notice), other.takes(notice)) == (False, True)
    assert "does not take it" in way.error
    mailbox.refuses = False
    asyncio.run(way.turn())
    assert len(mailbox.came) == 1
    assert alarms.all()[0].cleared_us is not None


def test_too_many_are_left_out_the_oldest_first_and_the_mail_says_so(mailbox: Mailbox, tmp_path: Path) -> None:
    way = way_of(mailbox.settings(tmp_path))
    for n in range(510):
        way.offer(Notice("raised", "other", f"number {n}", "bad", now_us(), now_us()))
    asyncio.run(way.turn())
    text = mailbox.came[0].get_content()  # type: ignore[attr-defined]
    assert "+10" in text
    assert "number 9\n" not in text
    assert "number 509" in text


def test_no_more_mails_go_in_an_hour_than_may_but_a_test_does(mailbox: Mailbox, tmp_path: Path) -> None:
    way = way_of(mailbox.settings(tmp_path), per_hour=2)

    async def whole() -> None:
        running = asyncio.create_task(way.run())
        async with asyncio.timeout(30):
            for count in (1, 2):
                way.offer(Notice("raised", "other", f"number {count}", "bad", now_us(), now_us()))
                while len(mailbox.came) < count:
                    await asyncio.sleep(0.01)
            way.offer(Notice("raised", "other", "number 3", "bad", now_us(), now_us()))
            await asyncio.sleep(0.3)
            assert way.as_json()["waiting"] == 1
            way.offer(trial(now_us()))
            while len(mailbox.came) < 3:
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(whole())
    assert "number 3" in mailbox.came[2].get_content()  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["password", "authority", "nobody"])
def test_a_channel_says_why_it_does_not_work_and_never_its_password(
    wrong: str, mailbox: Mailbox, tmp_path: Path, alarms: Alarms
) -> None:
    settings = mailbox.settings(tmp_path, **({"ca_file": None} if wrong == "authority" else {}))
    if wrong == "password":
        (tmp_path / "smtp").write_text("guessed-guessed\n")
    if wrong == "nobody":
        settings = mailbox.settings(tmp_path, port=1)
    way = way_of(settings)
    way.offer(trial(now_us()))
    asyncio.run(way.turn())
    assert mailbox.came == []
    words = {"password": "refuses username or password", "authority": "certificate verify failed", "nobody": "refused"}
    assert words[wrong] in way.error
    assert "guessed" not in way.error
    assert way.as_json()["waiting"] == 0  # a test is not tried again


def test_a_password_comes_from_a_credential_of_systemd(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = mailbox.settings(tmp_path, password_file=None)
    carrier = MailCarrier(settings, str)
    with pytest.raises(StoreError, match="no secret"):
        asyncio.run(carrier.send([trial(1)], 0))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    asyncio.run(carrier.send([trial(1)], 0))
    assert len(mailbox.came) == 1


# SNMP


@contextmanager
def receiver(tmp_path: Path, conf: str) -> Iterator[tuple[int, Callable[[], str]]]:
    """net-snmp's receiver on a port of its own; gives the port, and what it wrote so far."""
    program = shutil.which("snmptrapd", path="/usr/sbin:/usr/bin")
    assert program is not None, "snmptrapd is missing: `make tools` installs it"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "snmptrapd.conf").write_text(conf)
    out = tmp_path / "traps"
    command = [program, "-f", "-C", "-c", str(tmp_path / "snmptrapd.conf"), "-Lf", str(out), "-On", "-m", ""]
    command += ["-F", "%N %v\\n", f"udp:127.0.0.1:{port}"]
    environment = {"SNMP_PERSISTENT_DIR": str(tmp_path / "persistent"), "PATH": "/usr/bin"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield port, lambda: out.read_text() if out.exists() else ""
        finally:
            process.terminate()


def secrets_in(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name in ("community_file", "auth_file", "privacy_file"):
        found[name] = tmp_path / name
        found[name].write_text("a-secret-of-this-test\n")
        found[name].chmod(0o600)
    return found


async def arrives(send: Callable[[], Awaitable[None]], written: Callable[[], str], words: str) -> str:
    """Send until it has arrived: the receiver may not listen yet. Returns what it wrote."""
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreError, TimeoutError):
                await send()
            for _ in range(20):
                if words in written():
                    return written()
                await asyncio.sleep(0.05)


V3 = "createUser {engine}vittne SHA-256 a-secret-of-this-test AES a-secret-of-this-test\nauthUser log vittne\n"


@pytest.mark.parametrize("how", ["2c", "2c inform", "3", "3 inform"])
def test_net_snmp_understands_what_is_sent(how: str, tmp_path: Path) -> None:
    secrets = secrets_in(tmp_path)
    version, _, inform = how.partition(" ")
    shared = {"name": "m", "host": "127.0.0.1", "version": version, "inform": bool(inform)}
    if version == "2c":
        more: dict[str, Any] = {"community_file": secrets["community_file"]}
        conf = "authCommunity log a-secret-of-this-test\n"
    else:
        more = {"user": "vittne", "auth_file": secrets["auth_file"], "privacy_file": secrets["privacy_file"]}
        made = SnmpCarrier(AlarmSnmp.model_validate({**shared, **more}))
        conf = V3.format(engine="" if inform else f"-e 0x{made.engine_id.hex()} ")
    with receiver(tmp_path, conf) as (port, written):
        carrier = SnmpCarrier(AlarmSnmp.model_validate({**shared, **more, "port": port}))
        notice = notice_of("raised", raised(Alarms(), "the disk is nearly full", percent=4.2))
        first = asyncio.run(arrives(lambda: carrier.send([notice], 0), written, "the disk is nearly full"))
        # another start of the recorder: the manager must take what comes then as well
        later = SnmpCarrier(AlarmSnmp.model_validate({**shared, **more, "port": port}))
        over = notice_of("cleared", raised(Alarms(), "the backup failed"))
        second = asyncio.run(arrives(lambda: later.send([over], 0), written, "the backup failed"))
    base = "1.3.6.1.4.1.8072.9999.9999.7487"
    assert f".{base}.{TRAPS['raised']}" in first
    assert f'.{base}.{OBJECTS["name"]}.0 = STRING: "disk-full"' in first
    assert '"percent 4.2"' in first
    assert f".{base}.{TRAPS['cleared']}" in second


def test_a_manager_that_does_not_confirm_is_noticed(tmp_path: Path) -> None:
    secrets = secrets_in(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        given = {"name": "m", "host": "127.0.0.1", "port": deaf.getsockname()[1], "version": "2c", "inform": True}
        settings = AlarmSnmp.model_validate({**given, "community_file": secrets["community_file"]})
        way = Way("snmp", settings, SnmpCarrier(settings), Pace(send_s=2))
        way.offer(trial(now_us()))
        asyncio.run(way.turn())
    assert way.error == "no answer in time"


def test_the_mib_names_what_is_sent() -> None:
    text = MIB.read_text()
    numbers = {found[1]: found[2] for found in re.finditer(r"::= \{ (\w+) ([\d ]+) \}", text)}
    assert numbers["enterprises"].replace(" ", ".") == "8072.9999.9999.7487"
    names = re.findall(r"^(vittne\w+) (?:OBJECT-TYPE|NOTIFICATION-TYPE)(?:.*\n)+?    ::= \{ (\w+) (\d) \}", text, re.M)
    found = {name: f"{'0' if parent == 'vittneNotifications' else '1'}.{number}" for name, parent, number in names}
    assert {name.removeprefix("vittneAlarm").lower(): oid for name, oid in found.items() if oid[0] == "0"} == TRAPS
    objects = {name.removeprefix("vittne").removeprefix("Alarm").lower(): oid for name, oid in found.items()}
    assert {name: oid for name, oid in objects.items() if oid[0] == "1"} == OBJECTS
