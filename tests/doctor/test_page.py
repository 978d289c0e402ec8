"""The doctor over the API and in the console: the same findings, for who may see how the recorder is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from api.harness import Served, run_served
from console.desk import ROUTES, Desk, run_desk, violations
from rig.desk import pipeline_of, two_calls
from rig.now import Now, now_of, status

from vittne.appliance.api import doctor, live
from vittne.appliance.api.doctor import DOCTOR, Doctor
from vittne.appliance.config import Config, checked
from vittne.appliance.console.doctor_page import PAGES
from vittne.appliance.doctor.asking import recorder_facts

LOOK = os.environ.get("VITTNE_TEST_PICTURES", "")  # a folder, to look at the pages
DROPS = {"kernel": {"lo": 31}}
SEEN = {"frames": {"encap vlan": 900}, "media": {"frames": 1000, "sip requests": 20, "sip responses": 20}}


def config_of(data: Path) -> Config:
    return checked({"data": str(data), "interfaces": ["lo"], "api": {"enabled": False}}, "the test")


def filler(now: Now, data: Path) -> Callable[[web.Application], None]:
    def fill(app: web.Application) -> None:
        now.fill(app)
        app[DOCTOR] = Doctor(config_of(data), None, lambda: recorder_facts(now.hub), again_s=0.0)

    return fill


def test_the_page_says_what_is_wrong_and_what_to_do_and_folds_what_is_good(tmp_path: Path) -> None:
    with now_of(tmp_path, pipeline_of(two_calls())) as now:

        async def use(desk: Desk) -> None:
            now.hub.open()
            now.hub.capture.interfaces = ("lo",)
            now.hub.note(status(drops=DROPS, seen=SEEN))
            await desk.add_user("anna", "supervisor")
            page = await desk.log_in("anna", "/doctor")
            await page.wait_for_selector("#findings h2:has-text('What to do')")
            text = await page.locator("#findings section").first.inner_text()
            assert "The kernel threw packets away" in text
            assert "ring.packets_per_s" in text
            assert await page.locator("#findings details .points li").first.is_hidden()
            await page.click("#findings details summary")
            assert "Interfaces are up and have a link: lo." in await page.inner_text("#findings details")
            assert await violations(page) == []
            if LOOK:
                await page.screenshot(path=f"{LOOK}/doctor.png", full_page=True)

            now.hub.note(status(drops={}, seen=SEEN))
            await page.click("text=Check again")
            await page.wait_for_selector("#findings:not(:has-text('The kernel threw packets away')) h2")

            async with page.expect_download() as coming:
                await page.click("text=Download as JSON")
            assert (await coming.value).suggested_filename == "vittne-doctor.json"

            narrow = await desk.log_in(
                "anna", "/doctor", viewport={"width": 390, "height": 800}, color_scheme="dark", locale="de-DE"
            )
            await narrow.wait_for_selector("#findings h2")
            assert await narrow.evaluate("document.documentElement.scrollWidth") <= 390
            assert await violations(narrow) == []
            if LOOK:
                await narrow.screenshot(path=f"{LOOK}/doctor-narrow.png", full_page=True)

        routes = (*ROUTES, *live.ROUTES, *doctor.ROUTES)
        run_desk(tmp_path, use, routes=routes, pages=PAGES, fill=filler(now, tmp_path))


def test_the_api_gives_the_findings_and_looks_once_for_all_who_ask(tmp_path: Path) -> None:
    with now_of(tmp_path, pipeline_of(two_calls())) as now:

        async def use(served: Served) -> None:
            now.hub.open()
            now.hub.capture.interfaces = ("lo",)
            now.hub.note(status(drops=DROPS, seen=SEEN))
            token = served.token("read")
            first = (await served.get("doctor", token)).json
            again = await served.get("doctor?download=true", token)

            assert first["source"] == "box"
            assert first["of"] == ["lo"]
            assert first["verdict"] == "bad"
            by_name = {one["name"]: one for one in first["findings"]}
            assert by_name["drops"]["facts"]["kernel"] == {"lo": 31}
            assert by_name["encapsulation"]["facts"]["opened"] == {"vlan": 900}
            assert again.json == first
            assert "vittne-doctor.json" in again.headers["Content-Disposition"]
            assert (await served.get("doctor", served.token("pause"))).status == 403

        run_served(tmp_path, use, routes=(*live.ROUTES, *doctor.ROUTES), fill=filler(now, tmp_path))
