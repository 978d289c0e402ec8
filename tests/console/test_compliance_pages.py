"""The pages of the compliance side: what stands there is true, works by mouse and keyboard, and breaks nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from console.desk import ROUTES as SHELL
from console.desk import Desk, run_desk, violations
from cuts import REC
from lives import archive, classed, several
from playwright.async_api import Page

from vittne.appliance.api.compliance import ROUTES
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.compliance.incident_operations import OPEN_INCIDENT, OpenIncident
from vittne.appliance.config import checked
from vittne.appliance.console.compliance import PAGES
from vittne.appliance.control.caller import Caller
from vittne.appliance.life.operations import PLACE_HOLD, PlaceHold
from vittne.appliance.review.operations import PUT_CARD, PutCard
from vittne.appliance.review.table import Draw, Review, ReviewTable
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.times import now_us
from vittne.appliance.subjects.operations import OPEN_CASE, OpenCase

ME = Caller("test")
RETENTION = [{"name": "all <b>calls</b>", "class": "gdpr-90d"}]
CARD = {
    "name": "sales",
    "questions": [
        {
            "key": "greeting",
            "text": "Did the agent say who they are?",
            "kind": "yes-no",
            "weight": 2.0,
            "critical": True,
        },
        {"key": "tone", "text": "Was it friendly?", "kind": "0-5"},
    ],
}
LISTS = (
    *("/compliance", "/compliance/coverage", "/compliance/not-recorded", "/compliance/pauses", "/compliance/retention"),
    *("/compliance/holds", "/compliance/subjects", "/compliance/approvals", "/compliance/reviews", "/compliance/audit"),
    *("/compliance/incidents", "/compliance/report?regime=sox"),
)


async def furnished(desk: Desk) -> list[str]:
    """Put something on each page; return the addresses of those about one thing."""
    perform = desk.operator.perform
    script = "<script>alert(1)</script>"
    hold = await perform(PLACE_HOLD, PlaceHold(label=f"case 7 {script}", reason=script, recordings=[REC]), ME)
    case = await perform(OPEN_CASE, OpenCase(kind="erasure", numbers=["+4930555123"], due_us=now_us() - 10**9), ME)
    known = now_us() - 50 * 3_600_000_000
    incident = await perform(OPEN_INCIDENT, OpenIncident(title=f"a laptop {script}", known_us=known), ME)
    await perform(PUT_CARD, PutCard(card=CARD), ME)
    table, at = ReviewTable(desk.registrar.catalogue), now_us()
    review = Review("ab" * 8, "desk", "2026-01", REC, "all", "Anna", ("long",), "cleo", at + 10**12, card="sales")
    table.put_draw(Draw("desk", "2026-01", 1, "00", ["all"], [[REC, 0, []]], at, "test", False, ""), [review])
    desk.registrar.ledger.publish()
    row = next(iter(desk.registrar.audit.table.search(AuditSearch(kinds=("hold.place",)))))
    return [
        f"/compliance/holds/{hold['hold']}",
        f"/compliance/subjects/{case['case']}",
        f"/compliance/incidents/{incident['incident']}",
        f"/compliance/reviews/{review.id}",
        f"/compliance/audit/{row.id}",
    ]


def run(data: Path, use: Callable[[Desk], Awaitable[None]]) -> None:
    config = checked({"data": str(data), "retention": RETENTION, "approval": {"operations": ["erase"]}}, "the test")

    def fill(app: web.Application) -> None:
        app[CONFIG] = config

    async def with_users(desk: Desk) -> None:
        desk.registrar.life_policy = policy_of(config)
        await desk.add_user("cleo", "compliance")
        await desk.add_user("dora", "compliance")
        await desk.add_user("olle", "auditor")
        await use(desk)

    run_desk(data, with_users, routes=(*SHELL, *ROUTES), pages=PAGES, fill=fill)


@pytest.fixture(scope="module")
def furnished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("pages") / "data"
    archive(data)
    for name in [REC, *several(data, 3)]:
        classed(data, "gdpr-90d", None, now_us() - 10**9, name)
    return data


@pytest.fixture
def data(furnished_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(furnished_once, tmp_path / "data"))


async def seen(page: Page, name: str) -> None:
    """Keep a picture for who wants to judge it: VITTNE_PICTURES=FOLDER."""
    if folder := os.environ.get("VITTNE_PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_every_page_is_accessible_fits_a_phone_and_no_text_of_others_becomes_a_script(data: Path) -> None:
    async def use(desk: Desk) -> None:
        ones = await furnished(desk)
        page = await desk.log_in("cleo")
        for path in (*LISTS, *ones):
            found = await page.goto(f"{desk.base}{path}")
            assert found is not None
            assert found.status == 200, path
            name = path.partition("?")[0].replace("/", "-")[1:30]
            await seen(page, f"light-{name}")
            assert await violations(page) == [], path
            await page.evaluate("document.documentElement.dataset.theme = 'dark'")
            await seen(page, f"dark-{name}")
            dark = await Axe().run(page, options={"runOnly": {"type": "rule", "values": ["color-contrast"]}})
            assert dark.response["violations"] == [], path
            await page.set_viewport_size({"width": 390, "height": 800})
            await seen(page, f"phone-{name}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
            await page.set_viewport_size({"width": 1360, "height": 850})

    run(data, use)


def test_a_hold_is_looked_at_placed_and_let_go_in_the_browser(data: Path) -> None:
    async def use(desk: Desk) -> None:
        page = await desk.log_in("cleo", "/compliance/holds")
        await page.click("text=Place a hold")
        await page.fill("#f-label", "case 7")
        await page.fill("#f-reason", "court")
        await page.fill("[name='search.number']", "4930555")
        await page.click("text=Look what it would lie on")
        await page.wait_for_selector("#previewed:visible")
        assert await page.inner_text("#previewed b") == "4"
        await page.click("dialog[open] button.primary")
        await page.wait_for_url("**/compliance/holds/*")
        assert await page.inner_text("h1") == "case 7"
        await page.click("text=Let go")
        await page.fill("#release-r", "settled")
        await page.click("dialog[open] footer button.danger")
        await page.wait_for_selector(".badge:has-text('released')")

    run(data, use)


def test_one_asks_and_another_one_approves(data: Path) -> None:
    async def use(desk: Desk) -> None:
        page = await desk.log_in("cleo", "/compliance/approvals")
        await page.evaluate(
            """async (id) => { const { api } = await import(document.querySelector("script[type=module]").src);
            await api("POST", `/api/v1/recordings/${id}/erase`, { reason: "asked" }); }""",
            REC,
        )
        await page.reload()
        assert await page.locator("button:has-text('Approve')").count() == 0
        assert await page.locator("button:has-text('Take back')").count() == 1
        other = await desk.log_in("dora", "/compliance/approvals")
        other.on("dialog", lambda dialog: dialog.accept())
        await other.click("button:has-text('Approve')")
        await other.wait_for_selector("h2:has-text('Nothing waits')")
        assert desk.registrar.catalogue.get(REC).erased_us is not None

    run(data, use)


def test_other_rules_are_tried_and_a_call_is_scored(data: Path) -> None:
    async def use(desk: Desk) -> None:
        ones = await furnished(desk)
        page = await desk.log_in("cleo", "/compliance/retention")
        assert 'name = "all <b>calls</b>"' in await page.input_value("#f-rules")
        await page.fill("#f-rules", "")
        await page.click("text=Try them")
        await page.wait_for_selector("#what-if:visible")
        assert await page.inner_text("#what-if b[data-show=changed]") == "1"
        await page.goto(f"{desk.base}{ones[3]}")
        await page.select_option("#q-greeting", "yes")
        await page.select_option("#q-tone", "5")
        await page.click("text=Write it down")
        await page.wait_for_url("**/compliance/reviews")
        assert ReviewTable(desk.registrar.catalogue).review("ab" * 8).score == 100

    run(data, use)


def test_an_auditor_finds_no_button_that_changes_something(data: Path) -> None:
    async def use(desk: Desk) -> None:
        ones = await furnished(desk)
        page = await desk.log_in("olle", "/compliance")
        for path in ("/compliance/holds", "/compliance/approvals", "/compliance/incidents", ones[0], ones[2], ones[4]):
            await page.goto(f"{desk.base}{path}")
            assert await page.locator("main form[data-method=POST]").count() == 0, path
        found = await page.goto(f"{desk.base}{ones[1]}")
        assert found is not None
        assert found.status == 403
        desk.errors.clear()  # the browser tells of the 403 itself

    run(data, use)
