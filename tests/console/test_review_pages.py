"""Plans and scorecards are made and changed in the browser; what was there before keeps its version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from console.test_announcement_pages import looked_at
from cuts import three_parts
from rig.desks import Desk, person, run_desks

from vittne.appliance.review.table import ReviewTable
from vittne.appliance.store.audit import AuditSearch


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("one") / "data"
    three_parts(data)
    return data


@pytest.fixture
def data(one: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(one, tmp_path / "data"))


def test_a_scorecard_and_a_plan_are_made_and_changed(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("cleo", "compliance")
        page = await desk.log_in("cleo", "/compliance/review-plans")
        await looked_at(page, "plans-none")
        await page.click("text=New scorecard")
        await page.fill("#card-name", "sales")
        await page.fill("[data-of=text]", "Did the agent say who they are?")
        await page.check("[data-of=critical]")
        await page.click("text=Another question")
        await page.locator("[data-of=text]").nth(1).fill("Was it friendly?")
        await page.locator("[data-of=kind]").nth(1).select_option("0-5")
        await looked_at(page, "scorecard")
        await page.click("text=Save the scorecard")
        await page.wait_for_url("**/compliance/review-plans")
        table = ReviewTable(desk.registrar.catalogue)
        first = table.card("sales")
        assert [(q["key"], q["kind"], q["critical"]) for q in first.body["questions"]] == [
            ("did-the-agent-say-who-they-are", "yes-no", True),
            ("was-it-friendly", "0-5", False),
        ]
        await page.click("a:has-text('sales')")
        await page.locator("[data-of=text]").nth(1).fill("Was it friendly and short?")
        await page.click("text=Save the scorecard")
        await page.wait_for_url("**/compliance/review-plans")
        assert table.card("sales").version == 2
        assert table.card("sales").body["questions"][1]["key"] == "was-it-friendly"

        await page.click("text=New plan")
        await page.fill("#p-name", "trading desk")
        await page.select_option("#p-per", "agent")
        await page.fill("#p-sites", "desk-1\ndesk-2")
        await page.fill("#p-percent", "2.5")
        await page.fill("#p-w-long", "3")
        await page.fill("#p-reviewers", "ann\nbob")
        await page.select_option("#p-card", "sales")
        await looked_at(page, "plan")
        await page.click("text=Save the plan")
        await page.wait_for_url("**/compliance/review-plans")
        await looked_at(page, "plans")
        plan = table.plan("trading desk")
        assert (plan.body["sites"], plan.body["percent"], plan.body["weights"]) == (
            ["desk-1", "desk-2"],
            2.5,
            {"long": 3.0},
        )
        assert (plan.body["reviewers"], plan.body["card"]) == (["ann", "bob"], "sales")
        (row,) = desk.registrar.audit.table.search(AuditSearch(kinds=("review.plan",)))
        assert row.actor == "cleo"

    run_desks(data, use)


def test_words_of_a_plan_that_the_page_does_not_show_stay_and_wrong_ones_are_told(data: Path) -> None:
    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        plan = {"name": "desk", "callees": ["0900*"], "percent": 5.0}
        assert (await cleo.ask("POST", "review-plans", json=plan)).json == {
            "name": "desk",
            "version": 1,
            "changed": True,
        }
        assert (await cleo.ask("POST", "review-plans", json=plan)).json["changed"] is False
        wrong = await cleo.ask("POST", "review-plans", json={"name": "desk", "least": 5, "most": 2})
        assert wrong.status == 422
        twice = {"name": "c", "questions": [{"key": "a", "text": "A?"}, {"key": "a", "text": "B?"}]}
        assert (await cleo.ask("POST", "review-cards", json=twice)).status == 422
        page = await desk.log_in("cleo", "/compliance/review-plan?name=desk")
        await page.fill("#p-percent", "6")
        await page.click("text=Save the plan")
        await page.wait_for_url("**/compliance/review-plans")
        body = ReviewTable(desk.registrar.catalogue).plan("desk").body
        assert (body["callees"], body["percent"]) == (["0900*"], 6.0)
        assert (await cleo.ask("POST", "review-plans/desk/end")).status == 200
        assert (await cleo.get("review-plans")).json["plans"] == []
        assert [one["version"] for one in (await cleo.get("review-plans?ended=true")).json["plans"]] == [2]

    run_desks(data, use)
