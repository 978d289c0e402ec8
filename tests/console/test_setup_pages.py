"""The guided first start, used with a browser: it says what is there, and what is chosen is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web
from console.desk import Desk, run_desk
from console.test_access_pages import seen

from vittne.appliance.api.setup import SET_UP, set_up_of
from vittne.appliance.config import load
from vittne.appliance.console.setup_pages import PAGES


def run(data: Path, use: Any, file: Path | None = None, **options: Any) -> None:
    def fill(app: web.Application) -> None:
        app[SET_UP] = set_up_of(load(file, {"data": str(data), **options}, {}), file, {})

    run_desk(data, use, fill=fill, pages=PAGES)


def test_an_interface_is_chosen_by_its_traffic_and_counts_from_the_next_start(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("root", "administrator")
        page = await desk.log_in("root", then="/setup")
        assert await page.locator("tr:has-text('lo') .badge:has-text('yes')").count() == 0
        await page.wait_for_selector("tr:has-text('lo') td.num:has-text('0')")  # rates take two looks
        assert "no passphrase" in await page.inner_text("#keys")
        assert "Only one person" in await page.inner_text("#users")
        await seen(page, "setup")
        await page.check("input[value=lo]")
        await page.click("button:has-text('Choose')")
        await page.wait_for_selector("#interfaces .note:has-text('next start')")
        assert load(None, {"data": str(tmp_path)}, {}).interfaces == ("lo",)
        phone = await desk.log_in("root", then="/setup", viewport={"width": 390, "height": 800}, color_scheme="dark")
        await seen(phone, "setup-phone")

    run(tmp_path, use)


def test_a_test_call_is_placed_where_it_would_be_recorded(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("root", "administrator")
        page = await desk.log_in("root", then="/setup")
        async with page.expect_response("**/setup/test-call") as found:
            await page.click("button:has-text('Place a test call')")
        answer = await found.value
        assert answer.status == 201

    run(tmp_path, use, interfaces=["lo"])


def test_settings_about_logging_in_count_at_once(tmp_path: Path) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text("[access]\nlongest_h = 9\n")

    async def use(desk: Desk) -> None:
        await desk.add_user("root", "administrator")
        page = await desk.log_in("root", then="/settings/general")
        assert await page.is_disabled("[name='values.access\\\\.longest_h']")  # the file says it
        await seen(page, "general")
        await page.fill("[name='values.access\\\\.idle_min']", "5")
        await page.select_option("#f-second", "required")
        async with page.expect_navigation():
            await page.click("button:has-text('Save') >> nth=0")
        # From now on a second factor is required: of who is logged in too.
        await page.wait_for_url("**/factors/totp?then=**")
        assert desk.gate.settings.idle_min == 5
        assert desk.gate.settings.longest_h == 9
        again = load(file, {"data": str(tmp_path)}, {}).access
        assert (again.idle_min, again.longest_h, again.second_factor) == (5, 9, "required")

    run(tmp_path, use, file=file)
