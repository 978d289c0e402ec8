"""Pause and resume over HTTPS: what is answered, and that nothing but a shut gate is a success."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api.harness import Answer, Served, run_served
from ledgers import entries
from rig.desk import STANDARD, desk_of, pipeline_of, two_calls

from vittne.appliance import pausedesk
from vittne.appliance.api.pauses import DESK, ROUTES
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausedesk import PauseDesk
from vittne.capture.pipeline import Pipeline

Use = Callable[[Served], Awaitable[None]]


@pytest.fixture
def calls() -> tuple[Pipeline, list[str]]:
    scenario = two_calls()
    return pipeline_of(scenario), [call.call_ids[0] for call in scenario.truth.calls]


def run(data: Path, pipeline: Pipeline | None, use: Use, config: PauseConfig = STANDARD) -> PauseDesk:
    with desk_of(data, pipeline, config) as desk:
        run_served(data, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))
        return desk


async def ask(served: Served, token: str, call_id: str, **more: Any) -> Answer:
    return await served.post("pauses", token, json={"select": {"sip_call_id": call_id}, **more})


def test_a_pause_names_call_streams_and_the_first_packet(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        found = await ask(served, served.token("pause"), first, reason="payment", external_id="order 4711")

        assert found.status == 201
        assert (found.json["state"], found.json["reason"]) == ("paused", "payment")
        (call,) = found.json["calls"]
        assert call["sip_call_ids"] == [first]
        assert {stream["party"] for stream in call["streams"]} == {"caller", "callee"}
        for stream in call["streams"]:
            at = datetime.fromisoformat(stream["first_dropped"]["at"])
            assert at >= datetime.fromisoformat(found.json["effective_from"])
            assert stream["first_dropped"]["sample_rate"] == 8000

    run(tmp_path, pipeline, use)

    (pause,) = pipeline.pauses.live()
    assert pipeline.pauses.is_paused(next(c for c in pipeline.book.calls.values() if c.id in pause.calls))


def test_no_call_is_no_success(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, _ = calls

    async def use(served: Served) -> None:
        found = await ask(served, served.token("pause"), "nobody")

        assert found.status == 404
        assert found.problem["type"] == "/problems/no-such-call"

    run(tmp_path, pipeline, use)

    assert not pipeline.pauses.live()
    assert [entry["reason"] for entry in entries(tmp_path) if entry["t"] == "pause.refuse"] == ["no-call"]


def test_a_call_that_is_not_there_yet_is_waited_for(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    async def use(served: Served) -> None:
        found = await ask(served, served.token("pause"), "later", wait_s=10)

        assert (found.status, found.json["state"]) == (202, "armed")
        assert found.json["armed_until"]

    run(tmp_path, calls[0], use)


def test_several_calls_are_listed_and_none_is_paused(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, call_ids = calls
    user = next(iter(pipeline.book.calls.values())).first.caller.user

    async def use(served: Served) -> None:
        found = await served.post("pauses", served.token("pause"), json={"select": {"extension": user}})

        assert found.status == 409
        listed = [call["sip_call_ids"][0] for call in found.problem["calls"]]
        assert sorted(listed) == sorted(call_ids)

    run(tmp_path, pipeline, use)

    assert not pipeline.pauses.live()


def test_the_strict_profile_pauses_all_and_says_so(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, _ = calls
    user = next(iter(pipeline.book.calls.values())).first.caller.user

    async def use(served: Served) -> None:
        found = await served.post("pauses", served.token("pause"), json={"select": {"extension": user}})

        assert (found.status, found.json["ambiguous"], len(found.json["calls"])) == (201, True, 2)

    run(tmp_path, pipeline, use, PauseConfig(profile="pci-strict"))


def test_resume_by_id_and_by_call_and_twice(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, second) = calls

    async def use(served: Served) -> None:
        token = served.token("pause")
        one, other = [(await ask(served, token, call_id)).json["id"] for call_id in (first, second)]

        by_id = await served.post(f"pauses/{one}/resume", token)
        again = await served.ask("DELETE", f"pauses/{one}", token)
        by_call = await served.post("pauses/resume", token, json={"select": {"sip_call_id": second}})
        none_left = await served.post("pauses/resume", token, json={"select": {"sip_call_id": second}})
        unknown = await served.post("pauses/no-such-id/resume", token)

        assert (by_id.status, by_id.json["state"]) == (200, "ended")
        assert (again.status, again.json["effective_to"]) == (200, by_id.json["effective_to"])
        assert [pause["id"] for pause in by_call.json["pauses"]] == [other]
        assert none_left.status == 404
        assert unknown.status == 404

    run(tmp_path, pipeline, use)

    assert not pipeline.pauses.live()


def test_a_lease_is_extended_and_too_long_a_one_refused(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        token = served.token("pause")
        made = (await ask(served, token, first, lease_s=60)).json
        longer = await served.post(f"pauses/{made['id']}/extend", token, json={"lease_s": 120})
        too_long = await served.post(f"pauses/{made['id']}/extend", token, json={"lease_s": 7200})
        refused = await ask(served, token, first, lease_s=7200)

        assert longer.json["lease_until"] > made["lease_until"]
        assert too_long.status == 422
        assert refused.problem["type"] == "/problems/lease-too-long"

    run(tmp_path, pipeline, use)


def test_a_pause_may_begin_in_the_past_and_not_in_the_future(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, second) = calls
    pipeline.commit(pipeline.now_mono - 2_000_000_000)  # all but the last two seconds are written

    async def use(served: Served) -> None:
        token = served.token("pause")
        now = datetime.now(UTC)
        late = await ask(served, token, first, effective_at=(now - timedelta(seconds=60)).isoformat())
        early = await ask(served, token, second, effective_at=(now + timedelta(seconds=60)).isoformat())
        both = await ask(served, token, second, effective_at=now.isoformat(), lookback_s=2)

        assert late.status == 201
        assert late.json["incomplete"]
        assert late.json["incomplete_since"] > late.json["effective_from"]
        assert early.problem["type"] == "/problems/in-the-future"
        assert both.problem["type"] == "/problems/two-beginnings"

    run(tmp_path, pipeline, use)


def test_the_same_request_twice_changes_nothing(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        token = served.token("pause")
        one = await ask(served, token, first)
        other = await ask(served, token, first)
        key = {"headers": {"Idempotency-Key": "a-key-of-mine"}}
        body = {"select": {"sip_call_id": first}, "external_id": "another"}
        keyed = [await served.post("pauses", token, json=body, **key) for _ in range(2)]

        assert (one.status, other.status) == (201, 200)
        assert one.json["id"] == other.json["id"]
        assert keyed[0].body == keyed[1].body

    run(tmp_path, pipeline, use)


def test_what_no_worker_confirms_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausedesk, "_CONFIRM_S", 0.05)

    async def use(served: Served) -> None:
        found = await ask(served, served.token("pause"), "any")

        assert found.status == 503
        assert found.problem["type"] == "/problems/unconfirmed"

    run(tmp_path, None, use)


def test_a_token_without_the_scope_pauses_nothing(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        assert (await ask(served, served.token("read"), first)).status == 403
        assert (await ask(served, "", first)).status == 401

    run(tmp_path, pipeline, use)

    assert not pipeline.pauses.live()


def test_an_address_alone_pauses_and_resumes(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        token = served.token("pause")
        paused = await served.get(f"trigger/pause?sip_call_id={first}&token={token}")
        resumed = await served.get(f"trigger/resume?sip_call_id={first}&token={token}")

        assert (paused.status, paused.json["state"]) == (201, "paused")
        assert (resumed.status, resumed.json["pauses"][0]["state"]) == (200, "ended")

    run(tmp_path, pipeline, use)


def test_live_calls_and_pauses_are_listed(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        token = served.token("pause", "read")
        made = (await ask(served, token, first)).json
        found = await served.get(f"calls?sip_call_id={first}", token)
        listed = await served.get("pauses", token)
        one = await served.get(f"pauses/{made['id']}", token)

        assert [call["sip_call_ids"] for call in found.json["calls"]] == [[first]]
        assert [pause["id"] for pause in listed.json["pauses"]] == [made["id"]]
        assert one.json["state"] == "paused"
        assert one.json["calls"]

    run(tmp_path, pipeline, use)


@pytest.mark.parametrize(
    "body",
    [
        {"select": {}},
        {"select": {"extension": ""}},
        {"select": {"colour": "red"}},
        {"select": {"extension": "1"}, "lease_s": -1},
        {"select": {"extension": "1"}, "scope": "world"},
        {"select": {"extension": "1"}, "effective_at": "yesterday"},
        {},
    ],
)
def test_a_wrong_body_is_told_what_is_wrong(tmp_path: Path, body: dict[str, Any]) -> None:
    async def use(served: Served) -> None:
        found = await served.post("pauses", served.token("pause"), json=body)

        assert found.status == 422
        assert found.problem["title"]

    run(tmp_path, None, use)


def test_a_pause_that_lives_is_told_to_the_next_worker_and_after_a_restart(
    tmp_path: Path, calls: tuple[Pipeline, list[str]]
) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        assert (await ask(served, served.token("pause"), first)).status == 201

    desk = run(tmp_path, pipeline, use)
    (told,) = desk.for_start()
    with desk_of(tmp_path, None) as another:
        (again,) = another.for_start()

    assert told.call_ids == again.call_ids == (first,)
    assert again.is_live
    assert abs(again.from_mono - told.from_mono) < 1_000_000_000
