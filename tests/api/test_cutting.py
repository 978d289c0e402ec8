"""A stretch is cut out over the API, beside the recorder: looked at first, by two where two must want it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from cuts import REC, START_US, call_of, records_of, three_parts
from lives import FAR_US, classed
from rig.desks import Desk, person, run_desks

from vittne.appliance.seal.records import RTP
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.times import rfc3339

TWO = {"approval": {"operations": ["cut"]}}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("one") / "data"
    three_parts(data)
    return data


@pytest.fixture
def data(one: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(one, tmp_path / "data"))


def span(begin_ms: int, end_ms: int, **more: str) -> dict[str, Any]:
    times = [rfc3339(START_US + ms * 1000) for ms in (begin_ms, end_ms)]
    return {"begin": times[0], "end": times[1], **more}


def packets(data: Path) -> int:
    return sum(kind == RTP for kind, _, _ in records_of(data))


def test_what_would_go_is_said_and_then_it_goes(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        would = await cleo.ask("POST", f"recordings/{REC}/cut/preview", json=span(1000, 1500))
        assert would.status == 200, would.body
        assert (would.json["packets"], would.json["milliseconds"], would.json["persons"]) == (25, 500, 1)
        assert packets(data) == 150
        nothing = await cleo.ask("POST", f"recordings/{REC}/cut/preview", json=span(60_000, 61_000))
        assert (nothing.status, "nothing is stored" in nothing.problem["title"].lower()) == (409, True)
        assert (await cleo.ask("POST", f"recordings/{REC}/cut", json=span(1500, 1000, reason="x"))).status == 422

        cut = await cleo.ask("POST", f"recordings/{REC}/cut", json=span(1000, 1500, reason="a card was read out"))
        assert cut.status == 200, cut.body
        assert (cut.json["version"], cut.json["packets"]) == (2, 25)
        assert packets(data) == 125
        (told,) = call_of(data).details["cuts"]
        assert (told["by"], told["reason"]) == ("cleo", "a card was read out")
        assert verify(data, REC).ok
        (row,) = desk.registrar.audit.table.search(AuditSearch(kinds=("cut.allow",)))
        assert (row.actor, row.via) == ("cleo", "api")
        seen = await cleo.ask("POST", f"recordings/{REC}/verify")
        assert seen.json["ok"]
        sven = await person(desk, "sven", "supervisor")
        assert (await sven.ask("POST", f"recordings/{REC}/cut/preview", json=span(0, 500))).status == 403

    run_desks(data, use)


def test_a_cut_that_two_have_to_want_is_made_when_the_second_does(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo, dora = [await person(desk, name, "compliance") for name in ("cleo", "dora")]
        body = span(1000, 1500, reason="a card was read out")
        assert (await cleo.ask("POST", f"recordings/{REC}/cut/preview", json=span(1000, 1500))).json["persons"] == 2
        waits = await cleo.ask("POST", f"recordings/{REC}/cut", json=body)
        assert waits.status == 202
        request = waits.json["waits"]
        assert (await cleo.ask("POST", f"requests/{request}/approve")).status == 409
        assert packets(data) == 150
        approved = await dora.ask("POST", f"requests/{request}/approve")
        assert (approved.status, approved.json["state"]) == (200, "done"), approved.body
        assert packets(data) == 125
        (row,) = desk.registrar.audit.table.search(AuditSearch(kinds=("cut.allow",)))
        assert row.details["approvers"] == ["cleo", "dora"]
        assert (await dora.ask("POST", f"requests/{request}/approve")).status == 409

    run_desks(data, use, said=TWO)


def test_a_locked_archive_is_not_cut_and_what_the_law_locks_waits_for_two(data: Path) -> None:
    classed(data, "mifid-5y", FAR_US, FAR_US)

    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        locked = await cleo.ask("POST", f"recordings/{REC}/cut/preview", json=span(1000, 1500))
        assert locked.status == 423, locked.body
        waits = await cleo.ask("POST", f"recordings/{REC}/cut", json=span(1000, 1500, reason="x"))
        assert waits.status == 202
        dora = await person(desk, "dora", "compliance")
        assert (await dora.ask("POST", f"requests/{waits.json['waits']}/approve")).status == 423
        (shown,) = (await dora.get("requests")).json["requests"]
        assert (shown["state"], shown["may_approve"]) == ("approved", True)  # again, once it is unlocked
        assert packets(data) == 150

    run_desks(data, use, unlocked=False)
