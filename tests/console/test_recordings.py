"""Recordings in the console: found as one types, told as far as a role shows them, and nothing from the wire is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from console.desk import Desk, violations
from playwright.async_api import Page
from recordings import record
from rig.recordings import HOSTILE_AGENT, HOSTILE_ID, hostile_call, run_recordings

from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import CallRow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call whose every text is a script, recorded from packets, and sixty more in the catalogue only."""
    data = record(hostile_call(), tmp_path_factory.mktemp("console")).data
    with Catalogue(data / "catalogue.db") as catalogue:
        (call,) = catalogue.list_calls(Search())
        catalogue.upsert_calls([other(call, n) for n in range(1, 61)])
    return data


def other(call: CallRow, n: int) -> CallRow:
    return replace(
        call,
        id=f"{n:08x}-1111-4000-8000-000000000000",
        caller=f"sip:+4930{n:05}@x",
        parties=({"seat": 0, "uri": f"sip:+4930{n:05}@x", "name": f"Caller {n}"},),
        call_ids=(f"other-{n}",),
        started_us=call.started_us - n * 1_000_000,
        folder="",
        outcome="partial" if n == 9 else "recorded",
        details={"pauses": [{"id": "p", "milliseconds": 2000, "effective_from": "2026-01-01T00:00:00Z"}]},
        announced="none" if n == 3 else "full",
    )


def sealed(data: Path) -> str:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return next(row.id for row in catalogue.list_calls(Search()) if row.folder)


async def rows(page: Page) -> int:
    return await page.locator("table.recordings tbody tr").count()


async def nothing_was_run(page: Page) -> None:
    assert (
        await page.locator("main script:not([src^='/static/']), img[src=x], svg[onload], main b:text-is('x')").count()
        == 0
    )


def test_recordings_are_found_as_one_types(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("anna", "compliance")
        page = await desk.log_in("anna", "/recordings")
        page.on("dialog", lambda said: desk.errors.append(f"a script ran: {said.message}"))
        assert await rows(page) == 50
        assert "61 found" in await page.inner_text(".pager")
        await nothing_was_run(page)
        assert await violations(page) == []

        await page.click("text=Next page")
        await page.wait_for_selector("text=To the first page")
        assert await rows(page) == 11

        await page.goto(f"{desk.base}/recordings")
        await page.locator("input[name=q]").press_sequentially("caller 42")
        await page.wait_for_selector(".pager:has-text('1 found')")
        await page.wait_for_url("**/recordings?q=caller*42")
        await page.reload()
        assert await rows(page) == 1
        await page.fill("input[name=q]", "nobody at all")
        await page.wait_for_selector("text=Nothing fits")
        assert await violations(page) == []
        await page.fill("input[name=q]", "")
        await page.select_option("#f-outcome", "partial")
        await page.wait_for_selector(".pager:has-text('1 found')")

        await page.click("button:has-text('Keep this search')")
        await page.fill("#k-name", "what was lost")
        assert await violations(page) == []
        await page.click("dialog[open] button.primary")
        await page.click("summary:has-text('Kept searches')")
        await page.click("a:has-text('what was lost')")
        await page.wait_for_url("**/recordings?outcome=partial")
        assert await rows(page) == 1

        await page.click("summary:has-text('Columns')")
        await page.uncheck("#columns input[value=codec]")
        assert not await page.locator("td.c-codec").first.is_visible()
        await page.goto(f"{desk.base}/recordings?sort=duration")
        assert not await page.locator("td.c-codec").first.is_visible()
        assert await page.get_attribute("th:has-text('Length')", "aria-sort") == "descending"
        await page.click("summary:has-text('More filters')")
        await page.fill("#f-longer_s", "99999")
        await page.wait_for_selector("text=Nothing fits")

    run_recordings(data, use)


def test_one_recording_is_told_checked_opened_and_written_about(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("ben", "compliance", "supervisor")
        page = await desk.log_in("ben", "/recordings", accept_downloads=True, color_scheme="dark")
        page.on("dialog", lambda said: desk.errors.append(f"a script ran: {said.message}"))
        await page.goto(f"{desk.base}/recordings/{sealed(data)}")
        await page.wait_for_selector(".proofs li")
        assert HOSTILE_ID in await page.inner_text("main")
        await page.click("text=Check it now")
        await page.wait_for_selector("#verdict:has-text('Nothing is wrong with it.')")
        await page.click("text=Open the signalling")
        await page.click("#signalling summary:has-text('As a table')")
        assert HOSTILE_AGENT in await page.inner_text("#signalling")
        await nothing_was_run(page)
        assert await violations(page) == []

        await page.fill("[data-tag-text]", HOSTILE_AGENT)
        await page.click("button:text-is('Add')")
        await page.wait_for_selector(f".badge:has-text({HOSTILE_AGENT!r})")
        await page.fill("#n-text", "<script>alert(4)</script>")
        await page.click("text=Write it")
        await page.wait_for_selector(".written:has-text('alert(4)')")
        assert await page.locator(".written").count() == 1
        await page.click("text=Correct something")
        await page.fill("#c-value", "sip:+46700<script>@x")
        await page.fill("#c-reason", "it was <i>so</i>")
        await page.click("dialog[open] button.primary")
        await page.wait_for_selector("h1:has-text('+46700<script>')")
        await page.wait_for_selector(".badge:has-text('Corrected')")
        await page.click(f"button[aria-label*={HOSTILE_AGENT!r}]")
        await page.wait_for_selector("text=None. Tags are words")
        await nothing_was_run(page)

        await page.click("summary:has-text('Download')")
        await page.click("text=Packets (pcap")
        async with page.expect_download() as waiting:
            await page.click("dialog[open] button.primary")
        assert (await waiting.value).suggested_filename == f"recording-{sealed(data)}.pcap"
        await page.reload()
        told = await page.inner_text("section:has-text('Who did what with it') >> nth=-1")
        for kind in ("play", "rec.tag", "rec.note", "rec.correct", "export"):
            assert kind in told
        await page.wait_for_selector(".proofs li")
        assert await violations(page) == []

    run_recordings(data, use)


def test_what_a_role_hides_is_said_to_be_hidden(data: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("eve", "engineer")
        page = await desk.log_in("eve", "/recordings", viewport={"width": 390, "height": 850})
        assert "+4930" not in await page.content()
        assert "Caller 1" not in await page.content()
        assert await page.locator("#f-number, #f-tag, #f-agent").count() == 0
        assert "Call-IDs" in await page.inner_text("#q-help")
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        await page.goto(f"{desk.base}/recordings/00000001-1111-4000-8000-000000000000")
        assert "•" in await page.inner_text("h1")
        assert await page.locator("text=Notes").count() == 0
        assert await page.locator("text=Download").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert await violations(page) == []
        found = await page.goto(f"{desk.base}/recordings/00000000-0000-4000-8000-00000000ffff")
        assert found is not None
        assert found.status == 404
        desk.errors.clear()  # the browser tells of the 404 itself

    run_recordings(data, use)
