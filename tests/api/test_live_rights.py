"""Calls that are up exist for a user as recordings do: by role, and as far as it shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api.harness import Answer, Served
from api.test_pauses import calls, run
from rig.traces import says

from vittne.appliance.access.users import LOCAL, User, UserTable
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER, csrf_of
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.capture.pipeline import Pipeline

__all__ = ["calls"]


class Person:
    """A user who is logged in."""

    def __init__(self, served: Served, name: str, role: str, *own: str, sites: tuple[str, ...] = ()) -> None:
        gate = served.app[GATE]
        user = User(name, name, "", (role,), own, sites, "", LOCAL, "", "", None, 0)
        with Catalogue(served.data / CATALOGUE_FILE) as catalogue:
            UserTable(catalogue).put(user)
        _, secret = gate.sessions.begin(name, ("password",), "", "", gate.now_us())
        self._cookie, self._csrf = {"Cookie": f"{COOKIE}={secret}"}, {CSRF_HEADER: csrf_of(secret)}
        self._served = served

    async def ask(self, method: str, path: str, csrf: bool = True, **options: Any) -> Answer:
        headers = {**self._cookie, **(self._csrf if csrf else {})}
        return await self._served.ask(method, path, headers=headers, **options)


def parties(pipeline: Pipeline) -> tuple[str, str]:
    first = next(iter(pipeline.book.calls.values())).first
    return first.caller.user, first.callee.user


def test_who_sees_numbers_masked_sees_them_so_of_calls_that_are_up(
    tmp_path: Path, calls: tuple[Pipeline, list[str]]
) -> None:
    pipeline, (call_id, _) = calls
    caller, _ = parties(pipeline)
    recording = next(iter(pipeline.book.calls))

    async def use(served: Served) -> None:
        admin = Person(served, "root", "administrator")
        (call,) = (await admin.ask("GET", "calls", params={"recording": recording})).json["calls"]
        assert call["recording"] == recording
        assert "•" in call["caller"]
        assert not says(str(call), caller)
        for search in ({"number": caller}, {"sip_call_id": call_id}):
            refused = await admin.ask("GET", "calls", params=search)
            assert (refused.status, refused.problem["type"]) == (403, "/problems/hidden")
        full = await Person(served, "boss", "supervisor").ask("GET", "calls", params={"number": caller})
        assert full.json["calls"][0]["caller"] == caller

    run(tmp_path, pipeline, use)


@pytest.mark.parametrize("extension", ["somebody-else", ""])
def test_an_agent_pauses_and_finds_own_calls_only(
    tmp_path: Path, calls: tuple[Pipeline, list[str]], extension: str
) -> None:
    pipeline, (call_id, _) = calls
    own = extension or parties(pipeline)[0]
    is_mine = not extension

    async def use(served: Served) -> None:
        agent, boss = Person(served, "anna", "agent", own), Person(served, "boss", "supervisor")
        body = {"select": {"sip_call_id": call_id}}
        found = await agent.ask("GET", "calls", params={"recording": next(iter(pipeline.book.calls))})
        assert len(found.json["calls"]) == is_mine
        paused = await agent.ask("POST", "pauses", json=body)
        assert paused.status == (201 if is_mine else 404)
        later = {"select": {"number": "4711"}, "wait_s": 10}
        assert (await agent.ask("POST", "pauses", json=later)).status == 404

        made = (await boss.ask("POST", "pauses", json=body)).json["id"]
        for method, path in (("GET", made), ("POST", f"{made}/resume"), ("DELETE", made)):
            answer = await agent.ask(method, f"pauses/{path}")
            assert answer.status == (200 if is_mine else 404)
        if not is_mine:
            extended = await agent.ask("POST", f"pauses/{made}/extend", json={"lease_s": 60})
            by_call = await agent.ask("POST", "pauses/resume", json=body)
            listed = await agent.ask("GET", "pauses")
            assert (extended.status, by_call.status, listed.json) == (404, 404, {"pauses": []})

    run(tmp_path, pipeline, use)


def test_a_role_for_other_sites_says_nothing_of_calls_that_are_up(
    tmp_path: Path, calls: tuple[Pipeline, list[str]]
) -> None:
    async def use(served: Served) -> None:
        away = Person(served, "away", "supervisor", sites=("elsewhere",))
        assert (await away.ask("GET", "calls", params={"number": parties(calls[0])[0]})).json == {"calls": []}
        body = {"select": {"number": parties(calls[0])[0]}}
        assert (await away.ask("POST", "pauses", json=body)).problem["type"] == "/problems/no-such-call"

    run(tmp_path, calls[0], use)


@pytest.mark.parametrize("path", ["trigger/pause", "trigger/resume"])
def test_a_picture_on_another_page_pauses_nothing_for_who_is_logged_in(
    tmp_path: Path, calls: tuple[Pipeline, list[str]], path: str
) -> None:
    async def use(served: Served) -> None:
        boss = Person(served, "boss", "supervisor")
        refused = await boss.ask("GET", path, csrf=False, params={"sip_call_id": calls[1][0]})
        assert (refused.status, refused.problem["type"]) == (403, "/problems/no-csrf-token")

    run(tmp_path, calls[0], use)

    assert not calls[0].pauses.live()
