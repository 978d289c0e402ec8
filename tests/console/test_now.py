"""The page Now: it keeps itself up to date, pauses in one click and says what that did, and everybody can use it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import rig.desk
from console.desk import ROUTES, Desk, run_desk, violations
from playwright.async_api import Page
from rig.desk import pipeline_of, two_calls
from rig.now import now_of, status
from rig.talking import talking_of

from vittne.appliance.api import live, liveaudio
from vittne.appliance.console.now import PAGES
from vittne.appliance.store.audit import AuditSearch
from vittne.capture.columns import SECOND
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Pipeline, Settings

LOOK = os.environ.get("VITTNE_TEST_PICTURES", "")  # a folder, to look at the pages


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(rig.desk, "TALKED_S", 25.0)
    settings = Settings(pause=PauseSettings(guard_ns=20 * SECOND))  # a browser takes some seconds to start
    return pipeline_of(two_calls(), settings)


def test_a_call_is_seen_paused_and_resumed(tmp_path: Path, pipeline: Pipeline) -> None:
    with now_of(tmp_path, pipeline) as now:

        async def use(desk: Desk) -> None:
            now.hub.open()
            await desk.add_user("anna", "supervisor")
            page = await desk.log_in("anna", "/now")
            await page.wait_for_selector("text=Up to date")
            assert await page.locator("#now-calls tbody tr").count() == 2
            assert "Nothing was missed" in await page.inner_text("#now-health")
            await page.click("#now-calls tbody tr:first-child button[data-pause]")
            await page.wait_for_selector("#did :text('Nothing of this call is stored from')")
            assert "packet" in await page.inner_text("#did")
            await page.wait_for_selector("#now-calls button[data-resume]")
            assert len(pipeline.pauses.live()) == 1

            now.hub.alarms.raise_("the backup failed", {"reason": "<b>no</b> route"})
            await page.wait_for_selector("#now-alarms :text('<b>no</b> route')")
            drops = {"kernel": {"eth1": 31}, "media": {"rtp without signalling": 7}}
            now.hub.note(status(frames=99_000, drops=drops, occupancy=0.62))
            await page.wait_for_selector("#now-health :text('Something was missed')", timeout=15_000)
            assert "larger ring" in await page.inner_text("#now-health")
            assert await violations(page) == []
            if LOOK:
                await page.screenshot(path=f"{LOOK}/now-paused.png", full_page=True)

            await page.click("#now-calls button[data-resume]")
            await page.wait_for_selector("#did :text('Recording goes on')")
            assert not pipeline.pauses.live()

        run_desk(tmp_path, use, routes=(*ROUTES, *live.ROUTES), pages=PAGES, fill=now.fill)


def test_an_alarm_is_told_in_words_of_people_whatever_stands_in_its_line(tmp_path: Path) -> None:
    with now_of(tmp_path, Pipeline()) as now:

        async def use(desk: Desk) -> None:
            await desk.add_user("anna", "supervisor")
            clock = {"source": "kernel", "synchronised": False, "offset_us": -1500, "max_error_us": 16_000_000}
            now.hub.alarms.raise_("the clock may be further from UTC than allowed", {**clock, "max_error_ms": 1000.0})
            now.hub.alarms.raise_("100 % of <b>(all)s</b> %s and %(gone)d", {})

            page = await desk.log_in("anna", "/now")
            shown = await page.inner_text("#now-alarms")

            assert "source: kernel · kept right: no · known offset: -1.5 ms" in shown
            assert "from UTC, at most: 16,000.0 ms · allowed: 1,000.0 ms" in shown
            assert "_us" not in shown
            assert "100 % of <b>(all)s</b> %s and %(gone)d" in shown

        run_desk(tmp_path, use, routes=(*ROUTES, *live.ROUTES), pages=PAGES, fill=now.fill)


def test_dark_narrow_and_with_nothing_to_show(tmp_path: Path) -> None:
    with now_of(tmp_path, Pipeline()) as now:

        async def use(desk: Desk) -> None:
            now.hub.open()
            await desk.add_user("anna", "engineer")
            page = await desk.log_in("anna", "/now", color_scheme="dark", viewport={"width": 390, "height": 844})
            assert "No call is up" in await page.inner_text("#now-calls")
            assert "mirror port" in await page.inner_text("#now-calls")
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390
            now.tell(pipeline_of(two_calls()))
            await page.wait_for_selector("#now-calls tbody tr")
            text = await page.inner_text("#now-calls")
            assert "•" in text  # an engineer sees numbers masked
            assert await page.locator("button[data-pause]").count() == 0
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390
            if LOOK:
                await page.screenshot(path=f"{LOOK}/now-narrow.png", full_page=True)

        run_desk(tmp_path, use, routes=(*ROUTES, *live.ROUTES), pages=PAGES, fill=now.fill)


def test_a_call_is_heard_in_the_browser(tmp_path: Path) -> None:
    settings = Settings(pause=PauseSettings(guard_ns=SECOND))
    with talking_of(tmp_path, two_calls(90.0), settings=settings) as talking:

        async def use(desk: Desk) -> None:
            async with talking.talking():
                await desk.add_user("anna", "supervisor")
                page = await desk.log_in("anna", "/now")
                await page.wait_for_selector("text=Up to date")
                await until(page, f"{LEVEL}('#now-calls [data-vu=caller]') > -60")
                await page.click("#now-calls tbody tr:first-child button[data-listen]")
                await page.wait_for_selector("#listen :text('You hear this call')", timeout=30_000)
                for side in ("caller", "callee"):
                    await until(page, f"{LEVEL}('#listen [data-vu={side}]') > -50")
                assert "s behind" in await page.inner_text("#listen")
                assert await page.locator("button[data-listen][disabled]").count() == 1
                assert await violations(page) == []
                if LOOK:
                    await page.screenshot(path=f"{LOOK}/now-listening.png", full_page=True)
                await page.set_viewport_size({"width": 390, "height": 844})
                assert await page.evaluate("document.documentElement.scrollWidth") <= 390
                assert await violations(page) == []
                if LOOK:
                    await page.screenshot(path=f"{LOOK}/now-listening-narrow.png", full_page=True)
                await page.click("#now-calls tbody tr:first-child button[data-pause]")
                await page.wait_for_selector("#listen :text('Paused: you hear nothing')", timeout=20_000)
                await until(page, f"{LEVEL}('#listen [data-vu=caller]') <= -60")
                await page.click("#listen [data-stop]")
                await until(page, "document.getElementById('listen').hidden")
                kinds = [row.kind for row in talking.registrar.audit.table.search(AuditSearch())]
                assert kinds.count("live") == 1

        every = (*ROUTES, *live.ROUTES, *liveaudio.ROUTES)
        run_desk(tmp_path, use, routes=every, pages=PAGES, fill=talking.fill_console)


async def until(page: Page, holds: str) -> None:
    """Wait until something is true in the page, whose policy forbids it to be asked by a string."""
    async with asyncio.timeout(30):
        while not await page.evaluate(holds):
            await asyncio.sleep(0.1)


LEVEL = "(one => Math.max(...[...document.querySelectorAll(one)].map(vu => Number(vu.ariaValueNow))))"
