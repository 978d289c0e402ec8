"""From the first start to the first recording that is heard, as its first administrator sees it: a recorder at a
terminal, real calls on a wire, a real browser on that machine. Pictures: VITTNE_PICTURES=FOLDER keeps them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from rig.live import one_call, send_frames
from rig.packets import sender_in
from rig.passwords import PASSWORD
from rig.terminal import Terminal, browser_in, recording_at_a_terminal
from rig.wire import Wire, house, wire

from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.catalogue import Catalogue, Search

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system

BASE: Final = "https://localhost:8443"
TALK_S: Final = 40.0  # of the call that is paused: a busy browser takes its time
WAIT_MS: Final = 90_000
CONFIG: Final = """commit_s = 0.5
[ring]
packets_per_s = 5000
[[retention]]
name = "everything"
class = "gdpr-90d"
"""


@dataclass
class Visit:
    """A browser on the recorder's machine. errors: what its console said, broken policies above all."""

    browser: Browser
    pictures: Path
    errors: list[str] = field(default_factory=list)

    async def page(self, **options: object) -> Page:
        settings = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        context: BrowserContext = await self.browser.new_context(ignore_https_errors=True, **settings)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on(
            "console", lambda said: self.errors.append(f"{page.url}: {said.text}") if said.type == "error" else None
        )
        return page

    async def seen(self, page: Page, name: str, whole: bool = False) -> None:
        """Keep a picture."""
        await page.screenshot(path=self.pictures / f"{name}.png", full_page=whole, animations="disabled")

    async def accept(self, code: str) -> Page:
        """Set a password with a code, as whoever was given it."""
        page = await self.page()
        await page.goto(f"{BASE}/invitation")
        await page.fill("#f-code", code)
        await page.fill("#f-password", PASSWORD)
        await self.seen(page, "invitation")
        await page.click("button.primary")
        await page.wait_for_selector("nav a.item")
        return page


@asynccontextmanager
async def visiting(wire: Wire, folder: Path) -> AsyncIterator[Visit]:
    pictures = Path(os.environ.get("VITTNE_PICTURES") or folder / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        program = browser_in(wire.recorder, folder)
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Visit(browser, pictures)
        await browser.close()


async def set_up(visit: Visit, root: Page) -> str:
    """Go through the guided set-up as far as a browser can; return the code of a user who may hear."""
    await root.goto(f"{BASE}/setup")
    await root.click("button:has-text('Place a test call')")
    await root.wait_for_selector("#recording .badge:has-text('done')", state="attached")
    await visit.seen(root, "setup")
    await root.goto(f"{BASE}/settings/users")
    await root.click("button:has-text('Add a user')")
    await root.fill("#f-name", "anna")
    await root.fill("#f-full_name", "Anna Berg")
    await root.check("input[value=supervisor]")
    await root.check("input[value=compliance]")
    await root.click("button:has-text('make a code')")
    await root.wait_for_selector("#code-told[open]")
    code = await root.inner_text("#code-told output")
    await root.click("button:has-text('passed it on')")
    await visit.seen(root, "users")
    return code


async def found(page: Page, what: str) -> None:
    """Find the one recording by something in it, when it is there, and open it."""
    link = "table.recordings tbody tr a[href^='/recordings/']"
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            # over, that is: before, nothing of it may be kept yet
            await page.goto(f"{BASE}/recordings?q={what}&outcome=recorded")
            if await page.locator(link).count():
                break
            await asyncio.sleep(1)
    await page.locator(link).first.click()
    await page.wait_for_selector("[data-desk]:not([hidden])")
    await page.wait_for_selector("[data-wave]:not([aria-busy])")


async def heard(page: Page) -> None:
    """Play it: the browser decodes sound, and the place moves on."""
    await page.click("[data-play]")
    async with asyncio.timeout(WAIT_MS / 1000):
        while await page.evaluate("document.querySelector('audio').currentTime") < 1.5:
            await asyncio.sleep(0.2)
    assert await page.evaluate("document.querySelector('audio').webkitAudioDecodedByteCount") > 8000
    await page.click("[data-play]")


async def paused_while_it_lasts(visit: Visit, page: Page, wire: Wire) -> None:
    """Pause a call from the page Now and let it go on, while it comes over the wire."""
    await page.goto(f"{BASE}/now")
    sender = sender_in(wire.phones, "voices")
    playing = asyncio.create_task(asyncio.to_thread(send_frames, sender, one_call(TALK_S).frames()))
    await page.click("#now-calls tbody tr:has-text('1001') button[data-pause]")
    await page.wait_for_selector("#did :text('of this call is stored from'), #did :text('is not stored')")
    await page.wait_for_selector("#now-calls button[data-resume]")
    await visit.seen(page, "now")
    await asyncio.sleep(3)
    await page.click("#now-calls button[data-resume]")
    await page.wait_for_selector("#did :text('Recording goes on')")
    await playing
    sender.close()
    await page.wait_for_selector("#now-calls tbody tr:has-text('1001')", state="detached")


async def every_page(visit: Visit, page: Page, who: str) -> int:
    """Look at all that the navigation leads to, wide and narrow; return how many pages that were."""
    paths = await page.locator("nav a.item").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    for path in paths:
        answer = await page.goto(f"{BASE}{path}")
        assert answer is not None
        assert answer.status == 200, path
        name = path.strip("/").replace("/", "-")
        await visit.seen(page, f"{who}-{name}", whole=True)
        await page.set_viewport_size({"width": 390, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
        await visit.seen(page, f"{who}-{name}-phone", whole=True)
        await page.set_viewport_size({"width": 1280, "height": 800})
    return len(paths)


async def first_day(wire: Wire, terminal: Terminal, folder: Path) -> None:
    code = await asyncio.to_thread(terminal.code)
    async with visiting(wire, folder) as visit:
        root = await visit.accept(code)
        anna = await visit.accept(await set_up(visit, root))
        await found(anna, "vittne-test-caller")
        await heard(anna)
        await visit.seen(anna, "recording")
        await paused_while_it_lasts(visit, anna, wire)
        await found(anna, "1001")
        await visit.seen(anna, "paused")
        await anna.click("summary:has-text('On the time line')")
        assert "Pause: not stored" in await anna.inner_text("[data-rows]")
        await visit.seen(anna, "paused")
        await anna.click("text=Check it now")
        await anna.wait_for_selector("#verdict:has-text('Nothing is wrong with it.')")
        await anna.locator("#evidence").scroll_into_view_if_needed()
        await visit.seen(anna, "evidence")
        assert await every_page(visit, root, "administrator") > 5
        assert await every_page(visit, anna, "compliance") > 10
        assert visit.errors == []


def test_from_the_first_start_to_a_recording_that_is_heard_and_one_that_is_paused(wire: Wire, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "vittne.toml"
    config.write_text(CONFIG)
    options = ["--interface", "mirror", "--interface", "lo", "--hold-back", "2", "--config", str(config)]

    with recording_at_a_terminal(wire.recorder, data, *options) as terminal:
        asyncio.run(first_day(wire, terminal, tmp_path))
        terminal.stop()

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        calls = list(catalogue.list_calls(Search()))
    assert len(calls) == 2
    assert {call.outcome for call in calls} <= {"recorded", "partial"}
    ((pause,),) = [call.details["pauses"] for call in calls if call.details.get("pauses")]
    assert 3000 < pause["milliseconds"] < TALK_S * 1000
    assert all(verdict.ok for verdict in verify_all(data))
