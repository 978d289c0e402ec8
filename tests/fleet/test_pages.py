"""All recorders in API and console: who finds what, where it leads, and that an absent server holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from api.harness import Answer
from console.desk import ROUTES, Desk, desk, run_desk, violations
from rig.boxes import Two, call

from vittne.appliance.access import operations as ops
from vittne.appliance.api import fleet, recordings
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER, csrf_of
from vittne.appliance.console.fleet_page import PAGES as FLEET_PAGES
from vittne.appliance.console.recordings import PAGES as RECORDING_PAGES
from vittne.appliance.control.caller import Caller
from vittne.appliance.fleet.desk import FLEET_DESK, FleetDesk
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditTable


def served(two: Two, settings: CatalogueSettings | None = None) -> dict[str, Any]:
    def fill(app: Any) -> None:
        app[FLEET_DESK] = FleetDesk(settings or two.settings, two.schemas[0])

    routes = (*ROUTES, *recordings.ROUTES, *fleet.ROUTES)
    return {"routes": routes, "pages": (*RECORDING_PAGES, *FLEET_PAGES), "fill": fill}


async def role(one: Desk, name: str, **body: Any) -> None:
    await one.operator.perform(ops.PUT_ROLE, ops.PutRole(role={"name": name, **body}), Caller("test"))


async def ask(one: Desk, user: str, path: str) -> Answer:
    found = one.gate.users.named(user)
    assert found is not None
    _, secret = one.gate.sessions.begin(found.id, ("password",), "127.0.0.1", "", one.gate.now_us())
    return await one.served.get(path, headers={"Cookie": f"{COOKIE}={secret}", CSRF_HEADER: csrf_of(secret)})


@pytest.fixture
def stopped(two: Two) -> Iterator[Two]:
    two.server.stop()
    yield two
    two.server.start()


def test_calls_of_all_recorders_are_found_and_lead_to_theirs(two: Two) -> None:
    async def story() -> None:
        async with desk(two.data, **served(two)) as one:
            await one.add_user("anna", "compliance")
            first = (await ask(one, "anna", "fleet/recordings?limit=3")).json
            second = (await ask(one, "anna", f"fleet/recordings?limit=3&cursor={first['next']}")).json
            oslo = (await ask(one, "anna", "fleet/recordings?recorder=Oslo")).json
            boxes = (await ask(one, "anna", "fleet/recorders")).json["recorders"]
            bad = await ask(one, "anna", "fleet/recordings?sort=quality")

            assert [(one["recorder"]["name"], one["recording"]["id"]) for one in first["found"]] == [
                ("Oslo", call(9).id),
                ("Berlin", call(8).id),
                ("Oslo", call(7).id),
            ]
            assert [one["link"] for one in first["found"][:2]] == [
                f"https://oslo.example.org/recordings/{call(9).id}",
                f"/recordings/{call(8).id}",
            ]
            assert [one["recording"]["id"] for one in second["found"]] == [call(n).id for n in (6, 5, 4)]
            assert {one["recorder"]["name"] for one in oslo["found"]} == {"Oslo"}
            assert [(one["name"], one["is_this"], one["problem"]) for one in boxes] == [
                ("Berlin", True, ""),
                ("Oslo", False, ""),
            ]
            assert all(one["heard_at"] for one in boxes)
            assert bad.status == 422
            rows = [row for row in AuditTable(one.registrar.catalogue).search() if row.kind == events.SEARCHED]
            assert [(row.actor, row.details["query"].get("recorder")) for row in rows[-1:]] == [("anna", "Oslo")]

    asyncio.run(story())


def test_nobody_sees_more_of_other_recorders_than_of_this_one(two: Two) -> None:
    async def story() -> None:
        async with desk(two.data, **served(two)) as one:
            await role(one, "norway", may=["read", "fleet"], only={"sites": ["Oslo"]}, fields={"party": "masked"})
            await role(one, "here", may=["read"], fields={"party": "full"})
            await one.add_user("olga", "norway", "here")
            await one.add_user("bo", "supervisor")
            await one.add_user("cid", "norway", sites=["Berlin"])
            found = (await ask(one, "olga", "fleet/recordings")).json["found"]

            assert {one["recording"]["site"] for one in found} == {"Oslo"}
            assert len(found) == 5
            assert "4930" not in str(found)
            hidden = await ask(one, "olga", "fleet/recordings?number=3000007")
            assert hidden.problem["type"] == "/problems/hidden-fields"
            assert (await ask(one, "bo", "fleet/recordings")).status == 403
            assert (await ask(one, "bo", "fleet/recorders")).status == 403
            assert (await ask(one, "cid", "fleet/recordings")).json["found"] == []

    asyncio.run(story())


def test_a_server_that_is_away_is_told_of_and_all_else_goes_on(stopped: Two) -> None:
    async def story() -> None:
        async with desk(stopped.data, **served(stopped)) as one:
            await one.add_user("dora", "compliance")
            away = [await ask(one, "dora", f"fleet/{name}") for name in ("recordings", "recorders", "recordings")]
            here = await ask(one, "dora", "recordings")

            assert [(one.status, one.problem["type"]) for one in away] == [(503, "/problems/shared-catalogue")] * 3
            assert away[0].headers["Retry-After"] == "10"
            assert len(here.json["recordings"]) == 5

    asyncio.run(story())


def test_a_recorder_that_shares_nothing_says_so(two: Two) -> None:
    async def story() -> None:
        async with desk(two.data, **served(two, CatalogueSettings())) as one:
            await one.add_user("eva", "compliance")
            assert (await ask(one, "eva", "fleet/recordings")).problem["type"] == "/problems/nothing-shared"

    asyncio.run(story())


def test_the_page_finds_calls_of_all_recorders(two: Two) -> None:
    async def use(one: Desk) -> None:
        await one.add_user("finn", "compliance")
        page = await one.log_in("finn", "/fleet")
        rows = page.locator("table.recordings tbody tr")
        assert await rows.count() == 10
        assert "this recorder" in await page.inner_text("section[aria-labelledby=recorders-title]")
        assert await violations(page) == []

        await page.fill("input[name=q]", "3000007")
        await page.click("form.find button.primary")
        await page.wait_for_url("**/fleet?q=3000007**")
        assert await rows.count() == 1
        link = await page.get_attribute("table.recordings a.whole", "href")
        assert link == f"https://oslo.example.org/recordings/{call(7).id}"
        await page.goto(f"{one.base}/fleet?q=nobody")
        assert "Nothing fits" in await page.inner_text("main")
        await page.goto(f"{one.base}/fleet?since=yesterday")
        assert "This cannot be searched for" in await page.inner_text("main")

        dark = await one.log_in("finn", "/fleet", viewport={"width": 390, "height": 844}, color_scheme="dark")
        assert await violations(dark) == []
        assert await dark.evaluate("document.documentElement.scrollWidth") == 390

    run_desk(two.data, use, **served(two))


def test_the_page_says_that_the_server_is_away(stopped: Two) -> None:
    async def use(one: Desk) -> None:
        await one.add_user("bea", "compliance")
        page = await one.log_in("bea", "/fleet")
        words = await page.inner_text("main")
        assert "The shared catalogue does not answer" in words
        assert await violations(page) == []
        await page.click("text=Search this recorder alone")
        await page.wait_for_selector("table.recordings")

    run_desk(stopped.data, use, **served(stopped))
