"""Whose pause it is: who may end it, how many one may hold, and what is left of one that nobody confirmed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import ledgers
import pytest
from api.harness import Served, run_served
from api.test_pauses import ask, calls, run
from rig.desk import desk_of, pipeline_of, two_calls

from vittne.appliance import pausedesk
from vittne.appliance.api.pauses import DESK, ROUTES
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausedesk import PauseDesk
from vittne.capture import forcing
from vittne.capture.columns import SECOND
from vittne.capture.pause import Pause
from vittne.capture.pipeline import Pipeline

__all__ = ["calls"]

OWN = PauseConfig(resume="own")


def test_in_the_strict_profile_only_who_asked_for_a_pause_ends_it(
    tmp_path: Path, calls: tuple[Pipeline, list[str]]
) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        mine, others, anybodys = served.token("pause"), served.token("pause"), served.token("pause", "pause:any")
        made = (await ask(served, mine, first)).json
        select = {"json": {"select": {"sip_call_id": first}}}

        by_id = await served.post(f"pauses/{made['id']}/resume", others)
        by_call = await served.post("pauses/resume", others, **select)
        still = await served.get(f"pauses/{made['id']}", mine)
        by_right = await served.post("pauses/resume", anybodys, **select)

        assert (by_id.status, by_id.problem["type"]) == (403, "/problems/not-yours")
        assert by_call.status == 404
        assert still.json["state"] == "paused"
        assert (by_right.status, by_right.json["pauses"][0]["id"]) == (200, made["id"])

    run(tmp_path, pipeline, use, PauseConfig(profile="pci-strict"))


def test_resuming_a_call_leaves_what_others_asked_for(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    async def use(served: Served) -> None:
        one, other = served.token("pause"), served.token("pause")
        kept = (await ask(served, one, first)).json["id"]
        await ask(served, other, first)
        ended = await served.post("pauses/resume", other, json={"select": {"sip_call_id": first}})

        assert [pause["id"] for pause in ended.json["pauses"]] != [kept]
        assert (await served.get(f"pauses/{kept}", one)).json["state"] == "paused"

    run(tmp_path, pipeline, use, OWN)

    assert len(pipeline.pauses.live()) == 1


def test_one_token_cannot_use_up_the_pauses_of_all(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, second) = calls

    async def use(served: Served) -> None:
        greedy, other = served.token("pause"), served.token("pause")
        made = (await ask(served, greedy, first)).json["id"]
        refused = await ask(served, greedy, second)
        of_another = await ask(served, other, second)
        await served.post(f"pauses/{made}/resume", greedy)
        again = await ask(served, greedy, second)

        assert (refused.status, refused.problem["type"]) == (429, "/problems/holds-too-many")
        assert (of_another.status, again.status) == (201, 201)

    run(tmp_path, pipeline, use, PauseConfig(most_live_per_actor=1))

    assert [entry["reason"] for entry in ledgers.entries(tmp_path) if entry["t"] == "pause.refuse"] == [
        "too many of one actor"
    ]


@pytest.mark.parametrize("profile", ["pci-strict", "standard", "finance"])
def test_a_pause_that_nobody_confirmed_is_forced_on_the_next_worker_where_the_profile_says_so(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausedesk, "_CONFIRM_S", 0.05)
    scenario = two_calls()
    first = scenario.truth.calls[0].call_ids[0]
    config = PauseConfig.model_validate({"profile": profile})
    told: dict[str, str] = {}
    ended: list[bool] = []

    async def use(served: Served) -> None:
        token = served.token("pause")
        asked = await ask(served, token, first)
        told.update(asked.problem)
        assert asked.problem["type"] == "/problems/unconfirmed"

    with desk_of(tmp_path, None, config) as desk:
        desk.attach(lambda _: None, lambda: ended.append(True))  # it takes commands, and does nothing
        run_served(tmp_path, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))
        known = desk.for_start()
    with desk_of(tmp_path, None, config) as after_a_restart:
        restored = after_a_restart.for_start()

    if profile != "pci-strict":
        assert "pause" not in told
        assert (known, restored, ended) == ([], [], [])
        return
    assert ended == [True]
    assert [one.id for one in known] == [one.id for one in restored] == [told["pause"]]
    successor = pipeline_of(scenario)
    forcing.take_up(successor, restored)
    (pause,) = successor.pauses.live()
    assert not pause.unconfirmed
    (call,) = successor.book.calls_of(pause)
    assert call.first.call_id == first


def test_a_desk_forgets_pauses_that_are_long_over_also_while_its_worker_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausedesk, "_MOST_KNOWN", 10)
    live = [Pause(f"live-{n}", "api", "t", 1, 1, 1, 2, 2) for n in range(3)]
    ended: dict[str, Any] = {"to_at": 3, "to_mono": time.monotonic_ns() - 700 * SECOND, "ended_by": "t"}
    over = [Pause(f"over-{n}", "api", f"t{n}", 1, 1, 1, 2, 2, **ended) for n in range(100)]

    async def work(desk: PauseDesk) -> None:
        for pause in (*live, *over):
            await desk.note([pause])

    with desk_of(tmp_path, None) as desk:
        asyncio.run(work(desk))
        assert len(desk._known) <= 11
        assert {pause.id for pause in live} <= desk._known.keys()
