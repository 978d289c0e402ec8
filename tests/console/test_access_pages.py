"""The pages about users, roles, tokens and second factors, used with a browser as a person would."""

from __future__ import annotations

import base64
import time
from pathlib import Path

from console.desk import Desk, run_desk, violations
from playwright.async_api import Page
from rig.passwords import PASSWORD

from vittne.appliance.access.totp import code_at

SHOTS: list[str] = []  # where to put pictures, for who looks at them


def now_code(secret: str, off: int = 0) -> str:
    return code_at(base64.b32decode(secret), int(time.time()) // 30 + off)


async def seen(page: Page, name: str) -> None:
    """Check a page, and keep a picture where somebody wants to look."""
    assert await violations(page) == [], name
    for folder in SHOTS:
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_an_administrator_adds_a_user_a_role_and_a_token(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("root", "administrator", full_name="Rut Ott")
        page = await desk.log_in("root", then="/settings/users")
        await page.click("button:has-text('Add a user')")
        await seen(page, "add-user")
        await page.fill("#f-name", "bo")
        await page.fill("#f-full_name", "Bo <b>Ek</b>")
        await page.check("input[value=agent]")
        await page.fill("#f-own", "2041\nBo Ek")
        await page.click("button:has-text('make a code')")
        await page.wait_for_selector("#code-told[open]")
        code = await page.inner_text("#code-told output")
        assert len(code.split("-")) == 5
        await seen(page, "code")
        await page.click("button:has-text('passed it on')")
        await page.click("a:has-text('Bo <b>Ek</b>')")
        assert await page.input_value("#f-own") == "2041\nBo Ek"
        await seen(page, "user")
        await page.fill("#f-own", "")
        await page.check("input[value=supervisor]")
        async with page.expect_navigation():
            await page.click("button:has-text('Save')")
        assert await page.input_value("#f-own") == ""
        assert await page.is_checked("input[value=supervisor]")

        await page.goto(f"{desk.base}/settings/users")
        await seen(page, "users")
        await page.goto(f"{desk.base}/settings/roles")
        await seen(page, "roles")
        await page.click("button:has-text('Make a role')")
        await page.fill("#f-_name", "desk-lead")
        await page.fill("#f-words", "hears the desk")
        await page.check("input[name=may][value=read]")
        await page.select_option("#f-party", "masked")
        await page.fill("#f-days", "90")
        await seen(page, "add-role")
        await page.click("button:has-text('Make it')")
        await page.wait_for_url("**/settings/roles/desk-lead")
        assert "no older than 90 days" in await page.inner_text("main")
        assert "•••456" in (await page.inner_text("tr:has-text('Caller') >> nth=0")).replace(" ", "")
        await seen(page, "role")

        await page.goto(f"{desk.base}/settings/tokens")
        assert "No tokens yet" in await page.inner_text("main")
        await page.click("button:has-text('Make a token')")
        await page.fill("#f-name", "PBX east")
        await page.check("input[value=pause]")
        assert await page.locator("input[value=listen]").count() == 0  # an administrator hears nothing
        await page.click("button:has-text('Make it')")
        await page.wait_for_selector("#token-told[open]")
        assert (await page.inner_text("#token-told output")).startswith("vtn_")
        await page.click("button:has-text('in its place')")
        await page.wait_for_selector("td:has-text('PBX east')")
        await seen(page, "tokens")

        phone = await desk.log_in(
            "root", then="/settings/users", viewport={"width": 390, "height": 800}, color_scheme="dark"
        )
        await seen(phone, "users-phone")

    run_desk(tmp_path, use)


def test_a_telephone_is_set_up_and_asked_for(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "supervisor")
        page = await desk.log_in("anna")
        await page.click("a:has-text('Set up a telephone')")
        await page.click("summary")
        secret = await page.inner_text(".secret output")
        await seen(page, "totp")
        await page.fill("#f-code", now_code(secret))
        await page.fill("#f-label", "mine")
        await page.click("button.primary")
        await page.wait_for_selector("#codes-told[open]")
        codes = (await page.inner_text("#codes-told output")).split()
        assert len(codes) == 10
        await seen(page, "recovery")
        await page.click("a:has-text('I have kept them')")
        await page.wait_for_url("**/me")
        assert "mine" in await page.inner_text("main")
        await seen(page, "me")

        other = await desk.page(await desk.context())
        await other.goto(f"{desk.base}/login?then=/api")
        await other.fill("#f-name", "anna")
        await other.fill("#f-password", PASSWORD)
        await other.click("button.primary")
        await other.wait_for_selector("h1:has-text('Second factor')")
        await seen(other, "second")
        await other.fill("#f-code", "000000")
        await other.click("button.primary")
        await other.wait_for_selector("[role=alert]:has-text('not right')")
        desk.errors.clear()  # the browser tells of the 403 itself
        await other.fill("#f-code", codes[0])
        await other.click("button.primary")
        await other.wait_for_url(f"{desk.base}/api")

    run_desk(tmp_path, use)


def test_what_gives_rights_asks_who_one_is_in_between(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("root", "administrator")
        page = await desk.log_in("root", then="/settings/tokens")
        gate = desk.gate
        held = gate.sessions.of(gate.users.named("root").id, gate.now_us())[0]  # type: ignore[union-attr]
        gate.sessions.prove(held.id, gate.now_us() - 11 * 60_000_000)
        await page.click("button:has-text('Make a token')")
        await page.fill("#f-name", "PBX east")
        await page.check("input[value=pause]")
        await page.click("button:has-text('Make it')")
        await page.wait_for_selector("#prove[open]")
        await seen(page, "prove")
        await page.fill("#prove-password", "not this one")
        await page.click("#prove button.primary")
        await page.wait_for_selector("#prove [role=alert]")
        await page.fill("#prove-password", PASSWORD)
        await page.click("#prove button.primary")
        await page.wait_for_selector("#token-told[open]")
        desk.errors.clear()  # the browser tells of the 403s itself

    run_desk(tmp_path, use)


def test_a_passkey_is_set_up_and_logs_in_alone(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "supervisor")
        base = f"https://localhost:{desk.served.address[1]}"  # passkeys are for names
        context = await desk.context()
        page = await desk.page(context)
        tools = await context.new_cdp_session(page)
        await tools.send("WebAuthn.enable")
        device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
        device |= {"isUserVerified": True, "automaticPresenceSimulation": True}
        await tools.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        await page.goto(f"{base}/login?then=/me")
        await page.fill("#f-name", "anna")
        await page.fill("#f-password", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url("**/me")
        await page.click("button:has-text('Set up a passkey')")
        await page.wait_for_selector("#codes-told[open]")
        await page.click("button:has-text('I have kept them')")
        await page.wait_for_selector("td:has-text('Passkey')")
        await page.context.clear_cookies()
        await page.goto(f"{base}/login?then=/me")
        await seen(page, "login-passkey")
        await page.click("button:has-text('Log in with a passkey')")
        await page.wait_for_url("**/me")

    run_desk(tmp_path, use)
