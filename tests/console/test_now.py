"""The page Now: it keeps itself up to date, pauses in one click and says what that did, and everybody can use it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import rig.desk
from console.desk import ROUTES, Desk, run_desk, violations
from rig.desk import pipeline_of, two_calls
from rig.now import now_of, status

from vittne.appliance.api import live
from vittne.appliance.console.now import PAGES
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
