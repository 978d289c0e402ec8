"""The server starts when it can, says why when it cannot, and never stops anything else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from api.harness import SETTINGS, TESTED, Served, run_served
from pydantic import ValidationError
from structlog.testing import capture_logs

from vittne.appliance.api import server as module
from vittne.appliance.api.app import Health
from vittne.appliance.api.bodies import answer
from vittne.appliance.api.database import ready_catalogue
from vittne.appliance.api.routes import PREFIX, PUBLIC, Route
from vittne.appliance.api.server import ApiError, ApiServer, start_api
from vittne.appliance.api.settings import ApiSettings

SECRET = "4111111111111111"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def with_port(port: int, **more: object) -> ApiSettings:
    return ApiSettings.model_validate({"listen": ("127.0.0.1",), "port": port, **more})


def test_it_starts_serves_and_stops(tmp_path: Path) -> None:
    async def whole() -> None:
        port = free_port()
        with capture_logs() as lines:
            server = await start_api(tmp_path, with_port(port))
        assert server is not None
        assert server.addresses == [("127.0.0.1", port)]
        assert [line["event"] for line in lines] == ["the API's certificate", "the API listens"]
        assert len(lines[0]["fingerprint_sha256"]) == 95
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    ready_catalogue(tmp_path)
    asyncio.run(whole())


def test_a_port_in_use_is_told_and_recording_goes_on(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        port = served.address[1]
        second = ApiServer(web.Application(), ("127.0.0.1",), port, served.certificate)
        with pytest.raises(ApiError, match=f"port is in use: 127.0.0.1 port {port}: stop who has it, or set api.port"):
            await second.start()

        with capture_logs() as lines:
            assert await start_api(tmp_path, with_port(port)) is None
        assert lines[-1]["event"] == "the API could not start; recording goes on without it"
        assert "port is in use" in lines[-1]["reason"]
        assert (await served.get("health")).status == 200

    run_served(tmp_path, use)


def test_no_address_is_kept_when_another_one_fails(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        port = free_port()
        both = ApiServer(web.Application(), ("127.0.0.1", "203.0.113.1"), port, served.certificate)
        with pytest.raises(ApiError, match="this machine has no such address"):
            await both.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run_served(tmp_path, use)


@pytest.mark.parametrize("kind", ["no catalogue", "certificate", "fault"])
def test_whatever_keeps_it_from_starting_stays_its_own_affair(tmp_path: Path, kind: str) -> None:
    def fill(_: web.Application) -> None:
        if kind == "fault":
            raise RuntimeError(f"a secret: {SECRET}")

    async def whole() -> None:
        missing = {"certificate": tmp_path / "x.pem", "key": tmp_path / "x.key"} if kind == "certificate" else {}
        with capture_logs() as lines:
            assert await start_api(tmp_path, with_port(free_port(), **missing), fill=fill) is None
        assert lines[-1]["event"] == "the API could not start; recording goes on without it"
        assert SECRET not in str(lines)

    if kind != "no catalogue":
        ready_catalogue(tmp_path)
    asyncio.run(whole())


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    assert asyncio.run(start_api(tmp_path, ApiSettings(enabled=False))) is None
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_being_answered_is_finished(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        begun.set()
        await go.wait()
        return answer(Health(status="late"))

    async def use(served: Served) -> None:
        asking = asyncio.create_task(served.get("slow"))
        await begun.wait()
        stopping = asyncio.create_task(served.server.stop())
        await asyncio.sleep(0)
        go.set()

        assert (await asking).json == {"status": "late"}
        await stopping

    run_served(tmp_path, use, routes=[Route("GET", f"{PREFIX}/slow", slow, PUBLIC, TESTED)])


def test_connections_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 3)

    async def use(served: Served) -> None:
        trust = ssl.create_default_context(cafile=served.certificate.files.certificate)
        held = [await asyncio.open_connection(*served.address, ssl=trust) for _ in range(3)]
        assert await first_byte(served, trust) == b""
        for _, one in held:
            one.close()
        while await first_byte(served, trust) == b"":  # the server hears of it a moment later
            pass

    run_served(tmp_path, use)


async def first_byte(served: Served, trust: ssl.SSLContext) -> bytes:
    """Return the first byte of an answer; nothing when there is none."""
    try:
        reader, writer = await asyncio.open_connection(*served.address, ssl=trust)
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\n\r\n")
        return await reader.read(1)
    except OSError:
        return b""


def test_plain_http_gets_nothing(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        reader, writer = await asyncio.open_connection(*served.address)
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()

    run_served(tmp_path, use)


def test_ipv6_loopback_is_served_where_there_is_one(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        hosts = [host for host, _ in served.server.addresses]
        assert hosts[0] == "127.0.0.1"
        assert hosts[1:] in ([], ["::1"])

    run_served(tmp_path, use, settings=ApiSettings())


def test_settings_that_cannot_be() -> None:
    assert ApiSettings() == ApiSettings.model_validate({"listen": ["127.0.0.1", "::1"], "port": 8443})
    impossible: tuple[dict[str, object], ...] = (
        {"listen": []},
        {"listen": ["localhost"]},
        {"listen": ["::1", "::1"]},
        {"port": 0},
        {"port": "8443"},
        {"certificate": "/a.pem"},
        {"key": "/a.key"},
        {"body_limit_bytes": 10},
        {"colour": 1},
    )
    for wrong in impossible:
        with pytest.raises(ValidationError):
            ApiSettings.model_validate(wrong)
    assert SETTINGS.enabled
