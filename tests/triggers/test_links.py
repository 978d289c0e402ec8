"""The connections end to end, against small PBXs of our own on loopback (pbxs.py).

Neither Asterisk nor FreeSWITCH is in Debian 12: what is shown here is that our side holds to the protocols as
they are documented, not that a real PBX agrees.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs
from triggers.pbxs import Asterisk, FreeSwitch, Pbx
from triggers.written import SECRET, ami_settings, crlf, esl_event, esl_settings

from vittne.appliance.triggers.ami import ami_link
from vittne.appliance.triggers.esl import esl_link
from vittne.appliance.triggers.link import Link, Timing
from vittne.appliance.triggers.model import TriggerEvent

QUICK: Final = Timing(login_s=0.5, ping_s=0.05, back_off_s=(0.01,), refused_s=0.01)
PATIENT: Final = Timing(back_off_s=(0.01,), refused_s=0.01)
UUID: Final = "327f11dd-17f3-476a-8ed0-45613c1342b8"
CHANNEL: Final = "PJSIP/201-00000011"
MUTE: Final = crlf(
    f"Event: MixMonitorMute\nChannel: {CHANNEL}\nUniqueid: 1.0\nLinkedid: 1.0\nDirection: both\nState: 1"
)
MASK: Final = esl_event(f"Event-Name: API\nAPI-Command: uuid_record\nAPI-Command-Argument: {UUID}%20mask%20/a.wav\n\n")

PINGS: Final = ("Action: Ping\r\n\r\n", "event plain HEARTBEAT\n\n")

Triggers = asyncio.Queue[TriggerEvent]


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    return file


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def within_time() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(within_time())


@contextlib.asynccontextmanager
async def followed(link: Link) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(claim: Callable[[], object]) -> None:
    while not claim():
        await asyncio.sleep(0.005)


async def connects(link: Link) -> None:
    async with followed(link):
        await until(lambda: link.state.connected)


def asterisk_link(port: int, file: Path, triggers: Triggers, timing: Timing = PATIENT, **values: Any) -> Link:
    return ami_link(ami_settings(port=port, secret_file=file, **values), triggers.put, timing)


def freeswitch_link(port: int, file: Path, triggers: Triggers, timing: Timing = PATIENT, **values: Any) -> Link:
    return esl_link(esl_settings(port=port, secret_file=file, **values), triggers.put, timing)


def test_asterisk_is_followed_from_the_login_to_the_trigger(secret_file: Path) -> None:
    async def test() -> None:
        pbx, triggers = Asterisk(call_ids={CHANNEL: "abc@pbx"}), Triggers()
        async with pbx.listening() as port:
            link = asterisk_link(port, secret_file, triggers)
            async with followed(link):
                await until(lambda: "Getvar" in "".join(pbx.heard))  # the channels that were up before
                pbx.say(MUTE)
                event = await triggers.get()

                assert (event.action, event.select, event.source) == ("pause", {"sip_call_id": "abc@pbx"}, "ami:pbx")
                assert link.state.connected
                assert link.state.last_error == ""
                assert link.state.triggers == 1
                assert link.state.last_event_ns >= link.state.since_ns > 0
        assert SECRET not in "".join(pbx.heard)

    run(test)


def test_freeswitch_is_followed_from_the_login_to_the_trigger(secret_file: Path) -> None:
    async def test() -> None:
        pbx, triggers = FreeSwitch(call_ids={UUID: "abc@fs"}), Triggers()
        async with pbx.listening() as port:
            link = freeswitch_link(port, secret_file, triggers)
            async with followed(link):
                await until(lambda: link.state.connected)
                pbx.say(MASK)
                early, named = await triggers.get(), await triggers.get()

                assert (early.action, early.select) == ("pause", {"channel": UUID})
                assert (named.action, named.select) == ("pause", {"sip_call_id": "abc@fs"})
                assert named.external_id == early.external_id == UUID

    run(test)


@pytest.mark.parametrize(("kind", "open_link"), [(Asterisk, asterisk_link), (FreeSwitch, freeswitch_link)])
def test_a_wrong_password_is_told_without_it_and_tried_again(
    secret_file: Path, kind: type[Pbx], open_link: Callable[..., Link]
) -> None:
    async def test() -> None:
        pbx = kind(secret="another")
        async with pbx.listening() as port:
            link = open_link(port, secret_file, Triggers())
            with capture_logs() as logs:
                async with followed(link):
                    await until(lambda: pbx.connections >= 3)
                    assert "refuses the login" in link.state.last_error
                    assert not link.state.connected
                    pbx.secret = SECRET
                    await until(lambda: link.state.connected)
                    assert link.state.last_error == ""
        assert [entry["event"] for entry in logs] == ["the PBX is not followed", "the PBX is followed"]
        assert SECRET not in str(logs)

    run(test)


@pytest.mark.parametrize(
    ("kind", "open_link", "trigger"), [(Asterisk, asterisk_link, MUTE), (FreeSwitch, freeswitch_link, MASK)]
)
def test_a_connection_cut_in_mid_packet_comes_back_without_the_half(
    secret_file: Path, kind: type[Pbx], open_link: Callable[..., Link], trigger: bytes
) -> None:
    async def test() -> None:
        pbx, triggers = kind(), Triggers()
        async with pbx.listening() as port:
            link = open_link(port, secret_file, triggers)
            async with followed(link):
                await until(lambda: link.state.connected)
                pbx.say(trigger[: len(trigger) // 2])
                pbx.hang_up()
                await until(lambda: pbx.connections == 2 and link.state.connected)
                assert triggers.empty()
                pbx.say(trigger)
                assert (await triggers.get()).action == "pause"

    run(test)


@pytest.mark.parametrize(("kind", "open_link"), [(Asterisk, asterisk_link), (FreeSwitch, freeswitch_link)])
def test_a_quiet_pbx_is_asked_and_one_that_does_not_answer_is_given_up(
    secret_file: Path, kind: type[Pbx], open_link: Callable[..., Link]
) -> None:
    async def test() -> None:
        pbx = kind()
        async with pbx.listening() as port:
            link = open_link(port, secret_file, Triggers(), QUICK)
            async with followed(link):
                await until(lambda: link.state.connected)
                already = len(pbx.heard)
                await until(lambda: sum(heard in PINGS for heard in pbx.heard[already:]) >= 5)

                pbx.is_deaf = True
                await until(lambda: not link.state.connected)
                assert link.state.last_error
                pbx.is_deaf = False
                await until(lambda: link.state.connected)

    run(test)


@pytest.mark.parametrize(("kind", "open_link"), [(Asterisk, asterisk_link), (FreeSwitch, freeswitch_link)])
def test_garbage_does_not_end_the_following(secret_file: Path, kind: type[Pbx], open_link: Callable[..., Link]) -> None:
    async def test() -> None:
        pbx, triggers = kind(), Triggers()
        async with pbx.listening() as port:
            link = open_link(port, secret_file, triggers)
            async with followed(link):
                await until(lambda: link.state.connected)
                pbx.say(b"\x00\xff: \r\n\r\n: : :\n\nEvent: \n\n" + b"x" * 100_000 + b"\n\n")
                pbx.say(MUTE if kind is Asterisk else MASK)
                assert (await triggers.get()).action == "pause"

    run(test)


def test_a_trigger_nobody_can_use_does_not_stop_the_next(secret_file: Path) -> None:
    async def test() -> None:
        taken: list[TriggerEvent] = []

        async def tell(event: TriggerEvent) -> None:
            taken.append(event)
            if len(taken) == 1:
                raise RuntimeError("no recorder")

        pbx = Asterisk()
        async with pbx.listening() as port:
            link = ami_link(ami_settings(port=port, secret_file=secret_file), tell, PATIENT)
            async with followed(link):
                await until(lambda: link.state.connected)
                pbx.say(MUTE + MUTE)
                await until(lambda: len(taken) == 2)
                assert "could not be passed on" in link.state.last_error
                assert pbx.connections == 1

    run(test)


def test_nobody_there_and_no_secret_are_told(secret_file: Path) -> None:
    async def test() -> None:
        async with Asterisk().listening() as port:
            pass
        link = asterisk_link(port, secret_file, Triggers())
        async with followed(link):
            await until(lambda: link.state.last_error)
        secret_file.unlink()
        link = asterisk_link(port, secret_file, Triggers())
        async with followed(link):
            await until(lambda: "cannot read the secret" in link.state.last_error)

    run(test)


def test_a_certificate_is_checked_unless_that_is_switched_off(secret_file: Path, tmp_path: Path) -> None:
    async def test() -> None:
        certificate = self_signed(tmp_path)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        pbx = Asterisk()
        async with pbx.listening(tls) as port:
            link = asterisk_link(port, secret_file, Triggers(), tls=True)
            async with followed(link):
                await until(lambda: "certificate" in link.state.last_error.lower())
                assert pbx.heard == []
            await connects(asterisk_link(port, secret_file, Triggers(), tls=True, ca_file=certificate))
            await connects(asterisk_link(port, secret_file, Triggers(), tls=True, verify=False))

    run(test)


def self_signed(folder: Path) -> Path:
    """Return a file with a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pbx")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(address, critical=False)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    certificate = builder.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    written = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "pbx.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + written)
    return file
