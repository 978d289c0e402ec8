"""The console's frame: who gets in, what a browser is told, and that everybody can use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from console.desk import Desk, run_desk, violations
from rig.passwords import PASSWORD

from vittne.appliance.access import operations as ops
from vittne.appliance.access.invitations import code_sha256, new_code
from vittne.appliance.control.caller import Caller
from vittne.appliance.store.times import now_us

ME = Caller("test")


def test_nobody_sees_a_page_who_is_not_logged_in(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        page = await desk.page(await desk.context())
        await page.goto(f"{desk.base}/me")
        assert page.url == f"{desk.base}/login?then=/me"
        assert "user add NAME" in await page.content()  # nobody can log in yet

    run_desk(tmp_path, use)


def test_a_code_a_password_and_in(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        code = new_code()
        await desk.operator.perform(ops.ADD_USER, ops.AddUser(name="anna", roles=("administrator",)), ME)
        order = ops.Invite(user="anna", code_sha256=code_sha256(code), expires_us=now_us() + 10**10)
        await desk.operator.perform(ops.INVITE, order, ME)
        page = await desk.page(await desk.context())
        await page.goto(f"{desk.base}/invitation")
        await page.fill("#f-code", code.lower())
        await page.fill("#f-password", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url("**/settings/users")
        await page.click("summary:has-text('anna')")
        await page.click("button:has-text('Log out')")
        await page.wait_for_url("**/login")

    run_desk(tmp_path, use)


def test_a_wrong_password_is_told_where_one_looks(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.page(await desk.context())
        await page.goto(f"{desk.base}/login")
        await page.fill("#f-name", "anna")
        await page.fill("#f-password", "not this one at all")
        await page.click("button.primary")
        await page.wait_for_selector("[role=alert]:has-text('Name or password is not right')")
        desk.errors.clear()  # the browser tells of the 401 itself

    run_desk(tmp_path, use)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible(tmp_path: Path, theme: str) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.log_in("anna", color_scheme=theme)
        for path in ("/login", "/invitation", "/me", "/api"):
            await page.goto(f"{desk.base}{path}")
            assert await page.evaluate("document.documentElement.dataset.theme") == theme
            assert await violations(page) == [], path

    run_desk(tmp_path, use)


def test_what_a_browser_is_told(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        found = await desk.served.session.get(f"{desk.base}/login")
        policy = found.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        api = await desk.served.get("health")
        assert api.headers["Content-Security-Policy"].startswith("default-src 'none'")

    run_desk(tmp_path, use)


@pytest.mark.parametrize(
    "then", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/%5Cevil.example"]
)
def test_a_login_leads_to_no_other_site(tmp_path: Path, then: str) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.page(await desk.context())
        await page.goto(f"{desk.base}/login?then={then}")
        assert await page.get_attribute("form", "data-then") == "/"

    run_desk(tmp_path, use)


@pytest.mark.parametrize(
    "name", ["../site.py", "..%2Fsite.py", "vendor/../../render.py", "nothing.css", "", "%00", "a" * 300]
)
def test_only_files_that_are_meant_to_be_are_given(tmp_path: Path, name: str) -> None:
    async def use(desk: Desk) -> None:
        found = await desk.served.session.get(f"{desk.base}/static/x/{name}", allow_redirects=False)
        assert found.status == 404

    run_desk(tmp_path, use)


def test_a_name_with_a_script_in_it_stays_text(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        name = "<img src=x onerror=alert(1)>"
        await desk.add_user("anna", "compliance", full_name=name)
        page = await desk.log_in("anna")
        assert await page.inner_text("h1") == name

    run_desk(tmp_path, use)


def test_an_address_that_is_not_there_is_told_as_a_page(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.log_in("anna")
        found = await page.goto(f"{desk.base}/nowhere")
        assert found is not None
        assert found.status == 404
        assert "There is nothing at this address" in await page.content()
        desk.errors.clear()

    run_desk(tmp_path, use)
