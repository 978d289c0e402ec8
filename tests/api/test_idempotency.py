"""A request that is sent again is done once, also when the recorder was restarted in between."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from api.harness import TESTED, HandClock, Served, run_served

from vittne.appliance.api.app import Health
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.database import ApiDatabase, ready_catalogue
from vittne.appliance.api.idempotency import ANSWERS, Answers, Before, Claim, Kept, once
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import ANYBODY, PREFIX, Route

Work = Callable[[], Awaitable[web.Response]]
HOUR = 3600


class Order(ApiModel):
    number: int = 0


class Bench:
    """Handlers that count how often they worked; what they do next can be set."""

    def __init__(self) -> None:
        self.times = 0
        self.trouble: BaseException | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def work(self) -> web.Response:
        self.times += 1
        await self.go.wait()
        if self.trouble:
            raise self.trouble
        return answer(Health(status=f"done {self.times}"), status=201)

    async def repeatable(self, request: web.Request) -> web.Response:
        await body_of(request, Order, or_empty=True)
        return await once(request, self.work, repeatable=True)

    async def unrepeatable(self, request: web.Request) -> web.Response:
        await body_of(request, Order, or_empty=True)
        return await once(request, self.work)

    def routes(self) -> list[Route]:
        return [
            Route("POST", f"{PREFIX}/pause", self.repeatable, ANYBODY, TESTED),
            Route("POST", f"{PREFIX}/order", self.unrepeatable, ANYBODY, TESTED),
        ]


def key(text: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Idempotency-Key": text}}


def test_the_same_request_gets_the_same_answer_and_is_done_once(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        first = await served.post("order", token, json={"number": 1}, **key("a"))
        again = await served.post("order", token, json={"number": 1}, **key('"a"'))

        assert bench.times == 1
        assert (first.status, first.body) == (again.status, again.body) == (201, b'{"status":"done 1"}')
        assert first.headers["Content-Type"] == again.headers["Content-Type"]
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"

    run_served(tmp_path, use, routes=bench.routes())


def test_without_a_key_or_with_others_it_is_done_each_time(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        one, other = served.token(), served.token()
        for token, more in ((one, {}), (one, {}), (one, key("a")), (one, key("b")), (other, key("a"))):
            assert (await served.post("order", token, **more)).status == 201
        assert bench.times == 5

    run_served(tmp_path, use, routes=bench.routes())


def test_a_key_with_another_request_is_refused(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        await served.post("order", token, json={"number": 1}, **key("a"))
        for found in (
            await served.post("order", token, json={"number": 2}, **key("a")),
            await served.post("order?x=1", token, json={"number": 1}, **key("a")),
            await served.post("pause", token, json={"number": 1}, **key("a")),
        ):
            assert found.status == 422
            assert found.problem["type"] == "/problems/idempotency-key-reused"
        assert bench.times == 1

    run_served(tmp_path, use, routes=bench.routes())


def test_while_the_first_one_runs_the_second_is_told_so(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        bench.go.clear()
        first = asyncio.create_task(served.post("order", token, **key("a")))
        while not bench.times:
            await asyncio.sleep(0)
        second = await served.post("order", token, **key("a"))
        bench.go.set()

        assert second.status == 409
        assert second.problem["type"] == "/problems/still-running"
        assert (await first).status == 201
        assert (await served.post("order", token, **key("a"))).status == 201
        assert bench.times == 1

    run_served(tmp_path, use, routes=bench.routes())


def test_an_answer_is_kept_for_a_day(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        await served.post("order", token, **key("a"))
        served.clock.at_s = 24 * HOUR - 1
        await served.post("order", token, **key("a"))
        assert bench.times == 1

        served.clock.at_s += 1
        await served.post("order", token, **key("a"))
        assert bench.times == 2

    run_served(tmp_path, use, routes=bench.routes())


def test_an_answer_outlives_the_server(tmp_path: Path) -> None:
    bench, clock, tokens = Bench(), HandClock(), list[str]()

    async def before(served: Served) -> None:
        tokens.append(served.token())
        await served.post("order", tokens[0], **key("a"))

    async def after(served: Served) -> None:
        found = await served.post("order", tokens[0], **key("a"))
        assert found.json == {"status": "done 1"}

    run_served(tmp_path, before, routes=bench.routes(), clock=clock)
    run_served(tmp_path, after, routes=bench.routes(), clock=clock)
    assert bench.times == 1


def test_an_error_changes_nothing_so_the_request_may_be_tried_again(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        for trouble in (Problem(404, "/problems/no-such-call", "No such call"), web.HTTPConflict()):
            bench.trouble = trouble
            assert (await served.post("order", token, **key("a"))).status in (404, 409)
        bench.trouble = None
        assert (await served.post("order", token, **key("a"))).json == {"status": "done 3"}

    run_served(tmp_path, use, routes=bench.routes())


def test_after_a_fault_only_what_is_repeatable_is_done_again(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        bench.trouble = RuntimeError()
        for path in ("order", "pause"):
            assert (await served.post(path, token, **key(path))).status == 500
        bench.trouble = None

        lost = await served.post("order", token, **key("order"))
        assert (lost.status, lost.problem["type"]) == (409, "/problems/outcome-unknown")
        assert (await served.post("pause", token, **key("pause"))).status == 201

    run_served(tmp_path, use, routes=bench.routes())


@pytest.mark.parametrize("wrong", ["", "a b", "é", "a" * 256])
def test_a_key_that_is_none(tmp_path: Path, wrong: str) -> None:
    async def use(served: Served) -> None:
        found = await served.post("order", served.token(), **key(wrong))

        assert (found.status, found.problem["type"]) == (400, "/problems/bad-idempotency-key")

    run_served(tmp_path, use, routes=Bench().routes())


def test_of_key_and_request_only_hashes_are_kept(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        await served.post("order", served.token(), data=json.dumps({"number": 987654321}), headers=KEY_AND_KIND)

    run_served(tmp_path, use, routes=Bench().routes())
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("catalogue.db*"))
    assert b"987654321" not in kept
    assert b"my-own-key" not in kept


KEY_AND_KIND = {"Idempotency-Key": "my-own-key", "Content-Type": "application/json"}


# The table by itself


def answers(path: Path, clock: HandClock, per_token: int = 100) -> Answers:
    ready_catalogue(path)
    return Answers(ApiDatabase(path), clock.now_us, per_token)


def claim(name: str, token: str = "t") -> Claim:
    return Claim(token, name, "request")


def test_what_ran_when_the_recorder_died_is_lost_or_begun_again(tmp_path: Path) -> None:
    clock = HandClock()
    died = answers(tmp_path, clock)
    assert died.begin(claim("a"), repeatable=False) is Before.NEVER
    assert died.begin(claim("b"), repeatable=True) is Before.NEVER
    assert died.begin(claim("a"), repeatable=False) is Before.RUNNING

    lives = answers(tmp_path, clock)

    assert lives.begin(claim("a"), repeatable=False) is Before.LOST
    assert lives.begin(claim("b"), repeatable=True) is Before.NEVER
    assert lives.begin(claim("b"), repeatable=True) is Before.RUNNING


def test_a_token_has_room_for_so_many_keys_and_takes_none_from_others(tmp_path: Path) -> None:
    clock = HandClock()
    kept = answers(tmp_path, clock, per_token=3)
    done = Kept(200, "application/json", b"{}")
    for n, name in enumerate("xabcd"):
        clock.at_s = n
        one = claim(name, "other" if name == "x" else "t")
        assert kept.begin(one, repeatable=False) is Before.NEVER
        kept.finish(one, done)

    assert kept.begin(claim("x", "other"), repeatable=False) == done
    assert kept.begin(claim("d"), repeatable=False) == done
    assert kept.begin(claim("a"), repeatable=False) is Before.NEVER


def test_the_application_has_the_table(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        assert isinstance(served.app[ANSWERS], Answers)

    run_served(tmp_path, use)


def test_a_disk_that_is_slow_holds_up_nobody_who_brings_no_key(tmp_path: Path) -> None:
    bench = Bench()

    async def use(served: Served) -> None:
        token = served.token()
        kept, freed = served.app[ANSWERS], threading.Event()
        begin = kept.begin

        def slowly(claim: Claim, repeatable: bool) -> Kept | Before:
            freed.wait(60)
            return begin(claim, repeatable)

        kept.begin = slowly  # type: ignore[method-assign]
        waiting = asyncio.ensure_future(served.post("order", token, json={}, **key("a")))
        await asyncio.sleep(0)
        try:
            assert (await served.post("order", token, json={})).status == 201
            assert not waiting.done()
        finally:
            freed.set()
        assert (await waiting).status == 201
        assert bench.times == 2

    run_served(tmp_path, use, routes=bench.routes())
