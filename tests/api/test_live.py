"""What happens now, over HTTPS: calls that are up, news as they come, and nothing of what one may not see."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from api.harness import Served, run_served
from api.test_logins import Console
from rig.desk import pipeline_of, two_calls
from rig.now import Now, now_of, status
from rig.passwords import KEPT

from vittne.appliance.access import operations as access
from vittne.appliance.api import live, logins, pauses
from vittne.appliance.api.app import Clock
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.events.bus import Bus
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.protocol import CloseCalls
from vittne.appliance.registrar import CallClosed
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline

ROUTES = (*live.ROUTES, *pauses.ROUTES)


@pytest.fixture
def pipeline() -> Pipeline:
    return pipeline_of(two_calls())


def run(data: Path, pipeline: Pipeline, use: Callable[[Served, Now], Awaitable[None]]) -> None:
    with now_of(data, pipeline) as now:

        async def whole(served: Served) -> None:
            now.hub.open()
            await use(served, now)

        run_served(data, whole, routes=ROUTES, fill=now.fill)


@asynccontextmanager
async def listening(served: Served, token: str, query: str = "", last: str = "") -> AsyncIterator[ClientResponse]:
    host, port = served.address
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": last} if last else {})}
    async with served.session.get(f"https://{host}:{port}/api/v1/events{query}", headers=headers) as found:
        assert found.status == 200
        assert found.content_type == "text/event-stream"
        assert (await found.content.readline()) == b"retry: 3000\n"
        yield found


async def heard(found: ClientResponse) -> tuple[str, str, Any]:
    """Return the next news: kind, id, what it says."""
    told = {}
    async with asyncio.timeout(20):
        while "data" not in told:
            name, _, value = (await found.content.readline()).decode().rstrip("\n").partition(": ")
            told[name] = value
    return told["event"], told.get("id", ""), json.loads(told["data"])


def test_calls_that_are_up_are_listed_with_how_they_go(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        pipeline.commit(time.monotonic_ns() - SECOND)
        now.tell(pipeline)
        found = await served.get("live", served.token("read"))
        assert found.json["total"] == 2
        call = found.json["calls"][0]
        assert call["recording"] in pipeline.book.calls
        assert call["caller"].startswith("sip:")
        assert (call["state"], call["paused"]) == ("talking", False)
        assert {side["party"] for side in call["sides"]} == {"caller", "callee"}
        assert all(side["codec"] == "PCMU" and side["loss_percent"] == 0 for side in call["sides"])

    run(tmp_path, pipeline, use)


def test_a_pause_is_news_and_stands_at_its_call(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read", "pause")
        first = next(iter(pipeline.book.calls))
        async with listening(served, token, "?kinds=pause") as found:
            made = await served.post("pauses", token, json={"select": {"recording": first}})
            assert made.status == 201
            kind, _, told = await heard(found)
            assert (kind, told["what"], told["pause"]["state"]) == ("pause", "begun", "paused")
            assert told["pause"]["recordings"] == [first]
        up = {call["recording"]: call for call in (await served.get("live", token)).json["calls"]}
        assert up[first]["paused"]
        assert up[first]["pauses"][0]["id"] == made.json["id"]
        assert not any(call["paused"] for recording, call in up.items() if recording != first)

    run(tmp_path, pipeline, use)


def test_who_comes_back_gets_what_came_meanwhile(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        now.hub.alarms.raise_("the backup failed", {"reason": "no route"})
        async with listening(served, token, "?kinds=alarm", now.hub.bus.newest) as found:
            _, last, told = await heard(found)
            assert told["alarm"]["name"] == "backup-failed"
        now.hub.alarms.raise_("no time stamp for long", {"authority": "tsa"})
        await asyncio.sleep(0)
        async with listening(served, token, "?kinds=alarm", last) as found:
            kind, _, told = await heard(found)
            assert (kind, told["what"], told["alarm"]["id"]) == ("alarm", "raised", "stamps-late:tsa")
        async with listening(served, token, "", "00000000-7") as found:
            assert (await heard(found))[0] == "anew"

    run(tmp_path, pipeline, use)


def test_a_call_that_ends_is_news_and_is_up_no_more(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        call = next(iter(pipeline.book.calls.values()))
        report = {**pipeline.report_of(call), "outcome": "recorded", "ended_at": "2026-01-01T00:00:00.000000Z"}
        async with listening(served, token, "?kinds=call") as found:
            now.hub.note(CloseCalls([CallClosed(report, "")]))
            _, _, told = await heard(found)
            assert (told["what"], told["call"]["recording"], told["call"]["outcome"]) == ("ended", call.id, "recorded")
        assert (await served.get("live", token)).json["total"] == 1

    run(tmp_path, pipeline, use)


def test_news_end_when_the_token_is_revoked(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        async with listening(served, token, "?kinds=status") as found:
            served.tokens.revoke(token.split("_")[1], served.clock.now_us())
            served.clock.at_s += 6
            now.hub.note(status())
            assert (await heard(found))[0] == "closed"
            assert await found.content.read() == b"\n"

    run(tmp_path, pipeline, use)


def test_nobody_holds_all_connections(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        async with asyncio.timeout(20):
            opened = [listening(served, token) for _ in range(8)]
            for one in opened:
                await one.__aenter__()
            assert (await served.get("events", token)).status == 429
            for one in opened:
                await one.__aexit__(None, None, None)

    run(tmp_path, pipeline, use)


def test_the_state_says_what_is_missed_and_what_to_do(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        good = (await served.get("state", token)).json
        assert good["capture"]["verdict"] == "good"
        assert good["disk"]["free_bytes"] > 0
        now.hub.note(status(drops={"kernel": {"eth1": 3}, "media": {"mirror duplicate": 9}}))
        bad = (await served.get("state", token)).json["capture"]
        assert (bad["verdict"], bad["missed"]) == ("bad", 3)
        assert [(one["layer"], one["weight"]) for one in bad["drops"]] == [("kernel", "lost"), ("media", "fine")]
        assert "ring" in bad["drops"][0]["remedy"]
        standing = (await served.get("alarms?standing=true", token)).json["alarms"]
        assert standing == []  # the line of the log is read where the log is set up

    run(tmp_path, pipeline, use)


def test_who_may_not_read_hears_nothing(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        for path in ("live", "events", "state", "alarms"):
            assert (await served.get(path, served.token("pause"))).status == 403
            assert (await served.get(path)).status == 401

    run(tmp_path, pipeline, use)


def test_a_slow_listener_loses_the_oldest_and_is_told() -> None:
    bus = Bus(waiting=3)

    async def use() -> None:
        alarms = Alarms()
        with bus.listening() as (listener, _):
            for number in range(5):
                bus.tell("alarm", "raised", number, alarms)
            found = await listener.take(1)
            assert [news.at_us for news in found] == [2, 3, 4]
            assert listener.lost == 2

    asyncio.run(use())


def test_who_sees_own_calls_only_pauses_no_other(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served, now: Now) -> None:
        registrar = now.desk._registrar
        operator = Operator(registrar, OPERATIONS)
        me = Caller("test")
        first = next(iter(pipeline.book.calls))
        answers = {}
        for name, own in (("ada", "9999"), ("bo", "1001")):
            await operator.perform(access.ADD_USER, access.AddUser(name=name, roles=("agent",), own=(own,)), me)
            await operator.perform(access.SET_PASSWORD, access.SetPassword(user=name, password=KEPT), me)
            console = Console(served, registrar, operator)
            await console.log_in(name)
            up = (await console.ask("GET", "live")).json
            found = (await console.ask("GET", "calls?recording=" + first)).json["calls"]
            asked = await console.ask("POST", "pauses", json={"select": {"recording": first}})
            later = await console.ask("POST", "pauses", json={"select": {"number": "7"}, "wait_s": 60})
            answers[name] = up["total"], len(found), asked, later
        assert answers["ada"][:2] == (0, 0)
        assert answers["ada"][2].status == 404
        assert answers["ada"][3].status == 404
        assert answers["bo"][:2] == (2, 1)
        assert answers["bo"][2].status == 201
        assert answers["bo"][2].json["calls"][0]["caller"] == "•••1"
        assert "sip_call_ids" not in answers["bo"][2].json["calls"][0]

    with now_of(tmp_path, pipeline) as now:

        def fill(app: web.Application) -> None:
            now.fill(app)
            app[logins.OPERATOR] = Operator(now.desk._registrar, OPERATIONS)

        run_served(
            tmp_path, lambda served: use(served, now), routes=(*ROUTES, *logins.ROUTES), fill=fill, clock=Clock()
        )
