"""Stamps over the network: a real authority on loopback, and everything that may go wrong with one."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import ledgers
import pytest
import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from rig.authority import Authority, Served, issue, openssl_accepts, reply, serving
from rig.books import begun

from vittne.appliance.registrar import Registrar
from vittne.appliance.stamps.client import Unanswered
from vittne.appliance.stamps.entering import enter
from vittne.appliance.stamps.folders import Stamp, all_stamps, read_stamp
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig
from vittne.appliance.stamps.stamper import Stamper, Timing
from vittne.appliance.stamps.taking import NotStamped, fetch_stamp
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import from_rfc3339, now_us, rfc3339

QUICK: Final = Timing(look_s=0.01, back_off_s=(0.01,))


def asks(served: Served, **settings: Any) -> AuthoritySettings:
    values = {"name": "one", "url": served.url, "ca_file": served.authority.ca_file, **settings}
    return AuthoritySettings.model_validate(values)


def with_authority(authority: Authority, act: Callable[[Served], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serving(authority) as served:
            await act(served)

    asyncio.run(whole())


async def stamped(registrar: Registrar, served: Served, publish: bool = True, **settings: Any) -> Path:
    if publish:
        registrar.ledger.publish()
    key = registrar.ledger.key.verifier
    folder = await fetch_stamp(registrar.data_dir, key, asks(served, **settings), revocation=False)
    if not (folder / "entry").exists():
        enter(registrar, folder)
    return folder


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.01)


def entries(registrar: Registrar) -> list[dict[str, Any]]:
    return ledgers.entries(registrar.data_dir)


@pytest.mark.parametrize("name", ["tsa", "chained"])
def test_a_stamp_is_kept_with_all_that_proves_it(
    registrar: Registrar, name: str, request: pytest.FixtureRequest
) -> None:
    authority: Authority = request.getfixturevalue(name)
    note = (registrar.data_dir / "ledger" / "checkpoint").read_bytes()

    async def act(served: Served) -> None:
        folder = await stamped(registrar, served)

        assert folder == registrar.data_dir / "stamps" / "1-one"
        assert (folder / "checkpoint").read_bytes() == note
        assert openssl_accepts(folder, authority)
        assert (folder / "chain.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 3
        found = read_stamp(folder)
        assert found.verified_by == ("openssl" if authority.chained else "rfc3161-client")
        assert (found.way, found.clock_difference_us) == ("network", 0)
        assert entries(registrar)[-1].items() >= {"t": "stamp", "authority": "one", "size": 1}.items()
        assert entries(registrar)[-1]["token"] == found.token
        assert (folder / "entry").read_text() == "1\n"
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    with_authority(authority, act)


def test_one_checkpoint_is_stamped_once(registrar: Registrar, tsa: Authority) -> None:
    async def act(served: Served) -> None:
        note = (registrar.data_dir / "ledger" / "checkpoint").read_bytes()
        first = await stamped(registrar, served)
        (registrar.data_dir / "ledger" / "checkpoint").write_bytes(note)  # nothing was entered since

        assert await stamped(registrar, served, publish=False) == first
        assert len(served.requests) == 1

    with_authority(tsa, act)


def test_another_ledger_of_the_same_length_is_not_taken_for_the_stamped_one(
    registrar: Registrar, tsa: Authority, tmp_path: Path
) -> None:
    async def act(served: Served) -> None:
        folder = await stamped(registrar, served)
        other = begun(tmp_path / "other")
        (other.data_dir / "stamps").mkdir()
        folder.rename(other.data_dir / "stamps" / "1-one")

        with pytest.raises(StoreError, match="put back, or exchanged"):
            await stamped(other, served)
        other.close()

    with_authority(tsa, act)


async def _nothing(request: web.Request, asked: bytes) -> web.StreamResponse:
    return reply(b"")


async def _garbage(request: web.Request, asked: bytes) -> web.StreamResponse:
    return web.Response(body=b"<html>login please</html>", content_type="text/html")


async def _echo(request: web.Request, asked: bytes) -> web.StreamResponse:
    return reply(asked)


@pytest.mark.parametrize("behaviour", [_nothing, _garbage, _echo])
def test_what_is_no_token_is_refused_and_kept_as_the_last_refused(
    registrar: Registrar, tsa: Authority, behaviour: Any
) -> None:
    async def act(served: Served) -> None:
        served.behaviour = behaviour

        with pytest.raises(NotStamped, match="is not accepted"):
            await stamped(registrar, served)

    with_authority(tsa, act)
    kept = registrar.data_dir / "stamps" / "refused" / "one"
    assert {path.name for path in kept.iterdir()} == {"checkpoint", "request.tsq", "token.tsr", "why.txt"}
    assert all_stamps(registrar.data_dir) == []
    assert [entry["t"] for entry in entries(registrar)] == ["start"]


def test_a_token_is_kept_even_when_its_authority_is_not_believed(
    registrar: Registrar, tsa: Authority, chained: Authority
) -> None:
    async def act(served: Served) -> None:
        for _ in range(2):
            with pytest.raises(NotStamped, match="neither program accepts it"):
                await stamped(registrar, served, ca_file=chained.ca_file)

    with_authority(tsa, act)
    assert openssl_accepts(registrar.data_dir / "stamps" / "refused" / "one", tsa)


def test_an_old_answer_played_again_is_refused(registrar: Registrar, tsa: Authority) -> None:
    answers: list[bytes] = []

    async def replay(request: web.Request, asked: bytes) -> web.StreamResponse:
        answers.append(await asyncio.to_thread(tsa.answer, asked))
        return reply(answers[0])

    async def act(served: Served) -> None:
        served.behaviour = replay
        await stamped(registrar, served)
        with pytest.raises(NotStamped, match="over something else"):
            await stamped(registrar, served)

    with_authority(tsa, act)


def test_a_huge_answer_is_not_read_to_its_end(registrar: Registrar, tsa: Authority) -> None:
    sent = 0

    async def huge(request: web.Request, asked: bytes) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4000):
            await response.write(bytes(65_536))
            sent += 65_536
        return response

    async def act(served: Served) -> None:
        served.behaviour = huge
        with pytest.raises(Unanswered, match="longer than"):
            await stamped(registrar, served)

    with_authority(tsa, act)
    assert sent < 100 << 20


def test_a_slow_answer_is_not_waited_for(registrar: Registrar, tsa: Authority) -> None:
    async def slow(request: web.Request, asked: bytes) -> web.StreamResponse:
        await asyncio.sleep(60)
        return reply(b"")

    async def act(served: Served) -> None:
        served.behaviour = slow
        with pytest.raises(Unanswered, match="not answer in time"):
            await stamped(registrar, served, timeout_s=1.0)

    with_authority(tsa, act)


def test_a_redirect_is_not_followed(registrar: Registrar, tsa: Authority) -> None:
    async def elsewhere(request: web.Request, asked: bytes) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://elsewhere.example/tsa")

    async def act(served: Served) -> None:
        served.behaviour = elsewhere
        with pytest.raises(Unanswered, match=r"sends us elsewhere \(http://elsewhere\.example/tsa\)"):
            await stamped(registrar, served)

    with_authority(tsa, act)


def test_an_error_of_the_server_is_told(registrar: Registrar, tsa: Authority) -> None:
    async def broken(request: web.Request, asked: bytes) -> web.StreamResponse:
        return web.Response(status=503, reason="out of order")

    async def act(served: Served) -> None:
        served.behaviour = broken
        with pytest.raises(Unanswered, match="HTTP 503 out of order"):
            await stamped(registrar, served)

    with_authority(tsa, act)


def test_name_and_password_are_given_from_a_file_and_never_told(
    registrar: Registrar, tsa: Authority, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)

    async def act(served: Served) -> None:
        folder = await stamped(registrar, served, username="box", password_file=secret)

        given = served.requests[0].headers["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(given) == b"box:s3cret"
        assert not any(b"s3cret" in path.read_bytes() for path in folder.iterdir())
        secret.chmod(0o604)
        with pytest.raises(StoreError, match="everybody on this machine can read the secret") as error:
            await stamped(registrar, served, username="box", password_file=secret)
        assert "s3cret" not in str(error.value)

    with_authority(tsa, act)


def test_tls_is_checked_both_ways(registrar: Registrar, tsa: Authority, tmp_path: Path) -> None:
    server, client = tls_files(tmp_path)

    async def whole() -> None:
        async with serving(tsa, server) as served:
            good: dict[str, Any] = {
                "tls_ca_file": tmp_path / "ca.pem",
                "client_certificate": client[0],
                "client_key": client[1],
            }
            with pytest.raises(Unanswered, match=r"cannot be asked.*certificate verify failed"):
                await stamped(registrar, served)
            with pytest.raises(Unanswered, match="cannot be asked"):
                await stamped(registrar, served, tls_ca_file=tmp_path / "ca.pem")
            assert served.requests == []

            assert openssl_accepts(await stamped(registrar, served, **good), tsa)

    asyncio.run(whole())


def tls_files(folder: Path) -> tuple[ssl.SSLContext, tuple[Path, Path]]:
    """A server that wants a client's certificate, and such a certificate with its key."""
    root = issue("TLS Root")
    (folder / "ca.pem").write_bytes(root.pem)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    usages = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
    for name, usage in usages.items():
        made = issue(name, root, ca=False, usage=[usage], extensions=[here])
        (folder / f"{name}.pem").write_bytes(made.pem)
        key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context, (folder / "client.pem", folder / "client.key")


# On time


def config(*authorities: AuthoritySettings, **settings: Any) -> StampsConfig:
    return StampsConfig(authorities=authorities, revocation=False, **settings)


def test_a_start_stamps_at_once_and_the_next_start_waits_for_the_period(registrar: Registrar, tsa: Authority) -> None:
    async def act(served: Served) -> None:
        stamper = Stamper(registrar, config(asks(served)), QUICK)
        running = asyncio.create_task(stamper.run())
        await until(lambda: entries(registrar)[-1]["t"] == "stamp")
        running.cancel()
        registrar.end_run()  # something new to stamp

        again = asyncio.create_task(Stamper(registrar, config(asks(served)), QUICK).run())
        await asyncio.sleep(0.3)
        again.cancel()

        assert len(served.requests) == 1
        (state,) = stamper.status()
        assert not state.late
        assert state.due_us > now_us() + 50 * 60 * 1_000_000

    with_authority(tsa, act)


def test_a_start_after_the_period_stamps(registrar: Registrar, tsa: Authority) -> None:
    async def act(served: Served) -> None:
        folder = await stamped(registrar, served)
        age(folder, minutes=70)

        running = asyncio.create_task(Stamper(registrar, config(asks(served)), QUICK).run())
        await until(lambda: len(all_stamps(registrar.data_dir)) == 2)
        running.cancel()

    with_authority(tsa, act)


def age(folder: Path, minutes: int) -> None:
    """Make a stamp older, as if the clock had gone on."""
    said = json.loads((folder / "stamp.json").read_text())
    said["answered_at"] = rfc3339(from_rfc3339(said["answered_at"]) - minutes * 60_000_000)
    (folder / "stamp.json").write_bytes(Stamp(**said).text())


def test_an_authority_that_is_down_is_told_once_and_again_when_it_is_back(registrar: Registrar, tsa: Authority) -> None:
    async def down(request: web.Request, asked: bytes) -> web.StreamResponse:
        return web.Response(status=503)

    async def act(served: Served) -> None:
        served.behaviour = down
        with structlog.testing.capture_logs() as logged:
            stamper = Stamper(registrar, config(asks(served)), QUICK)
            running = asyncio.create_task(stamper.run())
            await until(lambda: len(served.requests) > 3)
            assert "HTTP 503" in stamper.status()[0].last_error
            served.behaviour = None
            await until(lambda: all_stamps(registrar.data_dir))
            await until(lambda: not stamper.status()[0].last_error)
            running.cancel()

        assert [line["event"] for line in logged] == ["no time stamp", "the time stamping authority answers again"]

    with_authority(tsa, act)


def test_one_authority_that_is_down_does_not_hold_up_the_other(registrar: Registrar, tsa: Authority) -> None:
    async def act(served: Served) -> None:
        dead = asks(served, name="dead", url="http://127.0.0.1:9/tsa")
        outcomes = await Stamper(registrar, config(dead, asks(served, name="alive")), QUICK).stamp_now()

        assert [(one.authority, one.folder is not None) for one in outcomes] == [("dead", False), ("alive", True)]
        assert "can be reached" in outcomes[0].error

    with_authority(tsa, act)


def test_two_authorities_stamp_the_same_checkpoint(registrar: Registrar, tsa: Authority, chained: Authority) -> None:
    async def whole() -> None:
        async with serving(tsa) as one, serving(chained) as two:
            both = config(asks(one), asks(two, name="two"))
            await Stamper(registrar, both, QUICK).stamp_now()

    asyncio.run(whole())
    first, second = all_stamps(registrar.data_dir)
    assert (first.name, second.name) == ("1-one", "1-two")
    assert openssl_accepts(first, tsa)
    assert openssl_accepts(second, chained)


def test_no_stamp_for_long_is_an_alarm_once(registrar: Registrar, tsa: Authority) -> None:
    async def act(served: Served) -> None:
        age(await stamped(registrar, served), minutes=500)
        registrar.end_run()
        carried = asks(served, url=None)
        with structlog.testing.capture_logs() as logged:
            stamper = Stamper(registrar, config(carried, late_after_minutes=400.0), Timing(0.01, 0.0))
            running = asyncio.create_task(stamper.run())
            await until(lambda: any("alarm" in line["event"] for line in logged))
            await asyncio.sleep(0.1)
            running.cancel()

        assert [line["event"] for line in logged] == ["alarm: no time stamp for long"]
        assert stamper.status()[0].late

    with_authority(tsa, act)


def test_an_authority_whose_clock_differs_is_an_alarm_and_a_stamp(registrar: Registrar, tsa: Authority) -> None:
    async def early(request: web.Request, asked: bytes) -> web.StreamResponse:
        return reply(await asyncio.to_thread(tsa.answer, asked, "+1 hour"))

    async def act(served: Served) -> None:
        served.behaviour = early
        with structlog.testing.capture_logs() as logged:
            await Stamper(registrar, config(asks(served)), QUICK).stamp_now()

        (line,) = logged
        assert line["event"] == "alarm: an authority's clock and this machine's differ"
        assert line["clocks_apart_us"] == pytest.approx(3600e6, abs=60e6)

    with_authority(tsa, act)


def test_recording_without_authorities_costs_nothing(registrar: Registrar) -> None:
    asyncio.run(Stamper(registrar, StampsConfig()).run())

    assert not (registrar.data_dir / "stamps").exists()
