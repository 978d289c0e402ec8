"""An announcement is tried, enrolled and looked at in the browser, by somebody who never saw a command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from console.desk import violations
from playwright.async_api import Page
from prompts import NOTICE, OTHER, calls, speech, write_wav
from recordings import record
from rig.desks import Desk, run_desks


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    talk = speech(OTHER, "en-gb+m1")
    return record(calls([[speech(NOTICE), talk], [talk]]), tmp_path_factory.mktemp("two")).data


@pytest.fixture
def data(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two, tmp_path / "data"))


async def looked_at(page: Page, name: str) -> None:
    """See that a page breaks nothing in light, in dark and at phone width; keep pictures where they are wanted."""
    folder = os.environ.get("VITTNE_PICTURES")
    for theme in ("light", "dark", "phone"):
        if theme == "dark":
            await page.evaluate("document.documentElement.dataset.theme = 'dark'")
        if theme == "phone":
            await page.evaluate("document.documentElement.dataset.theme = 'light'")
            await page.set_viewport_size({"width": 390, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, name
        if folder:
            await page.screenshot(path=f"{folder}/{name}-{theme}.png", full_page=True)
        if theme == "light":
            assert await violations(page) == [], name
        if theme == "dark":
            found = await Axe().run(page, options={"runOnly": {"type": "rule", "values": ["color-contrast"]}})
            assert found.response["violations"] == [], name
    await page.set_viewport_size({"width": 1360, "height": 850})


def test_a_sound_is_tried_on_calls_found_at_its_place_and_let_count(data: Path, tmp_path: Path) -> None:
    notice = write_wav(tmp_path / "welcome.wav", speech(NOTICE))

    async def use(desk: Desk) -> None:
        await desk.add_user("cleo", "compliance")
        page = await desk.log_in("cleo", "/compliance/announcements")
        await looked_at(page, "announcements-none")
        await page.click("text=Try a new one >> nth=0")
        await page.set_input_files("#t-file", str(notice))
        await page.wait_for_selector("text=s are kept of it")
        await page.fill("#t-since", "2020-01-01")
        await page.click("text=Listen for it")
        await page.wait_for_selector("text=2 of 2 searched")
        assert await page.locator("#try-result .badge.good").count() == 1
        await looked_at(page, "announcement-tried")
        place = await page.get_attribute("#try-result td a.button", "href")
        assert place is not None
        assert "#at=" in place

        await page.fill("#e-name", "welcome")
        await page.fill("#e-language", "en")
        await page.click("#enrol-form button.primary")
        await page.wait_for_url("**/compliance/announcements/welcome")
        assert await page.inner_text("h1") == "welcome"
        await looked_at(page, "announcement")
        await page.click("text=Change >> nth=0")
        await page.fill("#f-note", "the one of spring")
        await page.click("dialog[open] button.primary")
        await page.wait_for_selector("td:has-text('the one of spring')")

        await page.goto(f"{desk.base}/compliance/announcement-try")
        await page.set_input_files("#t-file", str(notice))
        await page.wait_for_selector(".note.bad:has-text('cannot be told apart')")

        await page.goto(f"{desk.base}{place}")
        await page.wait_for_selector("[data-desk]:visible")

    run_desks(data, use)
