"""Who may ask what: tokens in the header or, where a route opts in, in the URL; and what is never logged."""

from __future__ import annotations

import asyncio
import ipaddress
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from api.harness import TESTED, Answer, Served, run_served
from running import running
from structlog.testing import capture_logs

from vittne.appliance.api.app import Health, Services, build_app
from vittne.appliance.api.bodies import answer
from vittne.appliance.api.database import ApiDatabase, ready_catalogue
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.routes import PREFIX, Route, needs
from vittne.appliance.api.tokens import DAY_US
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]


async def done(_: web.Request) -> web.Response:
    return answer(Health(status="done"))


ROUTES = [
    Route("GET", f"{PREFIX}/trigger/{{number}}", done, needs("pause", in_url=True), TESTED),
    Route("POST", f"{PREFIX}/pause", done, needs("pause"), TESTED),
]
UNKNOWN = "vtn_0123456789ab_" + "A" * 43


def test_a_token_says_who_it_is(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        found = (await served.get("whoami", served.token("read", "pause"))).json
        for_ever = (await served.get("whoami", served.token(days=None))).json

        assert found["name"] == "test"
        assert found["scopes"] == ["pause", "read"]
        assert found["expires_at"] == "2026-04-01T00:00:00.000000Z"
        assert for_ever["expires_at"] is None

    run_served(tmp_path, use)


def test_without_a_token_one_is_asked_for(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        for found in (
            await served.get("whoami"),
            await served.get("whoami", headers={"Authorization": "Basic dTpw"}),
            await served.post("pause"),
        ):
            assert found.status == 401
            assert found.problem["type"] == "/problems/no-token"
            assert found.headers["WWW-Authenticate"] == 'Bearer realm="vittne"'

    run_served(tmp_path, use, routes=ROUTES)


def wrong_ones(token: str) -> list[str]:
    other = "B" if token[-5] == "A" else "A"
    return [UNKNOWN, token[:-5] + other + token[-4:], token[:-1], token + "A", "x", token.upper(), "é", "a" * 5000]


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        for wrong in wrong_ones(served.token()):
            found = await served.get("whoami", wrong)

            assert found.status == 401
            assert found.problem["type"] == "/problems/invalid-token"
            assert found.headers["WWW-Authenticate"] == 'Bearer realm="vittne", error="invalid_token"'

    run_served(tmp_path, use)


def test_a_token_without_the_scope_is_told_which_one_is_missing(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        found = await served.post("pause", served.token("read", "admin"))

        assert found.status == 403
        assert found.problem["scope"] == "pause"
        assert 'scope="pause"' in found.headers["WWW-Authenticate"]
        assert (await served.post("pause", served.token("pause"))).status == 200

    run_served(tmp_path, use, routes=ROUTES)


def test_a_token_expires_to_the_moment(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        token = served.token(days=1)
        served.clock.at_s = DAY_US / 1_000_000 - 1
        assert (await served.get("whoami", token)).status == 200

        served.clock.at_s += 1

        assert (await served.get("whoami", token)).problem["detail"] == "the token is expired"

    run_served(tmp_path, use)


def test_a_token_may_be_bound_to_networks(tmp_path: Path) -> None:
    here, elsewhere = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("192.0.2.0/24")

    async def use(served: Served) -> None:
        assert (await served.get("whoami", served.token(networks=(elsewhere, here)))).status == 200
        refused = await served.get("whoami", served.token(networks=(elsewhere,)))
        assert (refused.status, refused.problem["type"]) == (403, "/problems/source-not-allowed")

    run_served(tmp_path, use)


def test_a_token_in_the_url_counts_only_where_a_route_opts_in(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        token = served.token("pause", "read")

        assert (await served.get(f"trigger/1?token={token}")).status == 200
        assert (await served.get(f"whoami?token={token}")).status == 401
        assert (await served.post(f"pause?token={token}")).problem["detail"].startswith("this address takes no token")
        both = await served.get(f"trigger/1?token={token}", token)
        assert (both.status, both.problem["type"]) == (400, "/problems/two-tokens")

    run_served(tmp_path, use, routes=ROUTES)


def test_the_log_holds_no_token_no_query_and_no_number(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def use(served: Served) -> None:
        good, secret = (token := served.token("pause")), token.split("_", 2)[2]
        with capture_logs() as lines:
            await served.get(
                f"trigger/%2B46701234567?token={good}&number=47110815224", headers={"User-Agent": "agent-x"}
            )
            await served.get(f"trigger/46701234567?token={good[:-5]}AAAAA")
            await served.post("pause", good, data=b'{"card": "4111111111111111"}')
            await served.get("whoami", good[:-5] + "AAAAA")
            await served.get(f"nowhere/46701234567?token={good}")

        text = str(lines)
        for hidden in (secret[:20], "46701234567", "47110815224", "4111111111111111", "agent-x", "nowhere"):
            assert hidden not in text
        routes = [line["route"] for line in lines if line["event"] == "request"]
        assert routes == [f"{PREFIX}/trigger/{{number}}"] * 2 + [f"{PREFIX}/pause", f"{PREFIX}/whoami", ""]
        first = next(line for line in lines if line["event"] == "request")
        assert first["asker"] == good.split("_")[1]
        assert (first["status"], first["source"]) == (200, "127.0.0.1")

    run_served(tmp_path, use, routes=ROUTES)
    assert "46701234567" not in "".join(capfd.readouterr())


def test_wrong_tokens_make_their_source_wait_longer_and_longer(tmp_path: Path) -> None:
    async def wrong(served: Served) -> Answer:
        return await served.get("whoami", UNKNOWN)

    async def use(served: Served) -> None:
        assert [(await wrong(served)).status for _ in range(4)] == [401, 401, 401, 429]
        waits = []
        for _ in range(3):
            found = await wrong(served)
            waits.append(found.problem["retry_after_s"])
            assert found.headers["Retry-After"] == str(waits[-1])
            served.clock.at_s += waits[-1]
            assert (await wrong(served)).status == 401
        assert waits == [1, 2, 4]

    run_served(tmp_path, use, limits=Limits(failures=3))


def test_who_waits_fills_no_log_and_a_right_token_beside_him_is_let_in(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        token = served.token()
        await served.get("whoami", UNKNOWN)
        with capture_logs() as lines:
            for _ in range(5):
                assert (await served.get("whoami", UNKNOWN)).status == 429

        assert lines == []
        assert (await served.get("whoami", token)).status == 200
        served.clock.at_s += 1
        with capture_logs() as lines:
            await served.get("whoami", UNKNOWN)
        assert lines[0]["refused_before"] == 5

    run_served(tmp_path, use, limits=Limits(failures=1))


def test_a_token_that_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        busy, other = served.token(), served.token()

        assert [(await served.get("whoami", busy)).status for _ in range(3)] == [200, 200, 429]
        found = await served.get("whoami", busy)
        assert found.problem["type"] == "/problems/too-many-requests"
        assert found.headers["Retry-After"] == "2"
        assert (await served.get("whoami", other)).status == 200
        served.clock.at_s += 2
        assert (await served.get("whoami", busy)).status == 200

    run_served(tmp_path, use, limits=Limits(burst=2, per_s=0.5))


def test_a_route_that_was_added_past_the_table_is_closed(tmp_path: Path) -> None:
    database = open_api(tmp_path)
    app = build_app(Services(database, Catalogue(database.path, read_only=True)))
    app.router.add_get("/api/v1/open", done)

    async def whole() -> None:
        async with TestClient(TestServer(app)) as client:
            assert (await client.get("/api/v1/open")).status == 500
            assert (await client.get("/api/v1/health")).status == 200

    asyncio.run(whole())


def open_api(data: Path) -> ApiDatabase:
    ready_catalogue(data)
    return ApiDatabase(data)


def test_use_is_noted_to_the_minute(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        token = served.token()
        (before,) = served.tokens.all()
        await served.get("whoami", token)
        (first,) = served.tokens.all()
        served.clock.at_s = 59
        await served.get("whoami", token)
        (second,) = served.tokens.all()
        served.clock.at_s = 60
        await served.get("whoami", token)
        (third,) = served.tokens.all()

        assert before.last_used_us is None
        assert first.last_used_us == second.last_used_us == first.created_us
        assert third.last_used_us == first.created_us + 60_000_000

    run_served(tmp_path, use)


def test_a_token_made_or_revoked_while_a_recorder_runs_counts_at_once(tmp_path: Path, vittne: Vittne) -> None:
    async def use(served: Served) -> None:
        served.clock.at_s = 365 * 24 * 3600 * 50  # the command has a clock of its own
        with running(tmp_path):
            status, text, _ = vittne(
                *("token", "create", "pbx", "--scope", "pause", "--never-expires", "--data", tmp_path)
            )
            token = text.split()[-1]  # behind the lines of the recorder, which is in this process
            assert status == 0
            assert (await served.get("whoami", token)).json["name"] == "pbx"

            assert vittne("token", "revoke", token.split("_")[1], "--data", tmp_path)[0] == 0
            assert (await served.get("whoami", token)).problem["detail"] == "the token is revoked"

    run_served(tmp_path, use)


def test_a_second_process_makes_a_token_for_a_server_that_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vittne.appliance", "token", "create", "gate", "--scope", "read"]

    async def use(served: Served) -> None:
        with running(tmp_path):
            ran = await asyncio.to_thread(
                subprocess.run,
                [*command, "--never-expires", "--data", str(tmp_path)],
                capture_output=True,
                text=True,
                check=True,
            )

        assert (await served.get("whoami", ran.stdout.strip())).json["scopes"] == ["read"]

    run_served(tmp_path, use)
