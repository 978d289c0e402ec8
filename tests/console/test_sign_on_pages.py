"""Signing in elsewhere, in a browser as a person does: cookies that another site's answer does not carry, above all."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from console.browsing import BROWSING
from console.desk import Desk, desk, violations
from playwright.async_api import Page
from rig.passwords import PASSWORD
from signon.provider import SECRET, Provider, providing
from signon.slapd import PEOPLE, Slapd, running

from vittne.appliance.signon.settings import SignOnSettings
from vittne.appliance.signon.sources import Sources

SHOTS: list[str] = []  # where to put pictures, for who looks at them
Use = Callable[[Desk, Provider, Slapd], Awaitable[None]]


async def seen(page: Page, name: str) -> None:
    """Check a page, and keep a picture where somebody wants to look."""
    assert await violations(page) == [], name
    for folder in SHOTS:
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def run(tmp_path: Path, use: Use) -> None:
    """Run a test's coroutine with a console, a provider and a directory. The console's name is another site."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)

    async def whole(slapd: Slapd) -> None:
        async with providing() as provider, desk(tmp_path / "data") as one:
            port = one.served.address[1]
            settings = SignOnSettings(
                address=f"https://localhost:{port}",  # the provider is at 127.0.0.1: another site
                oidc=(
                    provider.source(secret, title="Contoso"),
                    provider.source(secret, name="inv", title="Guests", let_in="invited", roles={}),
                ),
                ldap=(slapd.source(title="Active Directory"),),
            )
            one.gate.sources = Sources(settings)
            await use(one, provider, slapd)
            assert [line for line in one.errors if "Failed to load resource" not in line] == [], one.errors

    with ExitStack() as stack:
        (tmp_path / "data").mkdir()
        BROWSING.run(whole(stack.enter_context(running(tmp_path / "slapd"))))


def test_somebody_signs_in_at_a_provider_looks_around_and_signs_out(tmp_path: Path) -> None:
    async def use(desk: Desk, provider: Provider, _: Slapd) -> None:
        await desk.add_user("root", "administrator")
        base = f"https://localhost:{desk.served.address[1]}"
        page = await desk.page(await desk.context())
        await page.goto(f"{base}/login?then=/me")
        await seen(page, "login")
        await page.click("text=Sign in with Contoso")
        await page.wait_for_url(f"{base}/me")
        assert "Anna Berg" in await page.inner_text("h1")
        cookies = {one["name"]: one for one in await page.context.cookies()}
        assert list(cookies) == ["__Host-vittne"]  # that of the sign-in is gone
        assert cookies["__Host-vittne"]["sameSite"] == "Strict"

        await page.goto(f"{base}/settings/users")
        await seen(page, "users-with-sources")
        assert "Contoso" in await page.inner_text("tr:has-text('anna@idp')")
        assert "this recorder" in await page.inner_text("tr:has-text('root')")
        await page.click("a:has-text('Anna Berg')")
        assert "come from their groups at Contoso" in await page.inner_text("main")
        await seen(page, "user-of-a-source")

        # she signed in there an hour ago, as far as anybody knows: what gives rights asks once more
        await page.goto(f"{base}/settings/users")
        await page.click("button:has-text('Add somebody of Guests')")
        await page.fill("#f-login-inv", "gunnar")
        await page.check("#add-inv input[value=auditor]")
        await seen(page, "add-somebody")
        await page.click("#add-inv button.primary")
        await page.wait_for_selector("#prove[open]")
        await seen(page, "prove-elsewhere")
        await page.click("#prove a.button")
        await page.wait_for_url(f"{base}/settings/users")
        assert provider.asked[-1]["prompt"] == "login"
        await page.click("button:has-text('Add somebody of Guests')")
        await page.fill("#f-login-inv", "gunnar")
        await page.check("#add-inv input[value=auditor]")
        await page.click("#add-inv button.primary")
        await page.wait_for_url(re.compile(f"{base}/settings/users/[0-9a-f]+"))
        assert "They have not come yet" in await page.inner_text("main")

        await page.click("summary:has-text('Anna Berg')")
        await page.click("text=Log out, also at Contoso")
        await page.wait_for_url(f"{base}/login")
        assert provider.who == ""
        assert await page.context.cookies() == []
        await page.click("text=Sign in with Contoso")
        assert "did not let you in" in await page.inner_text("h1")
        await seen(page, "refused")

    run(tmp_path, use)


def test_sources_are_tried_and_said_in_plain_words(tmp_path: Path) -> None:
    async def use(desk: Desk, provider: Provider, slapd: Slapd) -> None:
        await desk.add_user("root", "administrator")
        base = f"https://localhost:{desk.served.address[1]}"
        page = await desk.page(await desk.context())
        await page.goto(f"{base}/login?then=/settings/sign-on")
        await page.select_option("#f-source", "local")
        await page.fill("#f-name", "root")
        await page.fill("#f-password", PASSWORD)
        await page.click("form button:has-text('Log in')")
        await page.wait_for_url(f"{base}/settings/sign-on")
        assert f"{base}/sign-on/idp/callback" in await page.inner_text("main")
        await page.fill("#f-login-house", "bo")
        await page.click("section:has-text('Active Directory') button:has-text('Test')")
        await page.wait_for_selector("#tried-house li:has-text('This person')")
        assert "Roles: supervisor" in await page.inner_text("#tried-house")
        assert await page.locator("#tried-house .badge.bad").count() == 0
        await page.click("section:has-text('Contoso') button:has-text('Test')")
        await page.wait_for_selector("#tried-idp li")
        await seen(page, "sources")
        slapd.stop()
        await page.click("section:has-text('Active Directory') button:has-text('Test')")
        await page.wait_for_selector("#tried-house .badge.bad")
        assert "no connection came about" in await page.inner_text("#tried-house")
        for width, theme in ((390, "light"), (1360, "dark")):
            await page.set_viewport_size({"width": width, "height": 850})
            await page.evaluate("theme => localStorage.setItem('vittne.theme', theme)", theme)
            await page.goto(f"{base}/settings/sign-on")
            await seen(page, f"sources-{theme}-{width}")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        other = await desk.page(await desk.context(viewport={"width": 390, "height": 850}, locale="de-DE"))
        await other.goto(f"{base}/login")
        assert "Anmelden mit Contoso" in await other.inner_text("main")
        await seen(other, "login-german-390")
        await other.fill("#f-name", "bo")
        await other.fill("#f-password", PEOPLE["bo"])
        await other.click("form button:has-text('Anmelden')")
        await other.wait_for_selector("[data-said]")
        assert "does not work just now" in await other.inner_text("[data-said]")

    run(tmp_path, use)
