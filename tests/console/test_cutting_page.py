"""A stretch is marked in the player, looked at and cut out; where two have to want it, the second one finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from console.test_announcement_pages import looked_at
from prompts import OTHER, calls, speech
from recordings import record
from rig.desks import Desk, run_desks


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return record(calls([[speech(OTHER)]]), tmp_path).data


def test_a_stretch_is_marked_looked_at_asked_for_and_cut_by_the_second(data: Path) -> None:
    async def use(desk: Desk) -> None:
        (call,) = desk.registrar.catalogue.list_calls()
        await desk.add_user("cleo", "compliance")
        await desk.add_user("dora", "compliance")
        page = await desk.log_in("cleo", f"/recordings/{call.id}")
        await page.wait_for_selector("[data-desk]:visible")
        await page.wait_for_selector("[data-wave]:not([aria-busy])")
        box = await page.locator("[data-wave]").bounding_box()
        assert box is not None
        await page.keyboard.down("Shift")
        await page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
        await page.mouse.up()
        await page.keyboard.up("Shift")
        assert (await page.inner_text("[data-stretch]")).endswith(" s")
        await page.click("[data-cutopen]")
        await page.fill("#cut-from", "1.0")
        await page.fill("#cut-to", "2.0")
        await page.fill("#cut-reason", "a card number")
        assert await page.is_disabled("[data-cutgo]")
        await page.click("[data-cutlook]")
        await page.wait_for_selector("[data-cutsaid] .note.warn:has-text('1.0 s go: 50 packets of the caller, 50')")
        await looked_at(page, "cut-dialog")
        await page.click("[data-cutgo]")
        await page.wait_for_selector("#toasts :text('It was asked for')")

        other = await desk.log_in("dora", "/compliance/approvals")
        await looked_at(other, "cut-waits")
        other.on("dialog", lambda dialog: dialog.accept())
        await other.click("button:has-text('Approve')")
        await other.wait_for_selector("h2:has-text('Nothing waits')")
        assert [one["by"] for one in desk.registrar.catalogue.get(call.id).details["cuts"]] == ["cleo"]
        await page.reload()
        await page.wait_for_selector("[data-legend] .swatch.cut")

    run_desks(data, use, said={"approval": {"operations": ["cut"]}})
